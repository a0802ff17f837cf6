"""Consilo: federated learning between organisations that do not trust each other.

The library that tasks, tools and services share. Importing it does nothing: no I/O, no registration.
"""

__version__ = "0.1.0"
