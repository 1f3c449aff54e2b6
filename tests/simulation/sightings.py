"""What was seen to happen, counted: a storm in which nothing happens proves nothing."""

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
    "a home could not read what it had let fly",
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
)
"""Every kind of bad luck."""

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
    "a half-done key was read",
    "a half-done key was finished by its holder",
    "a half-done key was listed",
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
    "a watch was told before the disk had it",
    "a watch was told again what a crash had taken",
    "a client gave up",
    "a decree was chosen in a standing ballot",
    "a standing proposal was refused for want of a promise",
    "a standing promise was told to a home that restarted",
    "what a home proposed and never wrote was chosen",
    "a decree that a crash had taken was learned again",
    "a flight of several keys was chosen",
    "a flight was said again",
    "a key of a flight was refused",
    "a key left its flight",
    "a commit of a flight came to a node that holds only part of it",
    "a claim was given up before it could fly",
)
"""Every kind of thing that the rules speak of."""


class Sightings(Counter[str]):
    """How often each thing was seen."""

    def saw(self, what: str, count: int = 1) -> None:
        """It happened."""
        self[what] += count

    def missing(self) -> list[str]:
        """What should be seen now and then, and was not."""
        return [what for what in (*FAULTS, *EVENTS) if not self[what]]

    def unknown(self) -> list[str]:
        """What was seen and is on no list, as a misspelt word would be."""
        return sorted(self.keys() - set(FAULTS) - set(EVENTS))
