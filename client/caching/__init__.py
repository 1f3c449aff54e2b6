"""Decrees that this process or this machine has seen: in memory and on disk, bounded.

A decree never changes, so nothing here expires. It must not know how decrees are got. One rule: what
belongs to an earlier formation is never given out for a later one.
"""
