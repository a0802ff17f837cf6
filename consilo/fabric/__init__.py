"""The form of a Hyperledger Fabric ledger: blocks, who endorsed what, the channel's configuration. No I/O."""
