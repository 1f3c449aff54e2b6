"""Snapshots on the command line: saving one from a cluster, and what is shown of them.

The files are read and written by `decreed.storage.snapshot`, which belongs to the extra ``server``. So
the modules of this room are loaded only when a command about snapshots runs.
"""
