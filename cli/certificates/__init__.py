"""The certificates of a cluster: a small CA, the files that it writes, and what is wrong with one.

Its modules need the library ``cryptography``; a command loads them when it runs.
"""
