"""What a node has learned, in the order of learning, and how other nodes and watches get it (design 7).

The room owns the learner, the feed with its cursors, catching up from peers, watches, and the
deletion of old terms of locks. It must not know how a value is chosen, nor which requests
of other rooms wait for decrees: those rooms register as listeners.

Rules kept here: R08 and R21, as a second decree for a key never replaces the first; R20, as a
decree is learned only from a message that says that it is chosen, or from a vote count; peers are
sent only what is durable (R14); a floor is durable before a message names it (design 11).
"""
