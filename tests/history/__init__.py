"""The judge of histories: were the answers that clients got possible for a write-once registry?

`judge` takes operations and returns a `Verdict`. ``python -m tests.history FILE`` judges a file of
JSON lines. The parts: `operations` (the elements of a history), `lines` (the file), `facts` (what is
known of each key), `register`, `series` and `lists` (the rules), `recorder` (making histories).
"""
