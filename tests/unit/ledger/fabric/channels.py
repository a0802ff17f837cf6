"""A channel in memory on which Consilo's transactions are, for tests of what follows one."""

from __future__ import annotations

from consilo.identity.identity import Identity
from consilo.protocol.transaction import Transaction
from tests.fabric_blocks import FabricChannel
from tests.simulated_members import START_MS
from tests.simulated_requests import Layout, Requests

LAYOUT = Layout(
    organisations=("HospitalA", "HospitalB", "HospitalC"),
    silos=("HospitalA/silo", "HospitalB/silo", "HospitalC/silo"),
    aggregators=("HospitalA/aggregator",),
    verifiers=("HospitalC/verifier",),
    readers=(),
)


def requests_on(channel: FabricChannel) -> Requests:
    """Signs transactions for a channel."""
    return Requests(channel.state, LAYOUT)


def revocation(channel: FabricChannel, number: int, *, reason: str = "lost") -> Transaction:
    """HospitalA revokes a certificate; each number another one. HospitalA must be registered."""
    return requests_on(channel).revoke_member("HospitalA/silo", serial=f"{number + 1:x}", reason=reason)


def registration(channel: FabricChannel, msp: str = "HospitalA", *, by: Identity | None = None) -> Transaction:
    """An organisation's first registration."""
    return requests_on(channel).register_organisation(msp, by=by)


def add(channel: FabricChannel, *transactions: Transaction, codes: tuple[int, ...] = ()) -> bytes:
    """A block with these transactions, endorsed on the state before it; codes as a peer gives them."""
    height = len(channel.blocks)
    requests = [channel.endorsed(each, time=START_MS + height) for each in transactions]
    return channel.add(*requests, codes=codes)
