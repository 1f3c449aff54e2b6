"""All seeded bugs."""

from . import paxos_bugs, replica_bugs, service_bugs

BUGS = paxos_bugs.BUGS + replica_bugs.BUGS + service_bugs.BUGS
