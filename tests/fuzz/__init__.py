"""Fuzzing of everything that reads bytes or text from outside.

Property tests run with the other tests; ``python -m tests.fuzz.guided TARGET --seconds N`` is guided by
coverage. Inputs worth keeping are in ``corpus/TARGET/``, and every run of the tests tries them again.
"""
