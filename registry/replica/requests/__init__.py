"""Requests about keys: claims, reads, lists, and finishing keys in doubt (design 5, 6 and 10).

The room owns what is pending for such requests: forwarded claims, questions to a quorum, waits, the
pages of lists, and the scans of this node's disk. It must not know locks, nor how a ballot runs: it
hands claims and keys in doubt to the coordinator.

Rules kept here: R03, as losing is a result and every error is definite or indefinite; R04, as the
home is only preferred; R07, as "undecided" and a page of a list need answers of a prepare quorum,
all given after the request arrived; R22, as a key in doubt is finished before it is reported; slots
have no gaps (design 10).
"""
