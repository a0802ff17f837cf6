"""Attacks that the state machine refuses: each takes a line or three in the simulated consortium."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from consilo.protocol.records import Exclusion, SelectedUpdate
from consilo.protocol.transaction import Transaction
from tests.attacks.table import Attack, attacks_of
from tests.forgeries import tampered
from tests.simulated_members import expired_identity, identity, impostor_identity
from tests.simulated_requests import artifact
from tests.simulators import OUTSIDER, Consortium

Way = Callable[[Consortium], Transaction]

TEST = "tests/attacks/test_protocol.py::test_the_state_machine_refuses"
A, B, C = "HospitalA/silo", "HospitalB/silo", "HospitalC/silo"


def _closed(c: Consortium) -> Transaction:
    late = c.make.publish_update(C)
    c.publish_updates(A, B)
    c.advance(60_000)
    c.close_round()
    return late


def _superseded(c: Consortium) -> Transaction:
    late = c.make.publish_update(C)
    c.pass_deadline()
    c.reopen_round()
    return late


def _other_run(c: Consortium) -> Transaction:
    update = c.make.publish_update(A)
    c.make.run = "other"
    c.running(initial=artifact("HospitalA", "another-model"))
    return c.make.publish_update(A, base=update.payload.body["base"])


def _not_asked(c: Consortium) -> Transaction:
    c.make.run = "sample"
    c.running(cohort={"kind": "count", "count": 2}, threshold=2, minimum=2)
    left_out = next(silo for silo in (A, B, C) if silo not in c.attempt.opening.cohort)
    return c.make.publish_update(left_out)


def _revoked(c: Consortium) -> Transaction:
    c.revoke_member(A)
    return c.make.publish_update(A)


def _twice(c: Consortium) -> Transaction:
    c.publish_update(A)
    return c.make.publish_update(A, num_samples=11)


def _other_inputs(c: Consortium) -> Transaction:
    c.close()
    return c.make.publish_global(inputs=_selected(c)[:-1])


def _other_weights(c: Consortium) -> Transaction:
    c.close()
    first, *others = _selected(c)
    return c.make.publish_global(inputs=(first.model_copy(update={"num_samples": 999}), *others))


def _other_strategy(c: Consortium) -> Transaction:
    c.close()
    return c.make.publish_global(strategy={"name": "trimmed_mean", "version": 1, "parameters": {}})


def _selected(c: Consortium) -> tuple[SelectedUpdate, ...]:
    assert c.attempt.selection is not None
    return c.attempt.selection.selected


def _second(c: Consortium) -> Transaction:
    c.close()
    second = c.make.publish_global(artifact=artifact("HospitalA", "another"))
    c.publish_global()
    return second


def _initial(c: Consortium) -> Transaction:
    c.make.run = "other"
    c.active()
    return c.make.publish_global(artifact=artifact("HospitalA", "another-model"))


def _changed(c: Consortium) -> Transaction:
    c.publish_updates(A, B)
    close = c.make.close_round()
    c.publish_update(C)
    return close


def _pushed_out(c: Consortium) -> Transaction:
    c.close()
    return c.make.reopen_round(A, {B: "digest-mismatch"})


def _unknown(c: Consortium) -> Transaction:
    c.publish_updates(A, B)
    c.advance(60_000)
    c.close_round()
    return c.make.reopen_round(excluded={C: "unavailable"})


def _outside_verifier(c: Consortium) -> Transaction:
    c.complete_round()
    return c.make.attest_global("HospitalA/verifier-9")


def _too_early(c: Consortium) -> Transaction:
    c.publish_update(A)
    return c.make.close_round()


WAYS: dict[str, Way] = {
    "an update for a closed round": _closed,
    "an update for a future round": lambda c: c.make.publish_update(A, round=1),
    "an update for an attempt that was reopened": _superseded,
    "an update for another run's round": _other_run,
    "an update by a silo that was not asked": _not_asked,
    "an update by an organisation that takes no part": lambda c: c.make.publish_update(f"{OUTSIDER}/silo"),
    "an update by a member that is no silo": lambda c: c.make.publish_update("HospitalA/operator"),
    "an update in another silo's name": lambda c: c.make.publish_update(A, by=identity("HospitalA/silo-2")),
    "an update by a revoked certificate": _revoked,
    "an update by an expired certificate": lambda c: c.make.publish_update(A, by=expired_identity(A)),
    "an update by a certificate of another organisation's CA": lambda c: c.make.publish_update(
        A, by=impostor_identity(A)
    ),
    "an update that was changed on its way": lambda c: tampered(c.make.publish_update(A), num_samples=999),
    "an update signed for another ledger": lambda c: c.make.sign(
        A, "publish_update", c.make.publish_update(A).payload.body, ledger="another"
    ),
    "an update trained on another base": lambda c: c.make.publish_update(A, base="0" * 64),
    "an update of another size than the schema's": lambda c: c.make.publish_update(
        A, artifact=artifact("HospitalA", "a", size_bytes=1)
    ),
    "an update that lies with another organisation": lambda c: c.make.publish_update(
        A, artifact=artifact("HospitalB", "a")
    ),
    "metrics that are not finite": lambda c: c.make.publish_update(A, metrics={"accuracy": "nan"}),
    "metrics that are spelled otherwise than they must be": lambda c: c.make.publish_update(
        A, metrics={"accuracy": "0.90"}
    ),
    "a number of samples of zero": lambda c: c.make.publish_update(A, num_samples=0),
    "a negative number of samples": lambda c: c.make.publish_update(A, num_samples=-1),
    "a number of samples that is no integer": lambda c: c.make.publish_update(A, num_samples="10"),
    "more samples than the silo's cap": lambda c: c.make.publish_update(A, num_samples=1001),
    "two updates of one silo with different content": _twice,
    "a global of other inputs than the selection's": _other_inputs,
    "a global of other weights than the selection's": _other_weights,
    "a global by another strategy": _other_strategy,
    "a global before the round is closed": lambda c: c.make.publish_global(),
    "a second global of one attempt": _second,
    "a first global that is not the initial one": _initial,
    "a global by a member that is no aggregator of the run": lambda c: c.make.publish_global("HospitalC/aggregator"),
    "closing a round too early": _too_early,
    "closing a round on updates that have changed": _changed,
    "reopening a round without a reason": lambda c: c.make.reopen_round(),
    "excluding a member that has no update": _unknown,
    "excluding by a silo, to push another one out": _pushed_out,
    "an attestation by a verifier that the run does not name": _outside_verifier,
}


@pytest.mark.parametrize("attack", attacks_of(TEST), ids=lambda attack: attack.name)
def test_the_state_machine_refuses(attack: Attack) -> None:
    c = Consortium(silos=3)
    c.running()
    transaction = WAYS[attack.name](c)
    before = dict(c.state.records)
    with c.refused(attack.code):
        c.send(transaction)
    assert c.state.records == before, "something was lost or gained"
    c.make.run = "trial"
    c.make.identities.clear()
    if attack.name != "an update by a revoked certificate":
        c.continue_honestly()
        assert c.run_state() == "finished", "honest members cannot go on"


def test_no_way_is_without_its_row() -> None:
    assert set(WAYS) == {attack.name for attack in attacks_of(TEST)}


def test_an_honest_silo_that_was_excluded_comes_back() -> None:
    c = Consortium(silos=3)
    c.running()
    c.close()
    c.reopen_round(excluded={B: "unavailable"})
    opening = c.attempt.opening
    assert opening.excluded == (Exclusion(member=B, reason="unavailable"),)
    assert [carried.member for carried in opening.carried] == [A, C]
    c.publish_update(B)
    c.close()
    c.publish_global()
    assert {selected.member for selected in c.latest.inputs} == {A, B, C}
