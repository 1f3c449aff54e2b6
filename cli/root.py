"""The help of the program as a whole."""


def root() -> None:
    """A distributed write-once registry: the first claim freezes a key forever.

    'decreed help COMMAND' explains a command. Options about the cluster, the claimant, the timeout
    and the output (--endpoints, --context, --claimant, --timeout, --json) may also come before the
    command.

    Exit codes: 0 done, 1 unexpected, 2 bad usage or input, 3 lost to another value, 4 undecided,
    5 unreachable (nothing was chosen by this request), 6 outcome unknown (ask again with the same
    --claim-id), 7 refused, 8 the lock is held, 9 the lock was lost, 10 denied by the policy, 11 over
    its quota. 'lock run', 'elect' and 'once' exit with the code of their command, or with one of 120
    to 127 (see 'decreed lock run --help').
    """
