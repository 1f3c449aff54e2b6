"""Locks: their terms, the leases that nodes keep on terms, and how long a holder's validity lasts.

Pure, like `paxos`: time is an argument. Design section 11 is the protocol; `leases` has the argument
that two holders never overlap.
"""
