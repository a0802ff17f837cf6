"""Whether `retryable` tells the truth: what was refused for good stays refused, whatever may become of the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from consilo.protocol.refusals import Refusal
from consilo.protocol.transaction import Transaction
from consilo.protocol.transitions.table import COMMON_REFUSALS
from tests.simulated_requests import DEADLINE_MS
from tests.simulators import Consortium


def must_stay_refused(consortium: Consortium, transaction: Transaction, code: str) -> None:
    """What was refused for good is never admitted; but the member may have signed it anew with another key."""
    try:
        outcome = consortium.send(transaction)
    except Refusal:
        return
    assert code in COMMON_REFUSALS, f"admitted after {code}"
    assert outcome.repeated, f"admitted after {code}"


def futures(consortium: Consortium) -> Iterator[Consortium]:
    """Some of what may become of a consortium next: time passes, a global is annulled, honest members go on."""
    c = consortium.copy()
    c.advance(10 * DEADLINE_MS)
    yield c
    latest = consortium.status.latest
    if latest is not None and latest.round:
        c = consortium.copy()
        for verifier in c.layout.verifiers:
            with suppress(Refusal):
                c.attest_global(verifier, "mismatch", latest)
        yield c
    c = consortium.copy()
    for msp in c.layout.organisations:
        with suppress(Refusal):
            c.approve_run(msp)
    for _ in range(4):
        if c.run_state() in {"proposed", "active"}:
            c.honest_step()
            yield c
