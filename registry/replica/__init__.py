"""One node's whole state machine, pure: events in, effects out.

`Replica.step` takes everything that has arrived, the clock reading and the durable instances that it
asked for with `Replica.needs`, and returns `Effects`, sorted by what each must wait for. Nothing in
this package waits, reads a clock, draws a random number or touches a disk or a socket; the same code
runs in production, in the simulator and in the model checker.

Here is the front door: `replica` leads each event to its part, `client_requests` has a line for each
request of a client, `peer_messages` one for each message between nodes, and `parts` puts the parts
together. Behind it are the rooms `step`, `feed`, `consensus`, `requests` and `locks`: each imports only
those before it. *Where to look* in `docs/architecture.md` leads from questions to functions.
"""
