"""The gateway's client of a Hyperledger Fabric network, and the adapter of the port to ledgers."""
