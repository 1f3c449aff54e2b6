"""All seeded bugs."""

from . import flight_bugs, lock_bugs, paxos_bugs, replica_bugs, service_bugs

BUGS = paxos_bugs.BUGS + flight_bugs.BUGS + replica_bugs.BUGS + service_bugs.BUGS + lock_bugs.BUGS
