"""What must hold on every ledger, whoever sends whatever in whatever order. Each is a sentence, and a function."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from consilo.protocol.apply import apply
from consilo.protocol.cohort import draw_cohort
from consilo.protocol.records import (
    Access,
    Attestation,
    Decision,
    Evaluation,
    Generation,
    GlobalModel,
    Marker,
    Opening,
    Proposal,
    Selection,
    Update,
)
from consilo.protocol.selection import never_selected, select, updates_digest
from consilo.protocol.specification import Specification
from consilo.protocol.state import DictState, writes_digest
from consilo.protocol.values import organisation_of
from consilo.protocol.views import round_summary, run_status
from tests.property import recomputation
from tests.property.recomputation import Ledger
from tests.simulators import Consortium


def at_most_one_global_stands_in_each_round(ledger: Ledger, run: str) -> None:
    """Of each round at most one global stands, and they have no gaps: each descends from the one before."""
    standing = ledger.standing(run)
    assert [model.round for model in standing] == list(range(len(standing)))
    for before, model in pairwise(standing):
        opening = _opening(ledger, run, model.round - 1, model.attempt)
        assert opening.base == before.reference


def every_global_has_the_inputs_of_the_recorded_selection(ledger: Ledger, run: str) -> None:
    """The inputs and weights of every global are those that the ledger selected; global 0 is the agreed artifact."""
    specification = _specification(ledger, run)
    for model in ledger.globals(run):
        assert model.strategy == specification.strategy
        if model.round == 0:
            assert model.artifact == specification.initial
            assert model.inputs == ()
        else:
            selection = ledger.selection(_opening(ledger, run, model.round - 1, model.attempt))
            assert selection is not None
            assert model.inputs == selection.selected


def every_selection_follows_from_the_updates_that_counted(ledger: Ledger, run: str) -> None:
    """A selection is what the policy makes of the updates that counted, and never fewer than the minimum."""
    specification = _specification(ledger, run)
    for opening in ledger.attempts(run):
        selection = ledger.selection(opening)
        if selection is not None:
            updates = ledger.counting(opening)
            assert (selection.selected, selection.left_out) == select(specification.selection, updates)
            assert selection.updates == updates_digest(updates)
            assert selection.total_samples == sum(update.num_samples for update in selection.selected)
            assert len(selection.selected) >= specification.minimum


def every_update_was_asked_for_and_is_within_its_terms(ledger: Ledger, run: str) -> None:
    """An update is of a silo of its attempt's cohort, on that attempt's base, within the cap, of the right size."""
    specification = _specification(ledger, run)
    for update in ledger.all(Update, f"run/{run}/"):
        opening = _opening(ledger, run, update.round, update.attempt)
        terms = specification.terms_of(update.member)
        assert terms is not None
        assert update.member in opening.cohort
        assert update.base == opening.base.sha256
        assert update.num_samples <= terms.max_samples
        assert update.artifact.organisation == organisation_of(update.member)
        assert update.artifact.size_bytes == specification.tensors.artifact_bytes


def no_member_counts_twice_in_an_attempt(ledger: Ledger, run: str) -> None:
    """In every attempt each member has at most one update that counts, and it is a member of the cohort."""
    for opening in ledger.attempts(run):
        counted = Counter(update.member for update in ledger.counting(opening))
        assert set(counted.values()) <= {1}
        assert set(counted) <= set(opening.cohort)


def attempts_are_numbered_without_gaps(ledger: Ledger, run: str) -> None:
    """The attempts of each round are 1, 2, 3, ..., of generations that never go back."""
    by_round: dict[int, list[Opening]] = {}
    for opening in ledger.attempts(run):
        by_round.setdefault(opening.round, []).append(opening)
    for openings in by_round.values():
        assert [opening.attempt for opening in openings] == list(range(1, len(openings) + 1))
        assert [opening.generation for opening in openings] == sorted(opening.generation for opening in openings)


def every_cohort_is_the_one_that_was_drawn(ledger: Ledger, run: str) -> None:
    """A cohort is drawn as the rule says, of the silos of those organisations that had approved by then."""
    specification = _specification(ledger, run)
    for opening in ledger.attempts(run):
        place = ledger.order[_opening_key(run, opening.round, opening.attempt)]
        approved = {
            msp for msp in specification.organisations if ledger.order.get(f"run/{run}/approval/{msp}", place) < place
        }
        assert opening.cohort == draw_cohort(
            specification,
            run=run,
            base=opening.base,
            attempt=opening.attempt,
            eligible={terms.member for terms in specification.silos if organisation_of(terms.member) in approved},
            carried=[reference.member for reference in opening.carried],
        )


def what_was_excluded_does_not_count_again(ledger: Ledger, run: str) -> None:
    """All updates but excluded ones, and such as can never be selected, carry over, into the next attempt only."""
    policy = _specification(ledger, run).selection
    for before, opening in pairwise(ledger.attempts(run)):
        if opening.reason == "reopened":
            assert (before.round, before.attempt) == (opening.round, opening.attempt - 1)
            updates = ledger.counting(before)
            gone = {exclusion.member for exclusion in opening.excluded} | set(never_selected(policy, updates))
            kept = [(update.member, update.attempt) for update in updates if update.member not in gone]
            assert [(reference.member, reference.attempt) for reference in opening.carried] == kept
        elif opening.reason == "global-published":
            assert not opening.carried
            assert not opening.excluded
    # An annulled global is made again from the updates that counted when it was made.
    for generation in ledger.all(Generation, f"run/{run}/"):
        first = [opening for opening in ledger.attempts(run) if opening.generation == generation.generation][:1]
        for opening in first:
            updates = ledger.counting(_opening(ledger, run, generation.round - 1, generation.attempt))
            assert [reference.member for reference in opening.carried] == [update.member for update in updates]


def nothing_is_added_to_what_was_superseded(ledger: Ledger, run: str) -> None:
    """Nothing joins an attempt after the next one or an annulment, and no verifier's word an annulled global."""
    generations = {found.generation: key for key, found in ledger.records.items() if isinstance(found, Generation)}
    for key, found in ledger.records.items():
        match found:
            case Update() | Selection():
                opening = _opening(ledger, run, found.round, found.attempt)
            case GlobalModel(round=round_number) if round_number:
                opening = _opening(ledger, run, round_number - 1, found.attempt)
            case Attestation():
                model = _global(ledger, run, found.round, found.attempt)
                for number, start in generations.items():
                    annulment = ledger.records[start]
                    assert isinstance(annulment, Generation)
                    if number > model.generation and annulment.round <= model.round:
                        assert ledger.order[key] < ledger.order[start]
                continue
            case _:
                continue
        ends = [_opening_key(run, opening.round, opening.attempt + 1), generations.get(opening.generation + 1, "")]
        assert all(ledger.order[key] < ledger.order[end] for end in ends if end in ledger.records)


def times_never_go_back_along_a_lineage(ledger: Ledger, run: str) -> None:
    """No record is dated before one that it follows from."""
    proposal = ledger.records[f"run/{run}/proposal"]
    assert isinstance(proposal, Proposal)
    activated = ledger.records.get(f"run/{run}/activated")
    for decision in ledger.all(Decision, f"run/{run}/"):
        assert decision.decided_at >= proposal.proposed_at
    for model in ledger.globals(run):
        if model.round == 0:
            assert isinstance(activated, Marker)
            assert model.published_at >= activated.at >= proposal.proposed_at
        else:
            selection = ledger.selection(_opening(ledger, run, model.round - 1, model.attempt))
            assert selection is not None
            assert model.published_at >= selection.closed_at
    for opening in ledger.attempts(run):
        base = _global(ledger, run, opening.base.round, opening.base.attempt)
        assert opening.deadline_at > opening.opened_at >= base.published_at
        if opening.reason == "reopened":
            before = _opening(ledger, run, opening.round, opening.attempt - 1)
            selection = ledger.selection(before)
            assert opening.opened_at >= (before.opened_at if selection is None else selection.closed_at)
        for update in ledger.counting(opening):
            selected = ledger.selection(opening)
            assert update.attempt < opening.attempt or update.published_at >= opening.opened_at
            assert update.attempt == opening.attempt or update.published_at <= opening.opened_at
            assert selected is None or selected.closed_at >= update.published_at
    for selection in ledger.all(Selection, f"run/{run}/"):
        assert selection.publish_by > selection.closed_at
    for attestation in ledger.all(Attestation, f"run/{run}/"):
        assert attestation.attested_at >= _global(ledger, run, attestation.round, attestation.attempt).published_at
    for evaluation in ledger.all(Evaluation, f"run/{run}/"):
        assert evaluation.reported_at >= _global(ledger, run, evaluation.round, evaluation.attempt).published_at
    for generation in ledger.all(Generation, f"run/{run}/"):
        assert generation.started_at >= _global(ledger, run, generation.round, generation.attempt).published_at
    for access in ledger.all(Access, f"run/{run}/"):
        artifacts: list[GlobalModel | Update] = [*ledger.globals(run), *ledger.all(Update)]
        read = [record.published_at for record in artifacts if record.artifact.sha256 == access.sha256]
        assert access.recorded_at >= min(read)


def the_status_is_what_all_records_add_up_to(consortium: Consortium, ledger: Ledger, run: str) -> None:
    """`run_status` never fails, and agrees with a recomputation that goes over all records."""
    found = run_status(consortium.state, run)
    naive = recomputation.status(ledger, run)
    attempt = found.attempt
    assert naive == recomputation.Status(
        state=found.state,
        approvals=tuple(decision.msp for decision in found.approvals),
        rejections=tuple(decision.msp for decision in found.rejections),
        stops=tuple(decision.msp for decision in found.stops),
        generation=found.generation,
        latest=found.latest,
        opening=None if attempt is None else attempt.opening,
        updates=() if attempt is None else attempt.updates,
        selection=None if attempt is None else attempt.selection,
        attestations=found.attestations,
    )
    for round_number in {opening.round for opening in ledger.attempts(run)}:
        summary = round_summary(consortium.state, run, round_number)
        last = [opening for opening in ledger.attempts(run) if opening.round == round_number][-1]
        assert summary.opening == last
        assert summary.updates == tuple(ledger.counting(last))


def honest_members_can_always_finish(consortium: Consortium) -> None:
    """From every state of a run that is neither stopped nor rejected, honest members reach its end, in few steps."""
    if consortium.run_state() in {"proposed", "active"}:
        specification = consortium.status.proposal.specification
        each_round = 2 * len(specification.silos) + len(specification.verifiers) + 6
        most = len(specification.organisations) + each_round * (specification.rounds + 1)
        consortium.copy().continue_honestly(most_steps=most)


def replay_gives_the_same_records(consortium: Consortium) -> None:
    """The admitted transactions, applied to an empty state at their times, make the same writes, one by one."""
    state = DictState(consortium.state.ledger)
    for admitted in consortium.admitted:
        outcome = apply(state, admitted.transaction, admitted.time, vouched=admitted.vouched)
        assert writes_digest(outcome.writes) == admitted.writes
        state.commit(outcome.writes)
    assert state.records == consortium.state.records


OF_RECORDS = (
    at_most_one_global_stands_in_each_round,
    every_global_has_the_inputs_of_the_recorded_selection,
    every_selection_follows_from_the_updates_that_counted,
    every_update_was_asked_for_and_is_within_its_terms,
    no_member_counts_twice_in_an_attempt,
    attempts_are_numbered_without_gaps,
    every_cohort_is_the_one_that_was_drawn,
    what_was_excluded_does_not_count_again,
    nothing_is_added_to_what_was_superseded,
    times_never_go_back_along_a_lineage,
)
"""The invariants that speak of nothing but records."""


def _specification(ledger: Ledger, run: str) -> Specification:
    proposal = ledger.records[f"run/{run}/proposal"]
    assert isinstance(proposal, Proposal)
    return proposal.specification


def _opening_key(run: str, round_number: int, attempt: int) -> str:
    return f"run/{run}/round/{round_number:07}/attempt/{attempt:04}/opening"


def _opening(ledger: Ledger, run: str, round_number: int, attempt: int) -> Opening:
    found = ledger.records[_opening_key(run, round_number, attempt)]
    assert isinstance(found, Opening)
    return found


def _global(ledger: Ledger, run: str, round_number: int, attempt: int) -> GlobalModel:
    found = ledger.records[f"run/{run}/global/{round_number:07}/{attempt:04}"]
    assert isinstance(found, GlobalModel)
    return found
