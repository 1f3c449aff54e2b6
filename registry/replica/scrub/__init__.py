"""Scrubbing: a node reads all that lies on its disk, compares it with the others, and repairs it.

`scrubbing` walks over the disk, `comparing` asks the others about each page, `mending` takes from them
what is damaged here, and `tally` says what was found.
"""
