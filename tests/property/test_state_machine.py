"""All members of a consortium act at random, honestly and not; after every step everything that must hold does.

With `CONSILO_PROPERTY_EXAMPLES=2000` (or more) the search goes on for as long as that takes.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from consilo.protocol.access import reference_of
from consilo.protocol.records import GlobalModel, Update
from consilo.protocol.refusals import REFUSALS, Refusal
from consilo.protocol.transaction import Transaction
from consilo.protocol.transitions.table import COMMON_REFUSALS
from tests import ledger_records
from tests.property import invariants
from tests.property.recomputation import Ledger
from tests.simulated_members import identity
from tests.simulated_requests import DEADLINE_MS, GRACE_MS, artifact
from tests.simulators import OUTSIDER, Consortium

EXAMPLES = int(os.environ.get("CONSILO_PROPERTY_EXAMPLES", "70"))
STEPS = 30
REASONS = ("unavailable", "digest-mismatch", "malformed", "not-finite")


class ConsortiumMachine(RuleBasedStateMachine):
    """One run on one ledger."""

    def __init__(self) -> None:
        super().__init__()
        self.c = Consortium(silos=1)
        self.before: dict[str, bytes] = {}
        self.decoded: dict[str, Any] = {}
        self.delayed: list[Transaction] = []
        self.refused: list[tuple[Transaction, str]] = []
        self.renewals = 0
        self.finishable = -1

    @initialize(data=st.data())
    def propose(self, data: st.DataObject) -> None:
        draw = data.draw
        silos = draw(st.integers(2, 4), label="silos")
        organisations = draw(st.integers(1, 3), label="organisations")
        verifiers = draw(st.sampled_from([1, 2, 3, 0]), label="verifiers")
        c = Consortium(silos, organisations=min(silos, organisations), aggregators=2, verifiers=verifiers)
        cohort, size = draw(
            st.sampled_from(
                [
                    ({"kind": "all"}, silos),
                    ({"kind": "count", "count": 2}, 2),
                    ({"kind": "fraction", "fraction": "0.5"}, -(-silos // 2)),
                ]
            ),
            label="cohort",
        )
        threshold = draw(st.integers(1, size), label="threshold")
        minimum = draw(st.integers(1, threshold), label="minimum")
        attestations = draw(st.integers(0, verifiers), label="attestations required")
        selections = [
            {"policy": "all"},
            {"policy": "top_k", "metric": "accuracy", "k": minimum, "order": "highest"},
            {"policy": "at_least", "metric": "accuracy", "value": "0.5"},
        ]
        c.propose_run(
            rounds=draw(st.sampled_from([2, 3, 1]), label="rounds"),
            cohort=cohort,
            threshold=threshold,
            minimum=minimum,
            selection=draw(st.sampled_from(selections), label="selection"),
            approvals_required=draw(st.integers(1, len(c.layout.organisations)), label="approvals"),
            attestations_required=attestations,
            mismatches_to_annul=draw(st.sampled_from([1, 1, max(1, verifiers + 1 - attestations)]), label="mismatches"),
        )
        self.c = c
        for _ in range(draw(st.integers(0, silos + 5), label="honest steps first")):
            if c.run_state() in {"proposed", "active"}:
                c.honest_step()

    # What members send

    def _send(self, data: st.DataObject, transaction: Transaction) -> None:
        """Now, or later; sometimes twice."""
        when = data.draw(st.sampled_from(["now", "now", "now", "twice", "later"]), label="when")
        if when == "later":
            self.delayed.append(transaction)
            return
        for _ in range(2 if when == "twice" else 1):
            self._try(transaction)

    def _try(self, transaction: Transaction) -> None:
        try:
            self.c.send(transaction)
        except Refusal as refusal:
            assert refusal.retryable == REFUSALS[refusal.code].retryable  # noqa: PT017
            self.refused.append((transaction, refusal.code))

    def _choose(self, data: st.DataObject, *members: str) -> str:
        return data.draw(st.sampled_from([*members, *members, *members, f"{OUTSIDER}/silo"]), label="member")

    def _participants(self) -> tuple[str, ...]:
        layout = self.c.layout
        return (*layout.aggregators, *layout.silos, *(f"{msp}/operator" for msp in layout.organisations))

    def _wait(self, data: st.DataObject) -> None:
        """Most of the time until the attempt may be closed, or reopened; else too early."""
        attempt = self.c.status.attempt
        if attempt is not None:
            until = data.draw(st.sampled_from([attempt.closable_from, attempt.reopenable_from, None]), label="until")
            self.c.clock = max(self.c.clock, until or 0)

    def _wrong(self, data: st.DataObject, **lies: st.SearchStrategy[Any]) -> dict[str, Any]:
        """Nothing wrong, most of the time; else one of the fields."""
        field = data.draw(st.sampled_from(["", "", "", "", "", *lies]), label="lie")
        return {field: data.draw(lies[field], label=field)} if field else {}

    @precondition(
        lambda self: len(self.c.status.approvals + self.c.status.rejections) < len(self.c.layout.organisations)
    )
    @rule(data=st.data())
    def vote(self, data: st.DataObject) -> None:
        msp = data.draw(st.sampled_from(self.c.layout.organisations), label="organisation")
        against = data.draw(st.integers(0, 3), label="against") == 0
        self._send(data, self.c.make.reject_run(msp) if against else self.c.make.approve_run(msp))

    @precondition(lambda self: self.c.run_state() != "finished")
    @rule(data=st.data())
    def publish_global(self, data: st.DataObject) -> None:
        lies = self._wrong(
            data,
            round=st.integers(0, 4),
            attempt=st.integers(0, 4),
            inputs=st.just(()),
            artifact=st.just(artifact(OUTSIDER, "elsewhere")),
            strategy=st.just({"name": "other", "version": 1, "parameters": {}}),
        )
        self._send(data, self.c.make.publish_global(self._choose(data, *self.c.layout.aggregators), **lies))

    @precondition(lambda self: self.c.status.attempt)
    @rule(data=st.data())
    def publish_update(self, data: st.DataObject) -> None:
        lies = self._wrong(
            data,
            round=st.integers(0, 3),
            attempt=st.integers(0, 4),
            base=st.just("0" * 64),
            num_samples=st.sampled_from([0, 1001, 2**40]),
            artifact=st.just(artifact(OUTSIDER, "elsewhere")),
        )
        accuracy = data.draw(st.sampled_from(["0.9", "0.6", "0.4", "0.4", None, "nan"]), label="accuracy")
        fields = {"metrics": {} if accuracy is None else {"accuracy": accuracy}, **lies}
        fields.setdefault("num_samples", data.draw(st.sampled_from([10, 11, 1000]), label="samples"))
        self._send(data, self.c.make.publish_update(self._choose(data, *self.c.layout.silos), **fields))

    @precondition(lambda self: self.c.status.attempt)
    @rule(data=st.data())
    def close_round(self, data: st.DataObject) -> None:
        self._wait(data)
        lies = self._wrong(data, round=st.integers(0, 3), attempt=st.integers(0, 4), updates=st.just("0" * 64))
        self._send(data, self.c.make.close_round(self._choose(data, *self._participants()), **lies))

    @precondition(lambda self: self.c.status.attempt)
    @rule(data=st.data())
    def reopen_round(self, data: st.DataObject) -> None:
        attempt = self.c.status.attempt
        selected = () if attempt is None or attempt.selection is None else attempt.selection.selected
        known = sorted({update.member for update in selected}) or self.c.layout.silos
        excluded = data.draw(
            st.dictionaries(st.sampled_from(known), st.sampled_from(REASONS), max_size=2), label="excluded"
        )
        if not excluded:
            self._wait(data)
        lies = self._wrong(data, round=st.integers(0, 3), attempt=st.integers(0, 4))
        self._send(data, self.c.make.reopen_round(self._choose(data, *self._participants()), excluded, **lies))

    @precondition(lambda self: self.c.layout.verifiers and self.c.status.latest and self.c.status.latest.round)
    @rule(data=st.data())
    def attest(self, data: st.DataObject) -> None:
        models: list[GlobalModel | None] = [None, *(model for model in self.c.all(GlobalModel) if model.round)]
        model = data.draw(st.sampled_from(models), label="model")
        verdict = data.draw(st.sampled_from(["mismatch", "ok"]), label="verdict")
        lies = self._wrong(data, sha256=st.just("0" * 64), attempt=st.integers(0, 4))
        self._send(
            data, self.c.make.attest_global(self._choose(data, *self.c.layout.verifiers), verdict, model, **lies)
        )

    @precondition(lambda self: self.c.status.latest)
    @rule(data=st.data())
    def evaluate_and_read(self, data: st.DataObject) -> None:
        member = self._choose(data, *self.c.layout.silos)
        self._send(data, self.c.make.report_evaluation(member))
        records: list[GlobalModel | Update] = [*self.c.all(GlobalModel), *self.c.all(Update)]
        if records:
            reader = self._choose(data, *self.c.layout.readers, *self.c.layout.verifiers, member)
            record = data.draw(st.sampled_from(records), label="artifact")
            self._send(data, self.c.make.record_access(reader, reference_of(record)))

    @rule(data=st.data())
    def act_out_of_season(self, data: st.DataObject) -> None:
        """Whatever the run's state is: before it is active, while attestations are awaited, after its end."""
        make = self.c.make
        kinds = [make.publish_update, make.close_round, make.reopen_round, make.publish_global, make.attest_global]
        self._send(data, data.draw(st.sampled_from(kinds), label="kind")())

    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        # Seldom, since little can happen afterwards.
        if data.draw(st.integers(0, 19), label="stop") == 19:
            msp = data.draw(st.sampled_from(self.c.layout.organisations), label="organisation")
            self._send(data, self.c.make.stop_run(msp))

    @rule(data=st.data())
    def revoke_and_renew(self, data: st.DataObject) -> None:
        silo = data.draw(st.sampled_from(self.c.layout.silos), label="silo")
        self.c.revoke_member(silo)
        self.renewals += 1
        self.c.make.identities[silo] = identity(silo, "silo", f"renewal {self.renewals}")

    @rule(ms=st.sampled_from([1, GRACE_MS, DEADLINE_MS, 3 * DEADLINE_MS, -1, -GRACE_MS, -3 * DEADLINE_MS]))
    def let_the_clock_jump(self, ms: int) -> None:
        self.c.advance(ms)

    @precondition(lambda self: self.c.run_state() in {"proposed", "active"})
    @rule(steps=st.integers(1, 6))
    def act_honestly(self, steps: int) -> None:
        for _ in range(steps):
            if self.c.run_state() in {"proposed", "active"}:
                self.c.honest_step()

    # What comes late, or again

    @precondition(lambda self: self.delayed)
    @rule(data=st.data())
    def deliver_what_was_delayed(self, data: st.DataObject) -> None:
        place = data.draw(st.integers(0, len(self.delayed) - 1), label="delayed")
        self._try(self.delayed.pop(place))

    @rule(data=st.data())
    def send_again_what_was_admitted(self, data: st.DataObject) -> None:
        admitted = data.draw(st.sampled_from(self.c.admitted), label="admitted")
        assert self.c.send(admitted.transaction, vouched=admitted.vouched).repeated

    @precondition(lambda self: self.refused)
    @rule(data=st.data())
    def send_again_what_was_refused(self, data: st.DataObject) -> None:
        transaction, code = data.draw(st.sampled_from(self.refused), label="refused")
        if REFUSALS[code].retryable:
            self._try(transaction)
        else:
            self._must_stay_refused(transaction, code)

    def _must_stay_refused(self, transaction: Transaction, code: str) -> None:
        """What was refused for good is never admitted; but the member may have signed it anew with another key."""
        try:
            outcome = self.c.send(transaction)
        except Refusal:
            return
        assert code in COMMON_REFUSALS, f"admitted after {code}"
        assert outcome.repeated, f"admitted after {code}"

    # What must hold

    @invariant()
    def nothing_is_ever_overwritten_or_removed(self) -> None:
        """Every record that was there is there, and is what it was."""
        now = self.c.state.records
        assert all(now.get(key) == data for key, data in self.before.items())
        self.before = dict(now)

    @invariant()
    def the_records_are_consistent(self) -> None:
        records = self.c.state.records
        self.decoded = {
            key: self.decoded.get(key) or ledger_records.decode(key, records[key]) for key in sorted(records)
        }
        ledger = Ledger(self.decoded)
        for check in invariants.OF_RECORDS:
            check(ledger, "trial")
        invariants.the_status_is_what_all_records_add_up_to(self.c, ledger, "trial")

    @invariant()
    def honest_members_can_always_finish(self) -> None:
        if len(self.c.admitted) != self.finishable:
            self.finishable = len(self.c.admitted)
            invariants.honest_members_can_always_finish(self.c)

    def teardown(self) -> None:
        invariants.replay_gives_the_same_records(self.c)
        for transaction, code in self.refused:
            if not REFUSALS[code].retryable:
                self._must_stay_refused(transaction, code)


TestConsortium = ConsortiumMachine.TestCase
TestConsortium.settings = settings(max_examples=EXAMPLES, stateful_step_count=STEPS)
