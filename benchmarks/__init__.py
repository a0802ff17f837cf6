"""Measurements of what a round costs."""
