"""The options ``--ca``, ``--cert`` and ``--key``: every command that goes to a cluster has them.

They are added here to the function of a command, which need not know them: `Call` asks for them.
"""

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Annotated, Any

from ..config import tls_paths
from ..config.tls_paths import NO_TLS, TlsPaths
from ..shell.deferred import typer

Ca = Annotated[
    str | None,
    typer.Option(
        "--ca",
        envvar=tls_paths.CA_VARIABLE,
        metavar="FILE",
        help="The CAs of the nodes, which turns TLS on; 'system' for those of this machine."
        "  [default: the context's, or no TLS]",
        show_default=False,
    ),
]
Cert = Annotated[
    str | None,
    typer.Option(
        "--cert",
        envvar=tls_paths.CERT_VARIABLE,
        metavar="FILE",
        help="The certificate to show the nodes.  [default: the context's, or none]",
        show_default=False,
    ),
]
Key = Annotated[
    str | None,
    typer.Option(
        "--key",
        envvar=tls_paths.KEY_VARIABLE,
        metavar="FILE",
        help="The private key of --cert.  [default: the context's]",
        show_default=False,
    ),
]
_OPTIONS = {"tls_ca": Ca, "tls_cert": Cert, "tls_key": Key}
_BEFORE = "timeout"
"""The option before which these stand in the help."""

GIVEN: ContextVar[TlsPaths] = ContextVar("GIVEN", default=NO_TLS)
"""What the command that runs was given."""


def secured(function: Callable[..., int]) -> Callable[..., int]:
    """The function of a command, with these options if it goes to a cluster."""
    signature = inspect.signature(function)
    if "endpoints" not in signature.parameters:
        return function

    @wraps(function)
    def run(**values: Any) -> int:
        token = GIVEN.set(TlsPaths(*(values.pop(name, None) for name in _OPTIONS)))
        try:
            return function(**values)
        finally:
            GIVEN.reset(token)

    vars(run)["__signature__"] = signature.replace(parameters=_with_options(signature))
    return run


def _with_options(signature: inspect.Signature) -> list[inspect.Parameter]:
    parameters = list(signature.parameters.values())
    names = [each.name for each in parameters]
    at = names.index(_BEFORE) if _BEFORE in names else len(names)
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    more = [
        inspect.Parameter(name, kind, default=None, annotation=option)
        for name, option in _OPTIONS.items()
    ]
    return parameters[:at] + more + parameters[at:]
