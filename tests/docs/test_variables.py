"""The table of variables in docs/settings.md agrees with the options of the commands."""

from collections import defaultdict

from decreed.cli.config import contexts
from decreed.cli.config.token_place import FILE_VARIABLE, TOKEN_VARIABLE
from decreed.cli.declared import Parameter, parameters_of
from decreed.cli.table import COMMANDS, GROUPS

from .pages import ROOT, quoted, rows

PAGE = ROOT / "docs" / "settings.md"
ENTRIES = {"": COMMANDS} | {f"{name} ": entries for name, entries in GROUPS.items()}

WITHOUT = {
    "names or describes one request": {
        "--claim-id", "--document", "--first-slot", "--literal", "--note", "--reason", "--rename",
        "--since", "--epoch", "--for", "--as-node", "--base",
        "--host",
    },
    "confirms": {
        "--again", "--force", "--give-up", "--gone", "--new-formation", "--read-only", "--yes",
    },
    "says what is to be done": {
        "--demo", "--disk-only", "--dry-run", "--exclude", "--exclusive", "--foreground", "--hidden",
        "--compare", "--keep-going", "--keys", "--only", "--outstanding", "--root", "--skip-bad-names",
        "--resume", "--value-bytes", "--watch", "--whole", "--prepare", "--accept", "--bundle",
        "--days", "--out", "--same-key", "--limit", "--policy", "--role", "--expires",
    },
    "describes a new cluster": {
        "--accept-quorum", "--insecure", "--least-ttl", "--other-cluster", "--prepare-quorum",
    },
}  # fmt: skip
WITHOUT_IN = {
    "init": {"--node"},
    "policy example": {"--admin"},
    "recover": {"--data", "--from", "--uncertain"},
    "scrub": {"--node", "--bytes-per-second", "--last"},
    "snapshot show": {"--prefix"},
    "snapshot restore": {"--data"},
}


def options() -> list[tuple[str, Parameter]]:
    """All options of all commands, each with the command that has it."""
    return [
        (group + entry.name, parameter)
        for group, entries in ENTRIES.items()
        for entry in entries
        for parameter in parameters_of(entry.load())
        if parameter.is_option and not parameter.setting("hidden")
    ]


def variable_of(option: Parameter) -> str | None:
    """The variable that sets the same as the option, if there is one."""
    variable = option.setting("envvar")
    assert variable is None or isinstance(variable, str)
    return variable


def test_every_option_has_a_variable_or_a_reason_to_have_none() -> None:
    exempt = set[str]().union(*WITHOUT.values())
    for command, option in options():
        none = exempt | WITHOUT_IN.get(command, set())
        names = option.options
        assert (variable_of(option) is None) == (names[0] in none), (command, names)


def test_no_variable_has_two_meanings_or_is_the_fencing_token() -> None:
    names: dict[str, set[str]] = defaultdict(set)
    for _, option in options():
        if (variable := variable_of(option)) is not None:
            assert variable.startswith("DECREED_") and variable != "DECREED_TOKEN"
            names[variable].add(option.options[0])
    assert [each for each in names.values() if len(each) > 1] == []


def test_the_table_lists_the_variables_and_their_commands() -> None:
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for command, option in options():
        if (variable := variable_of(option)) is not None:
            found[f"`{variable}`", f"`{option.options[0]}`"].append(command)
    every = {group + entry.name for group, entries in ENTRIES.items() for entry in entries}
    shown = {
        (variable, option): every if commands == "all" else set(quoted(commands))
        for variable, option, commands, _ in rows(PAGE, "variable")
    }
    for variable in (contexts.CONFIG_VARIABLE, TOKEN_VARIABLE, FILE_VARIABLE):
        shown.pop((f"`{variable}`", "none"))
    assert shown == {row: set(commands) for row, commands in found.items()}
