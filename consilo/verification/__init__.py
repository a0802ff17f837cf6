"""Replay of a ledger's blocks, and recomputation of its global models."""
