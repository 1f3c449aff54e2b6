"""Objects that belong to one process raise an error when they are pickled or copied."""

from typing import ClassVar, NoReturn

from ...registry.errors import BadRequest


class CannotCopy(BadRequest, TypeError):
    """An object cannot be pickled or copied; the message says what to do instead."""


class NotCopied:
    """Refuses to be pickled or copied.

    Attributes:
        instead: what to do instead.
    """

    __slots__ = ()

    instead: ClassVar[str] = (
        "it has connections and tasks of this process. Give the other process the endpoints, and "
        "let it open a client of its own"
    )

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        kind = f"{type(self).__module__}.{type(self).__qualname__}"
        raise CannotCopy(f"a {kind} cannot be pickled or copied: {self.instead}")
