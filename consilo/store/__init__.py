"""The port of an object store: signed URLs, keys written once."""
