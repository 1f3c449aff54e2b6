"""Who votes, and since when: the seat of this node, taking over from earlier voters, peers' seats.

The room seals an epoch when the decree of the next one is learned, gathers what the voters of the
epoch before hold, and makes the node ready. It must not know how a value is chosen, nor what waits for
an epoch: other rooms register as listeners.

Rules kept here (docs/members.md): M05, as a seal is durable before anything that says so leaves; M06
to M09, by the values of `registry.paxos.epochs`; M10, as readiness is told after it is durable; M21
and M22.
"""
