"""The judge of histories: was what clients saw possible for a write-once registry?

`judge` takes operations and gives a `Verdict`. ``python -m tests.history FILE`` judges a file of
JSON lines. The parts: `operations` (what a history is made of), `lines` (the file), `facts` (what is
known of each key), `register`, `series` and `lists` (the rules), `recorder` (making histories).
"""
