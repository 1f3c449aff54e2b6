"""Fuzzing of everything that reads bytes or text from outside.

Property tests run with the other tests; ``python -m tests.fuzz.guided TARGET --seconds N`` lets
coverage guide the bytes. What either finds worth keeping lies in ``corpus/TARGET/`` and is tried
again at every run of the tests.
"""
