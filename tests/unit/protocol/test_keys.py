"""Keys are write-once places: no two things share one, and ranges hold exactly what they should."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from consilo.protocol import keys
from consilo.protocol.bodies import GlobalArtifact, UpdateArtifact
from tests.ledger_records import model_of

NAMES = st.from_regex(r"[a-z0-9](?:[a-z0-9\-]{0,5}[a-z0-9])?", fullmatch=True)
MSPS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9.\-]{0,5}", fullmatch=True)
MEMBERS = st.tuples(MSPS, NAMES).map("/".join)
ROUNDS = st.integers(0, 9_999_999)
ATTEMPTS = st.integers(0, 9_999)
DIGEST = "0" * 64


def _kinds() -> dict[str, tuple[Callable[..., str], tuple[st.SearchStrategy[object], ...]]]:
    def named(word: str) -> Callable[..., str]:
        return lambda name, *parts: keys.run(name, word, *parts)

    def access_global(name: str, round_number: int, attempt: int, reader: str) -> str:
        reference = GlobalArtifact(kind="global", round=round_number, attempt=attempt, sha256=DIGEST)
        return keys.access(name, reference, reader)

    def access_update(name: str, round_number: int, attempt: int, owner: str, reader: str) -> str:
        reference = UpdateArtifact(kind="update", round=round_number, attempt=attempt, member=owner, sha256=DIGEST)
        return keys.access(name, reference, reader)

    return {
        "organisation": (keys.organisation, (MSPS, st.integers(1, 9_999))),
        "revocation": (keys.revocation, (MSPS, st.from_regex("[1-9a-f]{1,5}", fullmatch=True))),
        "transaction": (keys.transaction, (st.from_regex("[0-9a-f]{64}", fullmatch=True),)),
        "runs": (keys.runs, (NAMES,)),
        "proposal": (named("proposal"), (NAMES,)),
        "approval": (named("approval"), (NAMES, MSPS)),
        "rejection": (named("rejection"), (NAMES, MSPS)),
        "stop": (named("stop"), (NAMES, MSPS)),
        "activated": (named("activated"), (NAMES,)),
        "rejected": (named("rejected"), (NAMES,)),
        "stopped": (named("stopped"), (NAMES,)),
        "finished": (keys.finished, (NAMES, ATTEMPTS)),
        "generation": (keys.generation, (NAMES, ATTEMPTS)),
        "entry": (keys.entry, (NAMES, ATTEMPTS, ROUNDS)),
        "opening": (keys.opening, (NAMES, ROUNDS, ATTEMPTS)),
        "selection": (keys.selection, (NAMES, ROUNDS, ATTEMPTS)),
        "update": (keys.update, (NAMES, ROUNDS, ATTEMPTS, MEMBERS)),
        "global": (keys.global_model, (NAMES, ROUNDS, ATTEMPTS)),
        "attestation": (keys.attestation, (NAMES, ROUNDS, ATTEMPTS, MEMBERS)),
        "evaluation": (keys.evaluation, (NAMES, ROUNDS, ATTEMPTS, MEMBERS)),
        "access to a global": (access_global, (NAMES, ROUNDS, ATTEMPTS, MEMBERS)),
        "access to an update": (access_update, (NAMES, ROUNDS, ATTEMPTS, MEMBERS, MEMBERS)),
    }


KINDS = _kinds()


@st.composite
def places(draw: st.DrawFn) -> tuple[str, tuple[object, ...], str]:
    kind = draw(st.sampled_from(sorted(KINDS)))
    function, strategies = KINDS[kind]
    arguments = tuple(draw(strategy) for strategy in strategies)
    return kind, arguments, function(*arguments)


@given(places(), places())
def test_two_things_share_a_key_only_when_they_are_one(
    first: tuple[str, tuple[object, ...], str], second: tuple[str, tuple[object, ...], str]
) -> None:
    assert (first[2] == second[2]) == (first[:2] == second[:2])


@given(places())
def test_every_key_has_one_of_the_forms_that_records_are_read_by(place: tuple[str, tuple[object, ...], str]) -> None:
    assert model_of(place[2])
    assert place[2].isascii()
    assert "//" not in place[2]


@given(places(), NAMES, ROUNDS, ATTEMPTS)
def test_the_range_of_an_attempt_s_updates_holds_them_and_nothing_else(
    place: tuple[str, tuple[object, ...], str], name: str, round_number: int, attempt: int
) -> None:
    start = keys.updates(name, round_number, attempt)
    inside = start <= place[2] < keys.end_of(start)
    assert inside == (place[0] == "update" and place[1][:3] == (name, round_number, attempt))


@given(NAMES, NAMES)
def test_the_index_of_runs_holds_every_run(first: str, second: str) -> None:
    start = keys.runs()
    for name in (first, second):
        assert start <= keys.runs(name) < keys.end_of(start)
    assert not start <= keys.run(first, "proposal") < keys.end_of(start)


@given(ROUNDS, ROUNDS, ATTEMPTS, ATTEMPTS)
def test_keys_sort_as_rounds_and_attempts_do(first: int, second: int, attempt: int, other: int) -> None:
    by_key = keys.opening("r", first, attempt) < keys.opening("r", second, other)
    assert by_key == ((first, attempt) < (second, other))


def test_the_module_s_table_of_keys_is_complete() -> None:
    documented = inspect.getdoc(keys) or ""
    for word in ("organisation", "revocation", "transaction", "runs", "proposal", "approval", "rejection", "stop"):
        assert word in documented
    for _function, name in ((keys.entry, "entry"), (keys.selection, "selection"), (keys.access, "access/update")):
        assert name in documented
