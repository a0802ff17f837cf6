"""One organisation that can send any number of transactions, and ledgers to send them to. Generates keys."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from consilo.embedded.blocks import Genesis
from consilo.embedded.committing import Committer
from consilo.embedded.ledger import EmbeddedLedger
from consilo.embedded.receipts import Commit, Receipt
from consilo.embedded.settings import LedgerSettings
from consilo.identity.authority import Authority
from consilo.identity.identity import Identity
from consilo.protocol.bodies import RegisterOrganisation, RevokeMember
from consilo.protocol.certificates import roots_digest
from consilo.protocol.model import Record
from consilo.protocol.transaction import Transaction, envelope, payload, signed_bytes

NOW = 1_800_000_000_000
LEDGER = "test"
DEADLINE_SECONDS = 30


@dataclass(frozen=True)
class Party:
    """An organisation's authority and its operator."""

    authority: Authority
    operator: Identity

    @classmethod
    def create(cls, msp: str = "HospitalA") -> Party:
        authority = Authority.create(msp, now=NOW)
        return cls(authority, authority.issue("operator", "operator", now=NOW))

    @property
    def roots(self) -> tuple[str, ...]:
        return tuple(base64.b64encode(root).decode() for root in self.authority.roots)

    def registration(self, version: int = 1, *, roots: tuple[str, ...] | None = None) -> Transaction:
        body = RegisterOrganisation(
            version=version, roots=roots or self.roots, gateway="http://127.0.0.1:1", stores=("127.0.0.1:2",)
        )
        return signed(self.operator, "register_organisation", body)

    def revocation(self, number: int, reason: str = "lost") -> Transaction:
        """A transaction that can be made without end: each number is another certificate."""
        return signed(self.operator, "revoke_member", RevokeMember(serial=f"{number:x}", reason=reason))


class Clock:
    """A clock that stands until it is set."""

    def __init__(self, now: int = NOW) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def signed(member: Identity, kind: str, body: Record, *, ledger: str = LEDGER) -> Transaction:
    request = payload(ledger, member.member, kind, body)
    return envelope(request, member.certificates, member.sign(signed_bytes(request)))


def genesis_of(*parties: Party) -> Genesis:
    organisations = {party.authority.msp: roots_digest(party.authority.roots) for party in parties}
    return Genesis(ledger=LEDGER, organisations=organisations, created_at=NOW - 1000)


def commit(ledger: EmbeddedLedger, transaction: Transaction) -> Receipt:
    return ledger.submit(transaction).result(DEADLINE_SECONDS)


def fill(path: Path, party: Party, blocks: int, per_block: int = 1) -> None:
    """Make a ledger whose first block registers the party; `per_block` revocations in each of the others."""
    genesis, clock = genesis_of(party), Clock()
    EmbeddedLedger.create(path, genesis)
    committer = Committer(path, genesis, settings=LedgerSettings(), clock=clock)
    committer.commit([party.registration()])
    for block in range(1, blocks):
        clock.now += 10
        committer.commit([party.revocation(1_000_000 * block + index) for index in range(per_block)])
    committer.close()


@contextmanager
def writer_held(ledger: EmbeddedLedger, transaction: Transaction) -> Iterator[None]:
    """Commit the transaction, and keep the writer busy until the end: what is submitted meanwhile waits together."""
    held, released = threading.Event(), threading.Event()

    def hold(_: Commit) -> None:
        held.set()
        released.wait(DEADLINE_SECONDS)

    unsubscribe = ledger.subscribe(hold)
    ledger.submit(transaction)
    try:
        assert held.wait(DEADLINE_SECONDS)
        unsubscribe()
        yield
    finally:
        released.set()


PARTY = Party.create()
"""The organisation of the tests that need but one."""

REVOCATIONS = tuple(PARTY.revocation(number) for number in range(1, 61))
