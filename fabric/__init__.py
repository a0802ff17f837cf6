"""A native Hyperledger Fabric network for development and tests: `python -m fabric --help`."""
