"""The table of all commands: the name, the module and examples of each.

The modules are named, not imported: a command is loaded when it runs.
"""

from collections.abc import Sequence

from .entry import Entry

COMMANDS = (
    Entry(
        "dev", "dev:dev", "decreed dev", "decreed dev --demo", "decreed dev --data try --port 7500"
    ),
    Entry(
        "init",
        "init:init",
        "decreed init . --node n1=127.0.0.1:7400 --node n2=127.0.0.1:7401 --node n3=127.0.0.1:7402",
    ),
    Entry("serve", "serve:serve", "decreed serve --config cluster.toml --node n1 --data n1.data"),
    Entry(
        "claim",
        "claim:claim",
        "decreed claim prod/db/region eu-west-1",
        "decreed claim prod/ca.pem @ca.pem",
        "date | decreed claim job/2026-01-31 - --exclusive && run-the-job",
        "decreed claim offset -5",
        "decreed claim -- flags --verbose",
    ),
    Entry(
        "get", "read:get", "decreed get prod/db/region", "decreed get prod/ca.pem --raw > ca.pem"
    ),
    Entry(
        "list",
        "read:list_keys",
        "decreed list prod/db",
        "decreed list --keys",
        "decreed list --json",
    ),
    Entry("wait", "wait:wait", "decreed wait prod/db/region --timeout 2m"),
    Entry("watch", "wait:watch", "decreed watch prod", "decreed watch prod --json --timeout 1h"),
    Entry(
        "import",
        "import_command:import_command",
        "decreed import config/ prod/config",
        "decreed import settings.toml prod/settings",
        "decreed import .env prod/env --json",
        "decreed import settings.json prod/settings --dry-run --rename '$schema=schema'",
        "decreed import . prod/files --exclude '*.bak' --exclude node_modules/",
        "helm template . | decreed import - prod/release --format yaml --document 2",
    ),
    Entry(
        "next",
        "claim:claim_next",
        "decreed next prod/settings @settings.json",
        "decreed next deploys v1.4.2 --json",
    ),
    Entry(
        "latest",
        "read:latest",
        "decreed latest prod/settings",
        "decreed latest prod/settings --raw",
    ),
    Entry(
        "elect",
        "lock_run:elect",
        "decreed elect scheduler -- ./scheduler --port 80",
        runs_another=True,
    ),
    Entry("leader", "locks:leader", "decreed leader scheduler", "decreed leader scheduler --watch"),
    Entry(
        "once",
        "lock_run:once",
        "decreed once jobs/migrate-12 -- ./migrate --to 12",
        runs_another=True,
    ),
    Entry("status", "status:status", "decreed status", "decreed status --json --timeout 2s"),
    Entry(
        "bench",
        "bench:bench",
        "decreed bench --yes --duration 10s --outstanding 256",
        "decreed bench --only claims --value-bytes 1024 --json --yes",
        "decreed bench --disk /var/lib/decreed --disk-only",
    ),
    Entry("version", "status:version", "decreed version", "decreed version --json"),
)

LOCK_COMMANDS = (
    Entry(
        "run",
        "lock_run:run",
        "decreed lock run prod/migrate -- ./migrate --all",
        "decreed lock run cron/report --wait 0 --ttl 1m -- make report",
        "decreed lock run prod/db --foreground -- psql",
        runs_another=True,
    ),
    Entry("list", "locks:list_locks", "decreed lock list", "decreed lock list --json"),
    Entry("show", "locks:show", "decreed lock show prod/migrate"),
    Entry("history", "locks:history", "decreed lock history prod/migrate --json"),
    Entry(
        "break",
        "locks:break_lock",
        'decreed lock break prod/migrate --reason "the machine is gone"',
    ),
)

CONTEXT_COMMANDS = (
    Entry(
        "list",
        "context:list_contexts",
        "decreed context list",
        "decreed context list --json",
    ),
    Entry(
        "show",
        "context:show_context",
        "decreed context show",
        "decreed context show prod",
    ),
    Entry("use", "context:use_context", "decreed context use prod"),
)

GROUPS = {"lock": LOCK_COMMANDS, "context": CONTEXT_COMMANDS}
"""The commands in groups, by the word before their name."""


def commands_under(path: Sequence[str]) -> tuple[Entry, ...]:
    """The commands of the group that `path` names; the top-level commands if it is empty."""
    return GROUPS[path[0]] if path else COMMANDS
