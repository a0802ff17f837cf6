"""Tests of the charts: what they make of values, and what an API server says to it."""
