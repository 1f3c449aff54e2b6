"""``decreed context list``, ``show`` and ``use``: the contexts of the config file."""

import os
from pathlib import Path
from typing import Annotated, Any

from ...registry.errors import BadRequest, ConfigError, DecreedError, Exit
from ..config.contexts import (
    CONTEXT_VARIABLE,
    ConfigFile,
    Context,
    chosen_context,
    config_path,
    read_config,
    settle_call,
)
from ..options import types as o
from ..options.secured import GIVEN
from ..shell.deferred import typer
from ..shell.failures import CommandFailed, error_line
from ..shell.output import write_error, write_json, write_line
from ..shell.shown import show as shown

Name = Annotated[str, typer.Argument(metavar="NAME", help="A context of the config file.")]
MaybeName = Annotated[
    str | None,
    typer.Argument(metavar="[NAME]", help="A context.  [default: the one that is in use]"),
]


def list_contexts(context: o.ContextName = None, as_json: o.Json = False) -> int:
    """Print all contexts of the config file; a star stands before the one that is in use.

    A context with something wrong in it is listed too, with what is wrong.
    """
    with o.about_config():
        file = read_config(os.environ)
        used = context or (file.current if file else "")
    if file is None or not file.contexts:
        _say_that_there_is_none(file)
    for name in file.contexts if file else ():
        document = _checked(file, name) if file else {}
        if as_json:
            write_json({"name": name, "used": name == used, **document})
        else:
            write_line(f"{'*' if name == used else ' '} {shown(name)}  {_line(document)}")
    return Exit.DONE


def show_context(
    name: MaybeName = None,
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    timeout: o.Timeout = None,
    claimant: o.Claimant = None,
    prefer: o.Prefer = None,
    as_json: o.Json = False,
) -> int:
    """Print where the context NAME leads, after options, variables and defaults are counted in."""
    name = _one_name(name, context)
    with o.about_config():
        chosen = chosen_context(name, os.environ)
    nodes = endpoints.addresses if endpoints else None
    settled = settle_call(nodes, timeout, chosen, os.environ, GIVEN.get())
    if claimant:
        settled = settled._replace(claimant=claimant)
    facts: dict[str, Any] = {
        "context": chosen.name or None,
        "file": config_path(os.environ) or None,
        "endpoints": list(settled.endpoints),
        "timeout": settled.timeout,
        "claimant": settled.claimant,
        "prefer": prefer or chosen.prefer or "home",
        "tls": settled.tls._asdict() if settled.tls.to_tls() else None,
        "token": settled.token.file or settled.token.said_by if settled.token else None,
    }
    if as_json:
        write_json(facts)
        return Exit.DONE
    write_line(f"context    {shown(chosen.name) or 'none'}")
    write_line(f"endpoints  {','.join(settled.endpoints)}")
    write_line(f"timeout    {settled.timeout:g}s")
    write_line(f"claimant   {shown(settled.claimant) if settled.claimant else 'user@host'}")
    write_line(f"prefer     {facts['prefer']}")
    for name, value in settled.tls._asdict().items():
        if value is not None:
            write_line(f"{name:<10} {shown(value)}")
    if facts["token"]:
        write_line(f"token      {shown(facts['token'])}")
    return Exit.DONE


def use_context(name: Name, as_json: o.Json = False) -> int:
    """Have the config file name NAME as the context that is taken when nothing names another.

    Only that line of the file changes; comments and all else stay.
    """
    import tomlkit

    from ..config.settings_text import write_file

    with o.about_config():
        file = _existing(read_config(os.environ))
        file.context(name)
    document: Any = tomlkit.parse(file.text)
    document["context"] = name
    # a symbolic link to the file is kept, and its target is written
    path = Path(os.path.realpath(file.path))
    write_file(path, tomlkit.dumps(document), replace=True, mode=path.stat().st_mode & 0o777)
    if as_json:
        write_json({"context": name, "file": file.path})
    else:
        write_line(f"{shown(name)} is in use now, as {file.path} says")
    if os.environ.get(CONTEXT_VARIABLE) not in (None, "", name):
        cause = BadRequest(f"it says {os.environ[CONTEXT_VARIABLE]!r}, and counts before the file")
        raise CommandFailed(cause, CONTEXT_VARIABLE, "unset it")
    return Exit.DONE


def _one_name(name: str | None, context: str | None) -> str | None:
    """The context that is named, by an argument, by --context, or by its variable."""
    if name and context not in (None, name, os.environ.get(CONTEXT_VARIABLE)):
        cause = BadRequest(f"--context names {context!r}, and NAME is {name!r}")
        raise CommandFailed(cause, "usage", "name one of them")
    return name or context


def _existing(file: ConfigFile | None) -> ConfigFile:
    if file is None:
        path = config_path(os.environ) or "a config file"
        raise ConfigError(f"there is no config file: write [contexts.NAME] into {path}")
    return file


def _say_that_there_is_none(file: ConfigFile | None) -> None:
    """To standard error: an empty list is no failure, and a program that reads it must see none."""
    path = file.path if file else config_path(os.environ) or "a config file"
    write_error(error_line("context", "there is none yet", f"write [contexts.NAME] into {path}"))


def _checked(file: ConfigFile, name: str) -> dict[str, Any]:
    """The settings of a context, or its fault."""
    try:
        said: Context = file.context(name)
    except DecreedError as error:
        return {"error": str(error)}
    return {
        "endpoints": list(said.endpoints),
        "timeout": said.timeout,
        "claimant": said.claimant,
        "prefer": said.prefer,
        "tls": said.tls._asdict() if said.tls.to_tls() else None,
        "token": said.token_file,
    }


def _line(document: dict[str, Any]) -> str:
    if "error" in document:
        return f"wrong: {document['error']}"
    return ",".join(document["endpoints"]) or "the default endpoints"
