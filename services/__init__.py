"""The deployables: each a process of its own, meeting the others over the network."""
