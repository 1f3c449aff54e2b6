"""Locks at a node: queues for the next term, keep-alives, endings and give-ups (design 11).

The room owns the lock queues, the questions about leases, the latest term of each lock, and the
requests that keep, end or give up a term. A term is a decree like any other: this room asks the
coordinator for it, and must not know how it gets chosen. The lease check of an acceptor is in
`consensus`.

Invariants kept here: a term is proposed only by a node that has learned the previous one, so terms have
no gaps (design 10); a term that was not released is followed only after a prepare quorum has answered
that it is not live there; a keep-alive, release or give-up acts only with the holder's secret.
"""
