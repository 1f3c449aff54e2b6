"""The trio server that drives a `Replica`: sockets, turns, timers, links between nodes.

All code that waits, reads a clock or draws a random number is here. `serve` puts the parts
together; `node_loop` is the node's loop; `clients` and `links` are the two kinds of connection.
"""
