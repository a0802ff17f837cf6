"""How long artifacts are kept, and which objects a run's records name."""

from __future__ import annotations

import pytest

from consilo.protocol.queries import answer
from consilo.protocol.records import GlobalModel, Update
from consilo.protocol.refusals import Refusal
from consilo.protocol.retention import ArtifactsOfRun, NamedArtifact, NamedArtifacts, is_collectable, is_expired
from tests.simulators import Consortium

ORGANISATIONS = ("HospitalA", "HospitalB")


@pytest.mark.parametrize(
    ("retention", "round_number", "latest", "expired"),
    [(None, 0, 1000, False), (2, 0, 1, False), (2, 0, 2, True), (2, 3, 4, False), (1, 0, -1, False), (1, 4, 5, True)],
)
def test_an_artifact_expires_so_many_rounds_after_its_own(
    retention: int | None, round_number: int, latest: int, expired: bool
) -> None:
    assert is_expired(retention, round_number, latest) is expired


@pytest.mark.parametrize(("round_number", "collectable"), [(3, True), (4, False), (5, False)])
def test_what_the_latest_global_was_made_of_is_kept_even_when_it_is_expired(
    round_number: int, collectable: bool
) -> None:
    assert is_collectable(1, round_number, 5) is collectable


def ask(c: Consortium, *, limit: int = 1000, organisations: tuple[str, ...] = ORGANISATIONS) -> list[NamedArtifact]:
    found: list[NamedArtifact] = []
    after: str | None = ""
    while after is not None:
        page = answer(
            c.state,
            "artifacts",
            ArtifactsOfRun(run="trial", organisations=organisations, after=after, limit=limit),
        )
        assert isinstance(page, NamedArtifacts)
        found.extend(page.artifacts)
        after = page.after
    return found


def test_every_artifact_of_a_run_is_named_whatever_the_page() -> None:
    c = Consortium(silos=2)
    c.running()
    c.complete_round()
    found = ask(c)
    assert len(found) == 2 + 2, "two globals, two updates"
    assert not any(named.collectable for named in found)
    for limit in (1, 2, 3):
        assert ask(c, limit=limit) == found
    of_each = [ask(c, organisations=(msp,)) for msp in ORGANISATIONS]
    assert sum(map(len, of_each)) == len(found)


def test_what_is_past_the_retention_may_go_but_for_what_the_latest_global_was_made_of() -> None:
    c = Consortium(silos=2)
    c.running(rounds=4, retention_rounds=1)
    for _ in range(3):
        c.complete_round()
    kept = {named.key for named in ask(c) if not named.collectable}
    named = [("global", each.round, each.artifact.key) for each in c.all(GlobalModel)]
    named += [("update", each.round, each.artifact.key) for each in c.all(Update)]
    rounds = sorted((kind, number) for kind, number, key in named if key in kept)
    assert rounds == [("global", 2), ("global", 3), ("update", 2), ("update", 2)]


def test_the_initial_model_of_a_proposed_run_is_named_before_any_global_is() -> None:
    c = Consortium(silos=2)
    c.proposed()
    (initial,) = ask(c)
    assert not initial.collectable


def test_a_run_that_was_not_proposed_names_nothing() -> None:
    with pytest.raises(Refusal) as refused:
        ask(Consortium(silos=2))
    assert refused.value.code == "run-unknown"
