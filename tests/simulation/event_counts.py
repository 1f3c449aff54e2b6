"""Counts of what happened: a storm in which nothing happens proves nothing."""

from collections import Counter

FAULTS = (
    "died before its messages left",
    "died with some of its messages left",
    "died before a write",
    "died in a write that is on the disk",
    "died in a write that is not on the disk",
    "died after a write",
    "died with some of what waited for the write left",
    "died before its reads",
    "died with rows that waited for a synced batch",
    "was killed",
    "was killed while the disk was busy",
    "died without anybody noticing",
    "restarted",
    "a write failed",
    "a sync failed",
    "a sync failed and was on the disk all the same",
    "a disk was full",
    "a write stalled",
    "a record became unreadable",
    "a record became legible again",
    "a home could not read a key of its batch",
    "a node started with a record that it could not read",
    "a node paused",
    "a wall clock jumped",
    "messages were lost",
    "messages came twice",
    "the cluster was split",
    "a pair was cut one way",
    "a node was cut off",
    "a cut held messages back",
    "a link flapped",
    "a link was reset",
    "a link was reset with messages on it",
    "a node was suspected for no reason",
    "a wiped directory was refused",
    "an older directory was refused",
    "a directory that was started often was refused",
    "a node was started again and again",
    "another node's directory was refused",
    "the right directory was put back",
    "a voter slept through several changes",
    "one node alone could be reached",
    "a disk died",
    "all nodes died between a seal and readiness",
)
"""Every kind of fault."""

EVENTS = (
    "a duel",
    "a past life was shown",
    "an adopted value was chosen",
    "a claim was won",
    "a claim was lost",
    "a claim took a later slot",
    "a claim was passed on",
    "a slot was refused for a gap",
    "an outcome was unknown",
    "a claim was unreachable",
    "a read was unreachable",
    "an undecided key was read",
    "a key in doubt was read",
    "a key in doubt was finished by its holder",
    "a key in doubt was listed",
    "a peer sent spans that differed from the lister's",
    "a peer held just what the lister holds",
    "a peer had more to tell than a page holds",
    "a scan was called off",
    "a list was asked for twice at once",
    "a list took several pages",
    "a node refused for its disk",
    "a node said that its record is damaged",
    "a decree was fetched from a feed",
    "a watch saw a decree",
    "a watch was sent what was not durable yet",
    "a watch was sent again what a crash had taken",
    "a client gave up",
    "a decree was chosen in a home ballot",
    "a proposal in a home ballot was refused for want of a promise",
    "a class promise was sent to a home that restarted",
    "what a home proposed and never wrote was chosen",
    "a decree that a crash had taken was learned again",
    "a batch of several keys was chosen",
    "a batch was sent again",
    "a key of a batch was refused",
    "a key left its batch",
    "a commit of a batch came to a node that holds only part of it",
    "a claim was given up before its batch left",
    "the members changed",
    "a change was refused beforehand",
    "a change was proposed that nobody had judged",
)
"""Every kind of event that the rules are about."""


class EventCounts(Counter[str]):
    """How often each fault and event happened."""

    def saw(self, what: str, count: int = 1) -> None:
        """Count a fault or an event."""
        self[what] += count

    def missing(self) -> list[str]:
        """The faults and events that never happened."""
        return [what for what in (*FAULTS, *EVENTS) if not self[what]]

    def unknown(self) -> list[str]:
        """What was counted and is on neither list, such as a misspelt name."""
        return sorted(self.keys() - set(FAULTS) - set(EVENTS))
