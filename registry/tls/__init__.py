"""TLS of one connection, without I/O: bytes in, plaintext out; and who a certificate names.

Nodes and clients share these modules. `session` moves the bytes, `records` knows where a record ends,
`subject` reads a certificate, `contexts` makes what a handshake needs from files, `faults` says in
words what went wrong. What waits belongs to the node and to the client.
"""
