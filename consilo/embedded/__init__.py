"""The ledger of one machine: the state machine on SQLite, in a chain of blocks."""
