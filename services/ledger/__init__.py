"""The gateway of one organisation to the ledger."""
