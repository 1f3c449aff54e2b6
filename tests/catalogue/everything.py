"""All seeded bugs."""

from . import (
    again_bugs,
    batch_bugs,
    bounds_bugs,
    client_bugs,
    disk_bugs,
    lock_bugs,
    paxos_bugs,
    quorum_bugs,
    replica_bugs,
    service_bugs,
    shared_bugs,
)

_OF_NODES = paxos_bugs.BUGS + batch_bugs.BUGS + replica_bugs.BUGS + service_bugs.BUGS
_OF_LOCKS = lock_bugs.BUGS + quorum_bugs.BUGS
_OF_WAITING = again_bugs.BUGS + shared_bugs.BUGS + bounds_bugs.BUGS

BUGS = _OF_NODES + _OF_LOCKS + _OF_WAITING + disk_bugs.BUGS + client_bugs.BUGS
