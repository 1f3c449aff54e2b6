"""Files that people write: `cluster.toml` and the contexts of the user's config file.

What is wrong in one of them is named with its line. This room does not know which command reads it.
"""
