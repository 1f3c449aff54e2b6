"""A summary of each command, in a sentence: the first line of its function's docstring.

It is repeated here so that the list of all commands can be shown without loading them.
"""

GROUP_HELP = {
    "lock": "Locks: run a command under one, see who has it.",
    "context": "Contexts: named clusters of the config file.",
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
    "bench:bench": "Put the cluster under load, and print how fast claims, reads and locks are.",
    "status:version": (
        "Print the versions of decreed, its build, Python, the protocol and the format on disk."
    ),
    "lock_run:run": "Run CMD while holding the lock NAME, and exit with its exit code.",
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
}
