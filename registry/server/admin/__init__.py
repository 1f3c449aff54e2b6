"""The admin listener of a node: health, status and metrics over HTTP.

It owns a small server of HTTP/1.1 for GET, and how the numbers of a node are called outside. It changes
nothing and freezes nothing: a fault in it ends the connection on which it happened. Only a node that is
asked for it (`decreed serve --admin`) loads it, after it serves.
"""
