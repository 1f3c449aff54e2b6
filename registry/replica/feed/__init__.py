"""What a node has learned, in the order in which it learned it, and who is told of it.

The feed, its cursors, catching up from peers, watches, and dropping old terms of locks. A decree enters
only when it is known to be chosen (R20). This room does not know how a value is chosen.
"""
