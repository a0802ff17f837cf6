"""What endorsers' answers to a transaction mean: a refusal that is final, or one of them lagging behind. Pure.

Peers have the newest blocks at slightly different times. So a refusal is held against the replica: when the replica
refuses with the same code, nothing newer is known that would change it. Else somebody is behind, and the transaction is
tried again for a while before the endorsers' word counts.
"""

from __future__ import annotations

from dataclasses import dataclass

from consilo.protocol.apply import apply
from consilo.protocol.refusals import REFUSALS, Refusal
from consilo.protocol.state import State
from consilo.protocol.transaction import Transaction
from services.ledger.fabric.answers import Answer
from services.ledger.port import LedgerUnavailable

CLOCK_DIFFERS = "clock-differs"


@dataclass(frozen=True)
class Judgement:
    """What to tell the sender, and whether at once.

    Attributes:
        verdict: what is raised.
        is_final: at once; else after the transaction was tried again for a while.
    """

    verdict: Refusal | LedgerUnavailable
    is_final: bool


def judge(
    answers: tuple[Answer, ...], asked_msp: str, state: State, transaction: Transaction, time: int, *, vouched: bool
) -> Judgement:
    """Judge the answers of endorsers that do not endorse.

    Args:
        answers: at least one of them a refusal, or a result that differs.
        asked_msp: MSP id of the peer that was asked first, with whose answer the others are compared.
        state: the replica's.
        transaction: that they were asked about.
        time: of the transaction then, milliseconds since 1970-01-01 UTC.
        vouched: whether the client's MSP is the sender's organisation.
    """
    refusals = [(answer.msp, answer.refusal) for answer in answers if answer.refusal is not None]
    codes = {refusal.code for _, refusal in refusals}
    if len(codes) != 1 or any(answer.differs for answer in answers):
        return Judgement(_differ(answers, asked_msp), is_final=False)
    msp, refusal = refusals[0]
    if refusal.code not in REFUSALS:
        message = f"{msp}'s peer: {refusal.message}"
        # A clock is not set right in a moment; a chaincode that failed may be back.
        return Judgement(LedgerUnavailable(refusal.code, message), is_final=refusal.code == CLOCK_DIFFERS)
    refused = Refusal(refusal.code, refusal.message)
    if code_of(state, transaction, time, vouched=vouched) == refused.code:
        return Judgement(refused, is_final=True)
    if asked_msp in {each for each, _ in refusals}:
        return Judgement(refused, is_final=False)
    return Judgement(_differ(answers, asked_msp), is_final=False)


def code_of(state: State, transaction: Transaction, time: int, *, vouched: bool) -> str | None:
    """The code with which a state refuses a transaction; None when it admits it."""
    try:
        apply(state, transaction, time, vouched=vouched)
    except Refusal as refusal:
        return refusal.code
    return None


def _differ(answers: tuple[Answer, ...], asked_msp: str) -> LedgerUnavailable:
    return LedgerUnavailable(
        "endorsers-differ",
        f"endorsing peers do not agree on this transaction with the peer of {asked_msp}: "
        f"{'; '.join(map(str, answers))}. One that lags must catch up; one whose chaincode differs must be mended",
    )
