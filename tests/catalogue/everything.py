"""All seeded bugs."""

from . import (
    admission_bugs,
    again_bugs,
    batch_bugs,
    bounds_bugs,
    client_bugs,
    confirming_bugs,
    counting_bugs,
    deferred_bugs,
    disk_bugs,
    disk_room_bugs,
    floor_bugs,
    handover_bugs,
    interleaving_bugs,
    limit_bugs,
    lock_bugs,
    members_bugs,
    observing_bugs,
    operator_bugs,
    patience_bugs,
    paxos_bugs,
    policy_bugs,
    proof_bugs,
    quorum_bugs,
    reading_bugs,
    recovery_bugs,
    release_bugs,
    replica_bugs,
    scrub_bugs,
    seat_bugs,
    security_bugs,
    service_bugs,
    shared_bugs,
    shown_bugs,
    snapshot_bugs,
    tls_bugs,
    token_bugs,
)

_OF_NODES = (
    *(paxos_bugs.BUGS + batch_bugs.BUGS + replica_bugs.BUGS + service_bugs.BUGS),
    *reading_bugs.BUGS,
)
_OF_LOCKS = lock_bugs.BUGS + quorum_bugs.BUGS + release_bugs.BUGS
_OF_MEMBERS = (
    *(members_bugs.BUGS + handover_bugs.BUGS + operator_bugs.BUGS),
    *(interleaving_bugs.BUGS + counting_bugs.BUGS + recovery_bugs.BUGS),
    *observing_bugs.BUGS,
)
_ON_DISK = (
    *(disk_bugs.BUGS + deferred_bugs.BUGS + floor_bugs.BUGS),
    *(seat_bugs.BUGS + snapshot_bugs.BUGS + disk_room_bugs.BUGS),
)
_OF_SCRUBS = scrub_bugs.BUGS
_OF_SECURITY = (
    *(proof_bugs.BUGS + security_bugs.BUGS + tls_bugs.BUGS),
    *(policy_bugs.BUGS + confirming_bugs.BUGS + admission_bugs.BUGS + shown_bugs.BUGS),
    *(token_bugs.BUGS + limit_bugs.BUGS),
)
_OF_WAITING = again_bugs.BUGS + shared_bugs.BUGS + bounds_bugs.BUGS + patience_bugs.BUGS

BUGS = (
    *(_OF_NODES + _OF_LOCKS + _OF_MEMBERS + _OF_WAITING + _ON_DISK),
    *(_OF_SCRUBS + client_bugs.BUGS + _OF_SECURITY),
)
