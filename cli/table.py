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
        "scrub",
        "scrub:scrub",
        "decreed scrub",
        "decreed scrub --node n2 --bytes-per-second 50000000",
        "decreed scrub --last --json",
    ),
    Entry(
        "bench",
        "bench:bench",
        "decreed bench --yes --duration 10s --outstanding 256",
        "decreed bench --only claims --value-bytes 1024 --json --yes",
        "decreed bench --disk /var/lib/decreed --disk-only",
    ),
    Entry(
        "recover",
        "recover:recover",
        "decreed recover --from n1.data --config cluster.toml --dry-run",
        "decreed recover --from n1.data --from n3.data --gone n2 --config cluster.toml"
        " --data n1=new/n1.data --data n2=new/n2.data --data n3=new/n3.data",
        "decreed recover --compare new/n1.data n2.data --json",
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

MEMBER_COMMANDS = (
    Entry("list", "members:list_members", "decreed member list", "decreed member list --json"),
    Entry(
        "file",
        "members:print_file",
        "decreed member file > cluster.toml.new",
        "decreed member file --config cluster.toml",
    ),
    Entry(
        "replace",
        "members_change:replace",
        "decreed member replace n2 n4 --dry-run",
        "decreed member replace n2 n4",
        "decreed member replace n2",
    ),
    Entry("add", "members_change:add", "decreed member add n4 n5"),
    Entry(
        "remove",
        "members_change:remove",
        "decreed member remove n4 n5",
        "decreed member remove n4 n5 --epoch 3 --json",
    ),
    Entry("promote", "members_change:promote", "decreed member promote n4 --for n2"),
    Entry("quorums", "members_change:quorums", "decreed member quorums --prepare 1 --accept 3"),
)

SNAPSHOT_COMMANDS = (
    Entry(
        "save",
        "snapshot:save",
        "decreed snapshot save full.snapshot",
        "nice -n 19 decreed snapshot save full.snapshot --resume",
        "decreed snapshot save monday.snapshot --since full.snapshot",
    ),
    Entry(
        "verify",
        "snapshot:verify",
        "decreed snapshot verify full.snapshot",
        "decreed snapshot verify full.snapshot monday.snapshot",
    ),
    Entry(
        "show",
        "snapshot:show",
        "decreed snapshot show full.snapshot --json",
        "decreed snapshot show full.snapshot monday.snapshot --prefix prod",
    ),
    Entry(
        "restore",
        "snapshot_restore:restore",
        "decreed snapshot restore full.snapshot --config cluster.toml --data n1.data",
        "decreed snapshot restore full.snapshot monday.snapshot --config cluster.toml"
        " --data n1=n1.data --data n2=n2.data --data n3=n3.data",
    ),
)

CA_COMMANDS = (
    Entry(
        "init",
        "ca:init",
        "decreed ca init --config cluster.toml",
        "decreed ca init --config cluster.toml --dir ca-2",
    ),
    Entry(
        "node",
        "ca:node",
        "decreed ca node n1 --host n1.example.com --host 10.0.0.1",
        "decreed ca node n1 --config cluster.toml --out for-n1",
    ),
    Entry("client", "ca:client", "decreed ca client alice", "decreed ca client ci --days 30"),
    Entry(
        "renew",
        "ca:renew",
        "decreed ca renew n1.crt alice.crt",
        "decreed ca renew n1.crt --dir ca-2 --bundle ca/ca.crt",
    ),
    Entry(
        "show",
        "ca_show:show",
        "decreed ca show ca/ca.crt n1.crt n1.key",
        "decreed ca show n1.crt --bundle bundle.crt --json",
    ),
)

AUTH_COMMANDS = (
    Entry(
        "create",
        "auth:create",
        "decreed auth create ci-2026-07 --role deploy --out ci.token",
        "decreed auth create ci-2026-07 --role deploy --expires 90d > ci.token",
    ),
    Entry("list", "auth:list_tokens", "decreed auth list", "decreed auth list --json"),
    Entry("revoke", "auth:revoke", "decreed auth revoke ci-2026-07"),
)

POLICY_COMMANDS = (
    Entry(
        "apply",
        "policy_apply:apply",
        "decreed policy apply policy.json --note 'ci may deploy'",
        "decreed policy apply policy.json --dry-run",
        "decreed policy apply policy.json --as-node n1 --config cluster.toml",
    ),
    Entry(
        "show",
        "policy:show_policy",
        "decreed policy show",
        "decreed policy show 3 > policy.json",
    ),
    Entry("history", "policy:history", "decreed policy history --limit 5"),
    Entry(
        "diff",
        "policy:diff",
        "decreed policy diff policy.json",
        "decreed policy diff 3 5",
    ),
    Entry(
        "test",
        "policy:test_right",
        "decreed policy test client/ci claim prod/app",
        "decreed policy test client/ci claim prod/app --policy policy.json",
    ),
    Entry("example", "policy:example", "decreed policy example --admin alice > policy.json"),
)

GROUPS = {
    "lock": LOCK_COMMANDS,
    "member": MEMBER_COMMANDS,
    "context": CONTEXT_COMMANDS,
    "snapshot": SNAPSHOT_COMMANDS,
    "ca": CA_COMMANDS,
    "auth": AUTH_COMMANDS,
    "policy": POLICY_COMMANDS,
}
"""The commands in groups, by the word before their name."""


def commands_under(path: Sequence[str]) -> tuple[Entry, ...]:
    """The commands of the group that `path` names; the top-level commands if it is empty."""
    return GROUPS[path[0]] if path else COMMANDS
