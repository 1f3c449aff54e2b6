"""The state machine of one node, pure: events in, effects out (design 3).

`Replica.step` takes the events that have arrived, the clock reading and the durable instances that
`Replica.needs` named. It returns `Effects`, sorted by what each must wait for. Production, the
simulator and the model checker run this same code.

The package owns the rooms and the front door: one table of client requests, one of peer messages,
and the membership. The rooms stand in an order, and each imports only earlier ones: step, feed,
consensus, requests, locks. The package must not wait, read a clock, draw a random number, or touch
a disk or a socket.

`replica` leads each event to its part, `client_requests` has a line for each request of a client,
`peer_messages` one for each message between nodes, and `parts` puts the parts together. *Where to
look* in `docs/architecture.md` leads from questions to functions.

Rules kept here: R01, R13 and R14, as a promise or a vote leaves only after its record is durable;
R05, as each incarnation of a node is a process of its own; the rest room by room.
"""
