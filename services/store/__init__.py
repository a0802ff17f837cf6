"""The object store of one machine."""
