"""The protocol on TCP: length-prefixed frames of CBOR, and the messages in them.

`frames` cuts and joins frames. `codec` turns bytes into checked values and back. `handshake`,
`requests` and `peers` hold the messages. No module here does I/O.
"""
