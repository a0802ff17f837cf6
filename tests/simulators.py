"""A whole consortium in memory, in which an attack or a fault takes three lines. No I/O but key generation.

    c = Consortium(silos=3)
    c.running()
    with c.refused("already-published"):
        c.publish_update("HospitalA/silo"), c.publish_update("HospitalA/silo", num_samples=11)

Every transaction is signed with a real key under a real certificate and goes through `apply`. Each method of
`simulated_requests.Requests` is here too, and sends what it makes; `c.make` has those that only sign. On every single
transaction the simulation asserts what holds for all of them:

- a refusal has a code that the transition's row of the table (or `COMMON_REFUSALS`) announces, and changes nothing;
- `apply` itself never changes the state, and the same request again writes nothing;
- what is written was not there before, is canonical, stands under a key of its kind, and has announced effects.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from consilo.protocol import keys
from consilo.protocol.apply import Outcome, apply
from consilo.protocol.model import Record
from consilo.protocol.records import GlobalModel
from consilo.protocol.refusals import Refusal
from consilo.protocol.selection import select
from consilo.protocol.state import DictState, writes_digest
from consilo.protocol.transaction import Transaction
from consilo.protocol.transitions.table import COMMON_REFUSALS, TRANSITIONS
from consilo.protocol.values import organisation_of
from consilo.protocol.views import Attempt, RunState, RunStatus, run_status
from tests import ledger_records
from tests.simulated_members import START_MS
from tests.simulated_requests import Layout, Requests

R = TypeVar("R", bound=Record)

OUTSIDER = "HospitalX"
"""An organisation that is registered on the ledger, but not named by any run."""


@dataclass(frozen=True)
class Admitted:
    """A transaction that the ledger admitted, and under which circumstances."""

    transaction: Transaction
    time: int
    vouched: bool
    writes: str


class Consortium:
    """Organisations, their members, a ledger and a clock.

    Organisations are HospitalA, HospitalB, ...; silos, aggregators and verifiers are spread over them in turn
    (`HospitalA/silo`, `HospitalB/silo`, ..., `HospitalA/silo-2`), verifiers from the last organisation on.

    Several can share one ledger: each has a run of its own, certificates of its own (`label`), and joins a `state`
    that is there already, at a time of its own.

    Attributes:
        state: the ledger's.
        clock: milliseconds since the epoch: the time of the next transaction.
        make: signs transactions without sending them.
        admitted: what the ledger admitted, in order, without repetitions.
    """

    def __init__(
        self,
        silos: int = 3,
        *,
        organisations: int | None = None,
        aggregators: int = 2,
        verifiers: int = 1,
        ledger: str = "simulation",
        state: DictState | None = None,
        clock: int = START_MS,
        run: str = "trial",
        label: str = "",
    ) -> None:
        msps = tuple(f"Hospital{chr(ord('A') + index)}" for index in range(organisations or silos))
        layout = Layout(
            organisations=msps,
            silos=_spread(msps, "silo", silos),
            aggregators=_spread(msps, "aggregator", aggregators),
            verifiers=_spread(msps[::-1], "verifier", verifiers),
            readers=(f"{msps[0]}/auditor",),
        )
        self.state = DictState(ledger) if state is None else state
        self.clock = clock
        self.make = Requests(self.state, layout, run, label=label)
        self.admitted: list[Admitted] = []
        for msp in (*msps, OUTSIDER):
            if self.state.get(keys.organisation(msp, 1)) is None:
                self.send(self.make.register_organisation(msp), vouched=True)

    def __repr__(self) -> str:
        run = self.make.status()
        return f"Consortium({self.layout}, {run.proposal.specification if run else None})"

    @property
    def layout(self) -> Layout:
        """Who takes part."""
        return self.make.layout

    def copy(self) -> Consortium:
        """The same consortium, to try what would become of it."""
        other = object.__new__(Consortium)
        other.state = DictState(self.state.ledger)
        other.state.commit(self.state.records)
        other.clock = self.clock
        other.make = replace(self.make, state=other.state, identities=dict(self.make.identities))
        other.admitted = list(self.admitted)
        return other

    # Sending

    def send(self, transaction: Transaction, *, vouched: bool = False) -> Outcome:
        """Apply a transaction and commit its writes.

        Raises:
            Refusal: the state machine does not admit it.
        """
        before = dict(self.state.records)
        row = TRANSITIONS.get(transaction.payload.type)
        try:
            outcome = apply(self.state, transaction, self.clock, vouched=vouched)
        except Refusal as refusal:
            if refusal.code not in (*COMMON_REFUSALS, *(row.refusals if row else ())):
                raise AssertionError(f"{transaction.payload.type} does not announce {refusal.code}") from refusal
            raise
        finally:
            assert self.state.records == before, "apply changed the state"
        if outcome.event is None:
            assert outcome.writes == {}
            return outcome
        assert row is not None
        assert set(outcome.event.effects) <= set(row.effects)
        for key, data in outcome.writes.items():
            ledger_records.decode(key, data)
        self.state.commit(outcome.writes)
        self.admitted.append(Admitted(transaction, self.clock, vouched, writes_digest(outcome.writes)))
        return outcome

    @contextmanager
    def refused(self, code: str) -> Iterator[None]:
        """What is sent within is refused with this code."""
        try:
            yield
        except Refusal as refusal:
            if refusal.code != code:
                raise AssertionError(f"refused with {refusal.code}, not {code}: {refusal.message}") from refusal
        else:
            raise AssertionError(f"was not refused ({code})")

    def __getattr__(self, name: str) -> Any:
        """Each method of `make` that gives a transaction, followed by `send`."""
        if name not in TRANSITIONS:
            raise AttributeError(name)
        request = getattr(self.make, name)

        def make_and_send(*arguments: Any, vouched: bool = False, **fields: Any) -> Outcome:
            return self.send(request(*arguments, **fields), vouched=vouched)

        return make_and_send

    # Time and state

    def advance(self, milliseconds: int) -> None:
        """Let time pass (or, when negative, set the clock back)."""
        self.clock += milliseconds

    def pass_deadline(self) -> None:
        """Let time pass until the current attempt may be reopened by anyone."""
        self.clock = max(self.clock, self.attempt.reopenable_from)

    @property
    def status(self) -> RunStatus:
        """Where the run stands."""
        return run_status(self.state, self.make.run)

    def run_state(self) -> RunState:
        """Whether the run is proposed, active, rejected, stopped or finished."""
        return self.status.state

    @property
    def attempt(self) -> Attempt:
        """The current attempt, which must be there."""
        attempt = self.status.attempt
        assert attempt is not None, "no attempt is open"
        return attempt

    @property
    def latest(self) -> GlobalModel:
        """The latest global, which must be there."""
        latest = self.status.latest
        assert latest is not None, "there is no global"
        return latest

    def all(self, model: type[R]) -> list[R]:
        """All records of a kind, in the order of their keys."""
        found = ((key, self.state.records[key]) for key in sorted(self.state.records))
        return [model.decode(data) for key, data in found if ledger_records.model_of(key) is model]

    # Longer ways

    def proposed(self, **specification: object) -> None:
        """Have a run proposed, by the first organisation."""
        self.propose_run(**specification)

    def active(self, **specification: object) -> None:
        """Have a run proposed and approved by all."""
        self.proposed(**specification)
        for msp in self.layout.organisations[1:]:
            self.approve_run(msp)

    def running(self, **specification: object) -> RunStatus:
        """Have a run proposed, approved by all, and its round 0 open."""
        self.active(**specification)
        self.publish_global()
        return self.status

    def publish_updates(self, *members: str) -> None:
        """Updates of these silos; by default of all of the cohort that have none yet."""
        have = {update.member for update in self.attempt.updates}
        for member in members or [silo for silo in self.attempt.opening.cohort if silo not in have]:
            self.publish_update(member)

    def close(self) -> None:
        """Updates of all of the cohort, and the closing of the attempt."""
        self.publish_updates()
        self.close_round()

    def complete_round(self) -> GlobalModel:
        """All that it takes from an open attempt to the next open round, or to the end of the run."""
        self.close()
        self.publish_global()
        model = self.latest
        for verifier in self.layout.verifiers[: self.status.proposal.specification.attestations_required]:
            self.attest_global(verifier)
        return model

    def continue_honestly(self, *, most_steps: int = 200) -> int:
        """Do what honest members would do, each step by anyone who may, until the run is finished.

        Returns:
            The number of steps.
        """
        steps = 0
        while self.status.state != "finished":
            assert steps < most_steps, f"not finished after {steps} honest steps: {self.status}"
            self.honest_step()
            steps += 1
        return steps

    def honest_step(self) -> None:
        """The one thing that an honest member would do next for a run that is proposed or active."""
        status = self.status
        specification = status.proposal.specification
        voted = {decision.msp for decision in (*status.approvals, *status.rejections)}
        approved = {decision.msp for decision in status.approvals}
        if status.state == "proposed":
            self.approve_run(next(msp for msp in specification.organisations if msp not in voted))
            return
        aggregator = next(member for member in specification.aggregators if organisation_of(member) in approved)
        attempt = status.attempt
        if status.latest is None or (attempt is not None and attempt.selection is not None):
            self.publish_global(aggregator)
        elif attempt is None:
            heard = {attestation.verifier for attestation in status.attestations}
            able = [member for member in specification.verifiers if organisation_of(member) in approved]
            self.attest_global(next(member for member in able if member not in heard))
        elif missing := set(attempt.opening.cohort) - {update.member for update in attempt.updates}:
            self.publish_update(min(missing))
        elif len(select(specification.selection, attempt.updates)[0]) < specification.minimum:
            self.pass_deadline()
            self.reopen_round(aggregator)
        else:
            assert attempt.closable_from is not None, "all of the cohort are not enough"
            self.clock = max(self.clock, attempt.closable_from)
            self.close_round(aggregator)


def _spread(msps: tuple[str, ...], role: str, count: int) -> tuple[str, ...]:
    names = []
    for index in range(count):
        turn, place = divmod(index, len(msps))
        names.append(f"{msps[place]}/{role}" + (f"-{turn + 1}" if turn else ""))
    return tuple(sorted(names))
