"""Single-decree Paxos as written down: pure values and functions, rules R01 to R22.

Nothing in this package does I/O, reads a clock, draws a random number or logs. It imports itself
and `decreed.registry.types` alone; a test holds that.
"""
