"""A summary of each command, in a sentence: the first line of its function's docstring.

It is repeated here so that the list of all commands can be shown without loading them.
"""

GROUP_HELP = {
    "lock": "Locks: run a command under one, see who has it.",
    "member": "Members: who they are, where they are, and who is to vote.",
    "context": "Contexts: named clusters of the config file.",
    "snapshot": "Snapshots: save everything that is decided, check and restore it.",
    "policy": "Policies: who may do what; read, compared, tried and applied.",
    "ca": "Certificates: a small CA for the nodes and clients of a cluster.",
    "auth": "Tokens: make, list and revoke them, for clients without a certificate.",
}

SUMMARIES = {
    "dev:dev": "Run a cluster of three nodes in this process; its data stays for the next time.",
    "init:init": "Write DIR/cluster.toml for a new cluster, with every setting explained.",
    "serve:serve": (
        "Run one node of a cluster until SIGTERM or SIGINT; then answer what is in flight and stop."
    ),
    "claim:claim": "Freeze KEY to VALUE permanently, unless it is frozen already.",
    "read:get": "Print the value that KEY is frozen to.",
    "read:list_keys": "Print all frozen keys under PREFIX with their values, in order.",
    "wait:wait": "Wait until KEY is frozen, and print its value.",
    "wait:watch": (
        "Print keys under PREFIX as they are frozen, until interrupted or the time is up."
    ),
    "import_command:import_command": (
        "Freeze every file below DIR, or every entry of FILE, under PREFIX."
    ),
    "claim:claim_next": "Freeze the next free slot of SERIES to VALUE, and say which slot it is.",
    "read:latest": "Print the last decided slot of SERIES and its value.",
    "lock_run:elect": (
        "Campaign for NAME forever: run CMD whenever this leads, and stop it when it does not."
    ),
    "locks:leader": (
        "Print who leads NAME; with --watch also each new leader, until interrupted or time is up."
    ),
    "lock_run:once": "Run CMD if nobody ever claimed KEY: at most once, on one machine of many.",
    "status:status": "Print what each node says of itself.",
    "scrub:scrub": (
        "Have the nodes read all that lies on their disks, compare it, and repair what is damaged."
    ),
    "bench:bench": "Put the cluster under load, and print how fast claims, reads and locks are.",
    "status:version": (
        "Print the versions of decreed, its build, Python, the protocol and the format on disk."
    ),
    "lock_run:run": "Run CMD while holding the lock NAME, and exit with its exit code.",
    "members:list_members": (
        "Print the members of the cluster: where each is, whether it is up, ready, and how far"
        " behind."
    ),
    "members_change:add": (
        "Have more nodes vote: two, four or six more, since the number of voters is odd."
    ),
    "members_change:remove": "Have nodes vote no more; it says when they may be switched off.",
    "members_change:replace": "Have NEW vote in the place of OLD, in one step; OLD may be down.",
    "members_change:promote": (
        "Have a node that has followed the cluster so far vote in the place of another."
    ),
    "members_change:quorums": "Change how many voters a read and a claim need; the voters stay.",
    "members:print_file": (
        "Print a cluster.toml with the members, addresses and quorums that the cluster has now."
    ),
    "context:list_contexts": (
        "Print all contexts of the config file; a star stands before the one that is in use."
    ),
    "context:show_context": (
        "Print where the context NAME leads, after options, variables and defaults are counted in."
    ),
    "context:use_context": (
        "Have the config file name NAME as the context that is taken when nothing names another."
    ),
    "locks:list_locks": (
        "Print all locks that anybody ever had: who has them, since when, and how many wait."
    ),
    "locks:show": "Print who has the lock NAME, for how long at least, and how many wait.",
    "locks:history": (
        "Print all terms of the lock NAME that are remembered, and how each of them ended."
    ),
    "locks:break_lock": (
        "End the term of the holder of the lock NAME; the next term's "
        "decree says who did it, and why."
    ),
    "recover:recover": (
        "Make a new formation from whatever data directories of a lost cluster are left."
    ),
    "snapshot:save": (
        "Save everything that the cluster has decided to FILE, while it goes on working."
    ),
    "snapshot:verify": (
        "Check every byte of snapshots, without a cluster: checksums, order, and the chain."
    ),
    "snapshot:show": (
        "Print what is in a snapshot: of which cluster it is, when it was begun, and how much it has."
    ),
    "snapshot_restore:restore": (
        "Make the data directories of a new formation from a snapshot and its increments."
    ),
    "ca:init": (
        "Make a CA for the cluster of a cluster.toml: ca.crt and ca.key in a folder of their own."
    ),
    "ca:node": "Make the certificate and the key of a node: NODE.crt and NODE.key.",
    "ca:client": "Make the certificate and the key of a client: NAME.crt and NAME.key.",
    "ca:renew": "Make new certificates for the same names and hosts, with new keys.",
    "ca_show:show": (
        "Print whom certificates and keys name, until when, of which CA, and what is wrong with"
        " them."
    ),
    "auth:create": "Make a token and print it: this is the only time that it is shown.",
    "auth:list_tokens": "Print the tokens of the policy: their roles, and when they expire.",
    "auth:revoke": (
        "Take a token out of the policy: once this returns, nobody begins anything with it."
    ),
    "policy_apply:apply": (
        "Check a policy, show what it changes, and have the cluster obey it from now on."
    ),
    "policy:show_policy": (
        "Print a policy, laid out to be read and changed; 'decreed policy apply' takes it."
    ),
    "policy:history": "Print which policies there were: when each was applied, by whom, and why.",
    "policy:diff": (
        "Print what changes from policy A to policy B, and what each identity gains and loses by it."
    ),
    "policy:test_right": "Say whether a policy lets IDENTITY do VERB on KEY.",
    "policy:example": "Print a policy to begin with, for 'decreed policy apply'.",
}
