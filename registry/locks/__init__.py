"""Locks: the terms that they are made of, the leases that nodes keep, and how long a holder holds.

Pure, like `paxos`: time comes in as an argument. Design section 11 is the protocol; the argument that
two holders never overlap stands in `leases`.
"""
