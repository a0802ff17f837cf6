"""The gateway's side of Hyperledger Fabric: a client of peers, and a replica of the state that answers all reads.

The only part of the services that needs the extra `fabric`. Nothing but `settings` is imported unless a Fabric ledger
is set up.

    adapter     the port `services.ledger.port.Ledger`; puts together what follows
    opening     from settings to an adapter: all that can be wrong before the network is asked
    submission  one transaction onto the ledger, however often that must be tried
    judgement   whether a refusal is final, or somebody lags behind
    follower    keeps the replica up to date from a peer's blocks
    probing     whether a peer is good
    replica     the state, the events and the hashes of the blocks, in an SQLite file
    peers       which of the listed peers is asked
    diagnosis   what an error of a peer means, and what to do about it
    client      Fabric's Gateway service          delivery  the peer's block service
    messages, signing, answers                    what is sent, signed and read there; pure
"""
