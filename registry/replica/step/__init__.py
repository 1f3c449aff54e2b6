"""One step of a node: the events that come in, the effects that go out, and what is gathered between.

Everything else in `replica` stands on this room. It knows no protocol. The contract of `Effects` is
kept here: what depends on a record leaves only after the record is durable (R14).
"""
