"""The trio server that drives a `Replica`: sockets, turns, timers, links between nodes.

All code that waits, reads a clock or draws a random number is here. `serve` puts the parts
together; `node_loop` is the node's loop; `clients` and `links` are the two kinds of connection.

What clients can take of a node's memory is bounded at five places: `inbox` (events of a turn), `crowd`
(requests that wait), `budget` (bytes of values in flight), `incoming` (large frames on their way in),
and `outbox` with `backlog` (answers, for one client and for all). The figures are in
`decreed.registry.config.Limits`. `callers` has what one of them may have of it, and of the node's work;
`handshakes` and `denials` bound what strangers and those without rights can cause.
"""
