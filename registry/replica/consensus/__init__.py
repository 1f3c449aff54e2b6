"""Paxos between the nodes: attempts, batches, the home promise, and this node's acceptor.

The room owns every message of the two phases and the memory behind them: attempts by key, batches in
flight, class promises given and received, and the acceptances in doubt. It applies the pure handlers of
`registry.paxos` to the instances of a step. It must not know which kind of request wants a key, nor how
a decree reaches other requests: it calls what it is given.

Rules kept here: R05, as no ballot is used twice; R09 to R19, with R13 and R14 by sending votes through
`StepBuilder.send_when_durable`; R20, as votes are counted once for each member; R02 and R04, by
repetition and by pauses that grow.
"""
