"""Snapshots: the format of their files, a writer, and one reader for all that read them."""
