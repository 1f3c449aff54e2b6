"""What clients ask about keys: claims, reads, lists, and finishing what a dead home left in doubt.

Every answer is definite or says that it is not. This room does not know locks.
"""
