"""Tries an installation from end to end: real transactions, and a model through the store by signed URLs."""
