"""Ways to be refused for what a round, a global model or an artifact does not allow."""

from __future__ import annotations

from functools import partial

from consilo.protocol import keys
from consilo.protocol.access import reference_of
from consilo.protocol.bodies import GlobalArtifact
from consilo.protocol.records import Opening, Update
from consilo.protocol.transaction import Transaction
from tests.simulated_requests import artifact
from tests.simulators import OUTSIDER, Consortium
from tests.unit.protocol.ways import Way, register

SILO_A, SILO_B, SILO_C = "HospitalA/silo", "HospitalB/silo", "HospitalC/silo"
VERIFIER_B, VERIFIER_C = "HospitalB/verifier", "HospitalC/verifier"

WAYS: dict[str, Way] = {}
way = partial(register, WAYS)


@way("attempt-not-open")
def _(c: Consortium) -> Transaction:
    c.running()
    return c.make.publish_update(round=1)


@way("attempt-superseded")
def _(c: Consortium) -> Transaction:
    c.running()
    late = c.make.publish_update(SILO_A)
    c.pass_deadline()
    c.reopen_round()
    return late


@way("not-in-cohort")
def _(c: Consortium) -> Transaction:
    c.running(cohort={"kind": "count", "count": 2})
    return c.make.publish_update(next(silo for silo in c.layout.silos if silo not in c.attempt.opening.cohort))


@way("round-closed")
def _(c: Consortium) -> Transaction:
    c.running()
    c.publish_updates(SILO_A, SILO_B)
    c.pass_deadline()
    c.close_round()
    return c.make.publish_update(SILO_C)


@way("already-published")
def _(c: Consortium) -> Transaction:
    c.running()
    c.publish_update(SILO_A)
    return c.make.publish_update(SILO_A, num_samples=11)


@way("base-mismatch")
def _(c: Consortium) -> Transaction:
    c.running()
    return c.make.publish_update(base="0" * 64)


@way("artifact-mismatch")
def _(c: Consortium) -> Transaction:
    c.running()
    return c.make.publish_update(SILO_A, artifact=artifact("HospitalB", "somewhere-else"))


@way("too-many-samples")
def _(c: Consortium) -> Transaction:
    c.running()
    return c.make.publish_update(num_samples=1001)


@way("updates-changed")
def _(c: Consortium) -> Transaction:
    c.running()
    c.publish_updates(SILO_A, SILO_B)
    close = c.make.close_round()
    c.publish_update(SILO_C)
    return close


@way("too-early")
def _(c: Consortium) -> Transaction:
    c.running()
    c.publish_updates(SILO_A, SILO_B)
    return c.make.close_round()


@way("selection-too-small")
def _(c: Consortium) -> Transaction:
    c.running(selection={"policy": "at_least", "metric": "accuracy", "value": "0.95"})
    c.publish_updates()
    return c.make.close_round()


@way("round-not-closed")
def _(c: Consortium) -> Transaction:
    c.running()
    return c.make.publish_global()


@way("exclusion-unknown")
def _(c: Consortium) -> Transaction:
    c.running()
    c.close()
    return c.make.reopen_round(excluded={f"{OUTSIDER}/silo": "unavailable"})


@way("nothing-to-reopen")
def _(c: Consortium) -> Transaction:
    c.running()
    return c.make.reopen_round()


@way("attempts-exhausted")
def _(c: Consortium) -> Transaction:
    c.running()
    last = c.all(Opening)[-1].model_copy(update={"attempt": 9_999})
    c.state.commit({keys.opening("trial", 0, 9_999): last.encode()})
    c.pass_deadline()
    return c.make.reopen_round(attempt=9_999)


@way("global-exists")
def _(c: Consortium) -> Transaction:
    c.running()
    c.close()
    second = c.make.publish_global("HospitalB/aggregator")
    c.publish_global("HospitalA/aggregator")
    return second


@way("global-unknown")
def _(c: Consortium) -> Transaction:
    c.running()
    return c.make.report_evaluation(sha256="0" * 64)


@way("global-annulled")
def _(c: Consortium) -> Transaction:
    c.running()
    late = c.make.attest_global(VERIFIER_B, model=c.complete_round())
    c.attest_global(VERIFIER_C, "mismatch")
    return late


@way("initial-mismatch")
def _(c: Consortium) -> Transaction:
    c.active()
    return c.make.publish_global(artifact=artifact("HospitalA", "not-the-initial-one"))


@way("selection-mismatch")
def _(c: Consortium) -> Transaction:
    c.running()
    c.close()
    inputs = c.attempt.selection.selected if c.attempt.selection else ()
    return c.make.publish_global(inputs=inputs[:-1])


@way("already-attested")
def _(c: Consortium) -> Transaction:
    c.running()
    c.complete_round()
    c.attest_global(VERIFIER_C, "ok")
    return c.make.attest_global(VERIFIER_C, "mismatch")


@way("already-evaluated")
def _(c: Consortium) -> Transaction:
    c.running()
    c.report_evaluation(SILO_A)
    return c.make.report_evaluation(SILO_A, num_samples=6)


@way("artifact-unknown")
def _(c: Consortium) -> Transaction:
    c.running()
    return c.make.record_access(SILO_A, GlobalArtifact(kind="global", round=1, attempt=1, sha256="0" * 64))


@way("access-not-allowed")
def _(c: Consortium) -> Transaction:
    c.running()
    c.publish_update(SILO_A)
    return c.make.record_access(SILO_B, reference_of(c.all(Update)[0]))
