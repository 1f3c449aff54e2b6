"""Recovering what is decided from the data directories that are left, and comparing them."""
