"""The asynchronous client of the ledger service, and transfers of artifacts."""
