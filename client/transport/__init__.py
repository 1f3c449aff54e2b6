"""Bytes to one node and back: addresses, links, frames, and whether a node is there.

Two ways move the same frames: `task_link` with tasks in an event loop, `socket_link` while a blocking
caller waits. This room does not know what is asked, of which node, or who the members are.
"""
