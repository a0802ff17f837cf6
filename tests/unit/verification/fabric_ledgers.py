"""A consortium's run on a simulated Fabric channel. Generates keys."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from consilo.protocol.canonical import canonical
from consilo.protocol.transaction import Transaction
from consilo.protocol.values import organisation_of
from consilo.verification.fabric import FabricReplay
from consilo.verification.replay import Replay
from tests.fabric_blocks import CHANNEL, ORGANISATIONS, FabricChannel
from tests.fabric_requests import Request
from tests.simulated_requests import Requests
from tests.simulators import Admitted, Consortium

MSPS = frozenset(ORGANISATIONS)

FIRST = 2
"""Number of the first block after the genesis and the definition of the chaincode."""


@cache
def admitted() -> tuple[Admitted, ...]:
    """All transactions of a run of two rounds."""
    consortium = Consortium(silos=3, ledger=CHANNEL)
    consortium.running()
    consortium.complete_round()
    consortium.complete_round()
    return tuple(each for each in consortium.admitted if organisation_of(each.transaction.payload.member) in MSPS)


class Ledger:
    """A channel, and the transactions that will come on it, one after the other."""

    def __init__(self, taken: int = 0, channel: FabricChannel | None = None) -> None:
        self.channel = FabricChannel() if channel is None else channel
        self._coming = iter(admitted())
        for _ in range(taken):
            self.channel.add(self.next())

    def next(self) -> Request:
        """The next transaction, endorsed now."""
        coming = next(self._coming)
        return self.channel.endorsed(coming.transaction, time=coming.time)

    def coming(self) -> Admitted:
        """The next transaction, not endorsed yet."""
        return next(self._coming)

    def complete(self) -> Ledger:
        """Put all that is to come on the ledger, a block each."""
        for each in self._coming:
            self.channel.add(self.channel.endorsed(each.transaction, time=each.time))
        return self

    def replayed(self) -> Replay:
        """The replay of the blocks."""
        return replayed(self.channel.blocks)

    def revocation(self, number: int, msp: str = "HospitalA") -> Transaction:
        """A transaction that can be made without end, and conflicts with none."""
        requests = Requests(self.channel.state, None, "")  # type: ignore[arg-type]  # nothing of a run is asked for
        return requests.sign(f"{msp}/operator", "revoke_member", {"serial": f"{number + 1:x}", "reason": "lost"})


def replayed(blocks: list[bytes]) -> Replay:
    """The replay of blocks."""
    return FabricReplay().run(blocks)


def first(replay: Replay) -> tuple[str, int | None, int | None]:
    """Step and block of the first finding, and the verification's step."""
    finding = replay.findings[0]
    return finding.step, finding.block, replay.failed_step


def in_the_next_block(change: Callable[[Ledger, Request], Request | bytes]) -> tuple[str, int | None, int | None]:
    """What the replay finds first when the next transaction is changed, and the peer calls it valid all the same."""
    ledger = Ledger(taken=3)
    ledger.channel.add(change(ledger, ledger.next()))
    return first(ledger.replayed())


def flipped(writes: Any) -> None:
    """Flip a bit of a write set."""
    value = bytearray(writes.writes[0].value)
    value[-2] ^= 1
    writes.writes[0].value = bytes(value)


def encoded(transaction: Transaction) -> bytes:
    """The canonical bytes of a transaction."""
    return canonical(transaction.model_dump(mode="json"))
