"""Locks as callers use them: getting a term, keeping it, stopping the block, giving up.

The invariant: validity counts from the sending of a keep-alive, so a holder stops before any node lets
another one in. This room does not know whether its caller blocks or awaits.
"""
