"""``decreed ca show``: what certificates and keys say, and what is wrong with them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from ...registry.errors import Exit
from ..options import types as o
from ..shell.deferred import typer
from ..shell.output import write_json, write_line
from ..shell.shown import one_line
from .ca import FOLDER, Folder, needs_cryptography

LONGEST = 1_000

Files = Annotated[
    list[str],
    typer.Argument(metavar="FILE…", help="Certificates, bundles of them, or keys, in PEM form."),
]
Bundle = Annotated[
    Path | None,
    typer.Option(
        "--bundle",
        metavar="FILE",
        help="The CAs that certificates must be of.  [default: ca.crt in --dir, if it is there]",
        show_default=False,
    ),
]


def show(
    paths: Files,
    bundle: Bundle = None,
    folder: Folder = FOLDER,
    as_json: o.Json = False,
    timeout: o.NoTimeout = None,
) -> int:
    """Print whom certificates and keys name, until when, of which CA, and what is wrong with them.

    It reads files of any PKI, and needs no key. A key is compared with the certificate beside it:
    n1.key with n1.crt. Exit code 0: all is well; 7: something is wrong, or will be within 30 days.
    """
    del timeout
    with needs_cryptography():
        from ..certificates import showing
        from ..certificates.files import CERTIFICATE
    files = [Path(each) for each in paths]
    usual = folder / CERTIFICATE
    known = [bundle] if bundle else [usual] if usual.exists() else []
    # a bundle is looked at beside its certificates, and a CA that is shown is one that is known
    authorities = showing.authorities_in([*known, *(() if bundle else files)])
    now = datetime.now(UTC)
    shown = [each for path in files for each in showing.look_at(path, authorities, now)]
    if as_json:
        write_json({"files": [showing.shown_document(each) for each in shown]})
    else:
        for line in (line for each in shown for line in showing.lines_of(each)):
            write_line(one_line(line, LONGEST))
    return Exit.REFUSED if any(each.faults for each in shown) else Exit.DONE
