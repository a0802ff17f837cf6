"""The protocol of Consilo as a pure state machine: records, transitions, selection, canonical form, refusals.

Nothing here does I/O, reads a clock or imports another part of the project. The same code runs in the
embedded ledger, in chaincode on every endorsing peer, and in every verifier that replays a ledger.
"""
