"""All members of a consortium act at random, honestly and not; after every step everything that must hold does.

With `CONSILO_PROPERTY_EXAMPLES=2000` (or more) the search goes on for as long as that takes; and only then is a failure
shrunk to a short one, which takes minutes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, TypeVar

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from consilo.protocol.access import reference_of
from consilo.protocol.records import Attestation, GlobalModel, Opening, Update
from consilo.protocol.refusals import REFUSALS, Refusal
from consilo.protocol.transaction import Transaction
from tests import ledger_records
from tests.property import invariants
from tests.property.consortia import consortia
from tests.property.finality import futures, must_stay_refused
from tests.property.recomputation import Ledger
from tests.simulated_members import identity
from tests.simulated_requests import DEADLINE_MS, GRACE_MS, artifact
from tests.simulators import OUTSIDER, Consortium

EXAMPLES = int(os.environ.get("CONSILO_PROPERTY_EXAMPLES", "80"))
STEPS = 40
PHASES = tuple(Phase) if "CONSILO_PROPERTY_EXAMPLES" in os.environ else (Phase.explicit, Phase.reuse, Phase.generate)
REASONS = ("unavailable", "digest-mismatch", "malformed", "not-finite")
T = TypeVar("T")


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
        self.c = data.draw(consortia(), label="consortium")
        for _ in range(data.draw(st.integers(0, len(self.c.layout.silos) + 3), label="honest steps first")):
            self._act_honestly()

    # How it is sent

    def _send(self, data: st.DataObject, transaction: Transaction) -> None:
        """Now, or later; sometimes twice; by a clock that is not quite right."""
        when = data.draw(st.sampled_from(["now", "now", "now", "now", "twice", "later"]), label="when")
        if when == "later":
            self.delayed.append(transaction)
            return
        self.c.advance(data.draw(st.sampled_from([0, 0, 1, 5_000, -5_000, -DEADLINE_MS]), label="jitter of the clock"))
        for _ in range(2 if when == "twice" else 1):
            self._try(transaction)

    def _try(self, transaction: Transaction) -> None:
        try:
            self.c.send(transaction)
        except Refusal as refusal:
            assert refusal.retryable == REFUSALS[refusal.code].retryable  # noqa: PT017
            self.refused.append((transaction, refusal.code))
            if not refusal.retryable:
                for future in futures(self.c):
                    must_stay_refused(future, transaction, refusal.code)

    def _pick(self, data: st.DataObject, items: Sequence[T], label: str) -> T:
        return items[data.draw(st.integers(0, len(items) - 1), label=label)]

    def _choose(self, data: st.DataObject, *members: str) -> str:
        return data.draw(st.sampled_from([*members * 4, f"{OUTSIDER}/silo"]), label="member")

    def _wrong(self, data: st.DataObject, **lies: st.SearchStrategy[Any]) -> dict[str, Any]:
        """Nothing wrong, most of the time; else one of the fields."""
        field = data.draw(st.sampled_from(["", "", "", "", "", *lies]), label="lie")
        return {field: data.draw(lies[field], label=field)} if field else {}

    def _participants(self) -> tuple[str, ...]:
        layout = self.c.layout
        return (*layout.aggregators, *layout.silos, *(f"{msp}/operator" for msp in layout.organisations))

    def _closed(self) -> bool:
        attempt = self.c.status.attempt
        return attempt is not None and attempt.selection is not None

    def _current(self) -> Opening | None:
        attempt = self.c.status.attempt
        return None if attempt is None else attempt.opening

    def _act_honestly(self) -> None:
        if self.c.run_state() in {"proposed", "active"}:
            self.c.honest_step()

    # What members send

    @precondition(lambda self: self.c.run_state() == "proposed")
    @rule(data=st.data())
    def vote(self, data: st.DataObject) -> None:
        msp = data.draw(st.sampled_from(self.c.layout.organisations), label="organisation")
        against = data.draw(st.integers(0, 3), label="against") == 0
        self._send(data, self.c.make.reject_run(msp) if against else self.c.make.approve_run(msp))

    @precondition(lambda self: self._closed() or (self.c.run_state() == "active" and not self.c.status.latest))
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

    @precondition(lambda self: self.c.status.attempt and not self._closed())
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

    @precondition(lambda self: self.c.status.attempt and self.c.attempt.updates and not self._closed())
    @rule(data=st.data())
    def close_round(self, data: st.DataObject) -> None:
        if data.draw(st.integers(0, 3), label="wait"):
            self.c.clock = max(self.c.clock, self.c.attempt.closable_from or 0)
        lies = self._wrong(data, round=st.integers(0, 3), attempt=st.integers(0, 4), updates=st.just("0" * 64))
        self._send(data, self.c.make.close_round(self._choose(data, *self._participants()), **lies))

    @precondition(lambda self: self.c.status.attempt)
    @rule(data=st.data())
    def reopen_round(self, data: st.DataObject) -> None:
        attempt = self.c.attempt
        excluded: dict[str, str] = {}
        members = self._participants()
        if attempt.selection is not None and data.draw(st.booleans(), label="exclude"):
            selected = [update.member for update in attempt.selection.selected]
            named = st.sampled_from([*selected, *selected, *self.c.layout.silos])
            reasons = st.dictionaries(named, st.sampled_from(REASONS), min_size=1, max_size=2)
            excluded = data.draw(reasons, label="excluded")
            members = (*self.c.layout.aggregators * 3, *members)
        elif data.draw(st.integers(0, 3), label="wait"):
            self.c.pass_deadline()
        lies = self._wrong(data, round=st.integers(0, 3), attempt=st.integers(0, 4))
        self._send(data, self.c.make.reopen_round(self._choose(data, *members), excluded, **lies))

    @precondition(lambda self: self.c.layout.verifiers and self.c.status.latest and self.c.status.latest.round)
    @rule(data=st.data())
    def attest(self, data: st.DataObject) -> None:
        models: list[GlobalModel | None] = [None, *(model for model in self.c.all(GlobalModel) if model.round)]
        model = self._pick(data, models, "model")
        verdict = data.draw(st.sampled_from(["mismatch", "ok"]), label="verdict")
        lies = self._wrong(data, sha256=st.just("0" * 64), attempt=st.integers(0, 4))
        heard = {(found.verifier, found.sha256) for found in self.c.all(Attestation)}
        about = (model or self.c.latest).artifact.sha256
        silent = [verifier for verifier in self.c.layout.verifiers if (verifier, about) not in heard]
        verifier = self._choose(data, *(silent or self.c.layout.verifiers))
        self._send(data, self.c.make.attest_global(verifier, verdict, model, **lies))

    @rule(data=st.data())
    def act_on_an_attempt_long_past(self, data: st.DataObject) -> None:
        """Or on that which there is; or before there is one."""
        openings = self.c.all(Opening)
        openings = [opening for opening in openings if opening != self._current()] or openings
        place: dict[str, Any] = {}
        silo = None
        kinds = ["publish_update", "publish_update", "close_round", "reopen_round", "publish_global"]
        kind = data.draw(st.sampled_from(kinds), label="kind")
        if openings:
            opening = self._pick(data, openings, "opening")
            place = {"round": opening.round + (kind == "publish_global"), "attempt": opening.attempt}
            if kind == "publish_update":
                place["base"] = opening.base.sha256
                silo = self._pick(data, opening.cohort, "silo")
        self._send(data, getattr(self.c.make, kind)(silo, **place))

    @precondition(lambda self: self.c.run_state() in {"proposed", "active"})
    @rule(steps=st.integers(1, 2))
    def act_honestly(self, steps: int) -> None:
        for _ in range(steps):
            self._act_honestly()

    @rule(data=st.data())
    def do_what_is_done_less_often(self, data: st.DataObject) -> None:
        c = self.c
        what = ["clock", "clock", "evaluate", "read", "renew", "approve", "admitted", "admitted", "stop"]
        match data.draw(st.sampled_from(what), label="what"):
            case "clock":
                c.advance(data.draw(st.sampled_from([1, GRACE_MS, DEADLINE_MS, -GRACE_MS, -3 * DEADLINE_MS])))
            case "evaluate":
                self._send(data, c.make.report_evaluation(self._choose(data, *c.layout.silos)))
            case "read":
                records: list[GlobalModel | Update] = [*c.all(GlobalModel), *c.all(Update)]
                reader = self._choose(data, *c.layout.readers, *c.layout.verifiers, c.layout.silos[0])
                if records:
                    reference = reference_of(self._pick(data, records, "artifact"))
                    self._send(data, c.make.record_access(reader, reference))
            case "renew":
                silo = data.draw(st.sampled_from(c.layout.silos), label="silo")
                c.revoke_member(silo)
                self.renewals += 1
                c.make.identities[silo] = identity(silo, "silo", f"renewal {self.renewals}")
            case "approve":  # perhaps late
                self._send(data, c.make.approve_run(data.draw(st.sampled_from(c.layout.organisations), label="msp")))
            case "admitted":
                admitted = self._pick(data, c.admitted, "admitted")
                assert c.send(admitted.transaction, vouched=admitted.vouched).repeated
            case "stop" if data.draw(st.booleans(), label="really"):
                self._send(data, c.make.stop_run(data.draw(st.sampled_from(c.layout.organisations), label="msp")))

    @precondition(lambda self: self.delayed or self.refused)
    @rule(data=st.data())
    def send_what_was_delayed_or_refused(self, data: st.DataObject) -> None:
        if self.delayed:
            transaction = self._pick(data, self.delayed, "delayed")
            self.delayed.remove(transaction)
            self._try(transaction)
        else:
            transaction, code = self._pick(data, self.refused, "refused")
            if REFUSALS[code].retryable:
                self._try(transaction)
            else:
                must_stay_refused(self.c, transaction, code)

    # What must hold

    @invariant()
    def nothing_is_ever_overwritten_or_removed(self) -> None:
        """Every record that was there is there, and is what it was."""
        now = self.c.state.records
        assert all(now.get(key) == data for key, data in self.before.items())
        self.before = dict(now)

    @invariant()
    def the_records_are_consistent(self) -> None:
        """See `invariants`."""
        records = self.c.state.records
        known = self.decoded
        self.decoded = {key: known.get(key) or ledger_records.decode(key, records[key]) for key in sorted(records)}
        ledger = Ledger(self.decoded, {key: place for place, key in enumerate(records)})
        for check in invariants.OF_RECORDS:
            check(ledger, "trial")
        invariants.the_status_is_what_all_records_add_up_to(self.c, ledger, "trial")

    @invariant()
    def honest_members_can_always_finish(self) -> None:
        """No state that nobody can leave."""
        if len(self.c.admitted) != self.finishable:
            self.finishable = len(self.c.admitted)
            invariants.honest_members_can_always_finish(self.c)

    def teardown(self) -> None:
        """Replay, and everything again."""
        invariants.replay_gives_the_same_records(self.c)
        for admitted in self.c.admitted:
            assert self.c.send(admitted.transaction).repeated
        for transaction, code in self.refused:
            if not REFUSALS[code].retryable:
                must_stay_refused(self.c, transaction, code)


TestConsortium = ConsortiumMachine.TestCase
TestConsortium.settings = settings(max_examples=EXAMPLES, stateful_step_count=STEPS, phases=PHASES)
