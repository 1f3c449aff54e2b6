"""A command that runs under a lock: the watchdog that stops it, its signals and its exit code.

The invariant: the command has ended before the validity of the lock ends, whatever happens to us. This
room does not know how the lock is got.
"""
