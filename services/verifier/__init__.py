"""Recomputes every global model and attests to it."""
