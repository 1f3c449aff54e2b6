"""From a call to its result: arguments are checked, nodes are chosen, and answers become values.

This room decides which node is asked next, when a second one is asked too, and whether an error is
definite. A claim id whose outcome is unknown stays indefinite in this client (`doubts`). It does not
know locks.
"""
