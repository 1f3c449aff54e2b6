"""The source of an import, a folder, a settings file, or standard input, and its items."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...registry.errors import BadRequest
from ..options.values import read_file, read_standard_input
from ..shell.failures import CommandFailed, about, reading
from . import formats
from .flatten import flatten, whole
from .folders import folder_items
from .items import Item
from .plan import Names, arranged, excluding
from .verbatim import Wrong, is_table

STANDARD_INPUT = Path("-")
NAMES = Names()
_CORRECT = "correct the file"
_FORMAT = "name its format with --format"


@dataclass(frozen=True)
class ImportSource:
    """A source of an import.

    Args:
        path: a folder, a file, or ``-`` for standard input.
        form: the format of the file; None to derive it from the name.
        document: which document of a YAML file, from 1.
        whole: whether a file is one value.
        hidden: whether names in a folder that begin with a dot are included.
        names: the options about names.
    """

    path: Path
    form: str | None = None
    document: int | None = None
    whole: bool = False
    hidden: bool = False
    names: Names = NAMES

    @property
    def shown(self) -> str:
        """Its name in messages."""
        return "standard input" if self.path == STANDARD_INPUT else str(self.path)

    def items(self, prefix: str) -> list[Item]:
        """Its items, in order of key; each tells whether and why it is not frozen.

        Raises:
            CommandFailed: if it cannot be read, or an option does not fit it; exit code 2.
        """
        if self.path == STANDARD_INPUT:
            return self._of_text(prefix, read_standard_input(), "")
        with reading(self.shown):
            self.path.stat()
        if self.path.is_dir():
            return self._of_folder(prefix)
        return self._of_text(prefix, read_file(str(self.path)), self.path.name)

    def _of_folder(self, prefix: str) -> list[Item]:
        with about(self.shown):
            if self.form is not None or self.document is not None or self.whole:
                raise BadRequest("it is a folder; --format, --document and --whole are for a file")
            unwanted = excluding(self.names.excludes)
            found = folder_items(self.path, prefix, self.hidden, unwanted)
            return arranged(found, prefix, self.names)

    def _of_text(self, prefix: str, data: bytes, name: str) -> list[Item]:
        if self.hidden:
            raise CommandFailed(BadRequest("--hidden is for a folder"), self.shown, "leave it out")
        with about(self.shown, _FORMAT):
            form = formats.checked_format(self.form or formats.format_of(name))
        with about(self.shown, _CORRECT if self.form else f"{_CORRECT}, or {_FORMAT}"):
            documents = formats.documents_of(form, formats.text_of(data))
        several = len(documents) > 1
        with about(
            self.shown, "choose one with --document N" if several else "leave out --document"
        ):
            value = formats.chosen(documents, self.document)
        with about(self.shown, _CORRECT):
            items = self._of_value(prefix, value)
        with about(self.shown):
            return arranged(items, prefix, self.names)

    def _of_value(self, prefix: str, value: object) -> Sequence[Item]:
        if self.whole:
            return [whole(prefix, value)]
        try:
            return flatten(prefix, value)
        except BadRequest as error:
            if value is None or is_table(value) or isinstance(value, Wrong):
                raise
            raise BadRequest(f"{error}; --whole freezes it as one value, PREFIX its key") from error
