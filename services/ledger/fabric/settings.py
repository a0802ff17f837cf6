"""Settings of a ledger on Hyperledger Fabric. Reads no files; needs nothing of the extra `fabric`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from consilo.protocol.values import LedgerName, Msp

Seconds = Annotated[float, Field(gt=0, le=3600)]


class FabricPeer(BaseModel):
    """A peer of the channel that the gateway may ask."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str = Field(pattern=r"^[^\s/:]+:[0-9]{1,5}$|^\[[0-9a-fA-F:]+\]:[0-9]{1,5}$", description="`host:port`")
    msp: Msp = Field(description="MSP id of its organisation")
    tls_ca_file: Path = Field(description="PEM file of the CA of its TLS certificate")
    server_name: str | None = Field(None, description="name in its TLS certificate; default: the address's host")


class FabricSettings(BaseModel):
    """A channel of Hyperledger Fabric with Consilo's chaincode."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    channel: LedgerName = Field(description="name of the channel, which is the ledger's: payloads are signed for it")
    chaincode: str = Field(
        "consilo", pattern=r"^[A-Za-z0-9]+([_\-][A-Za-z0-9]+)*$", description="name of the chaincode"
    )
    msp: Msp = Field(description="MSP id of the client identity: that of the gateway's own organisation")
    certificate_file: Path = Field(description="PEM file of the client identity's certificate, issued by the MSP's CA")
    key_file: Path = Field(description="PEM file of its private key: PKCS 8, P-256, no password")
    peers: list[FabricPeer] = Field(
        min_length=1,
        max_length=64,
        description="peers to ask, the own first: JSON objects with `address` (`host:port`), `msp`, `tls_ca_file` and, "
        "if its certificate names another host, `server_name`. Others are asked while those before them do not answer; "
        "they are trusted for reading",
    )
    state_file: Path = Field(
        description="SQLite file of the replica, which answers all reads; when missing, built anew from blocks"
    )
    evaluate_timeout_seconds: Seconds = Field(3.0, description="for a peer to answer a query")
    endorse_timeout_seconds: Seconds = Field(
        5.0,
        description="for a transaction to be endorsed; longer than the peers' own `peer.gateway.endorsementTimeout`, "
        "so that one frozen endorser does not hold up the others",
    )
    submit_timeout_seconds: Seconds = Field(5.0, description="for the orderers to take a transaction")
    commit_timeout_seconds: Seconds = Field(
        5.0,
        description="for a transaction that orderers took to be in a block; then it is handed in again. Longer than "
        "the channel's BatchTimeout",
    )
    transaction_timeout_seconds: Seconds = Field(
        25.0, description="for a transaction in all, however often it is handed in; less than clients wait"
    )
    block_timeout_seconds: Seconds = Field(10.0, description="for blocks that a peer has to arrive")
    lag_seconds: Seconds = Field(
        2.0,
        description="in which peers that lag behind should catch up; only then is a refusal given that the replica "
        "does not confirm, or peers that come to different results are told",
    )
    silence_seconds: Seconds = Field(
        5.0, description="without a new block, after which it is asked whether the peer still answers"
    )
    peer_retry_seconds: Seconds = Field(1.0, description="between two looks whether a peer that failed is good again")
    first_pause_seconds: Seconds = Field(
        0.02, description="longest random pause before a second try of a transaction; doubled from try to try"
    )
    longest_pause_seconds: Seconds = Field(1.0, description="bound of these pauses")
    max_transactions_in_flight: int = Field(
        256, ge=1, le=10_000, description="transactions at once; more are told to come again. A peer takes 500 calls"
    )
    max_message_bytes: int = Field(
        10 * 2**20,
        ge=1024,
        le=100 * 2**20,
        description="largest transaction as it is ordered: the channel's AbsoluteMaxBytes. What is written counts "
        "twice: in the call, and in what comes of it",
    )
