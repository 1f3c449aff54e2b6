"""What stands on a command line, and what it means: values, options, where the cluster is.

This room does not know which commands there are.
"""
