"""That the contract of ledgers leaves nothing out of the protocol's tables, and what it must leave out."""

from __future__ import annotations

from consilo.protocol.apply import Outcome
from consilo.protocol.queries import QUERIES
from consilo.protocol.refusals import REFUSALS
from consilo.protocol.transitions.table import TRANSITIONS
from tests.contract.ledger_questions import questions
from tests.contract.ledger_recording import RecordedConsortium
from tests.contract.ledger_scenarios import SCENARIOS
from tests.contract.test_ledger_refusals import NOT_BY_PLAYING, WAYS


def test_the_scenarios_make_every_transition_and_every_effect_happen() -> None:
    seen: dict[str, set[str]] = {}
    for scenario in SCENARIOS.values():
        c = RecordedConsortium(verifiers=2)
        scenario(c)
        for asked in c.take():
            if isinstance(asked.answer, Outcome) and asked.answer.event is not None:
                seen.setdefault(asked.answer.event.type, set()).update(asked.answer.event.effects)
    assert seen == {kind: set(row.effects) for kind, row in TRANSITIONS.items()}


def test_every_refusal_is_met_on_every_ledger_but_for_those_named_with_a_reason() -> None:
    assert set(WAYS) | set(NOT_BY_PLAYING) == set(REFUSALS)
    assert not set(WAYS) & set(NOT_BY_PLAYING)


def test_every_query_is_asked() -> None:
    c = RecordedConsortium(verifiers=2)
    SCENARIOS["everything-once"](c)
    assert set(questions(c)) == set(QUERIES)
