"""Queries: every question by its name, with the answer of the views."""

from __future__ import annotations

from typing import Any

import pytest

from consilo.protocol.access import reference_of
from consilo.protocol.queries import QUERIES, Organisations, Page, Permission, Records, RunNames, Standing, answer
from consilo.protocol.refusals import Refusal
from consilo.protocol.views import round_summary
from tests.simulated_members import identity
from tests.simulators import Consortium


def _consortium() -> Consortium:
    c = Consortium(silos=2)
    c.running()
    c.complete_round()
    return c


def _ask(c: Consortium, name: str, **arguments: Any) -> Any:
    found = answer(c.state, name, QUERIES[name].arguments(**arguments))
    assert isinstance(found, QUERIES[name].answer)
    return found


def test_status_and_rounds_are_those_of_the_views() -> None:
    c = _consortium()
    assert _ask(c, "run_status", run="trial") == c.status
    assert _ask(c, "round", run="trial", round=0) == round_summary(c.state, "trial", 0)
    assert _ask(c, "run_names") == RunNames(runs=("trial",))


def test_organisations_are_told_as_their_latest_registration_says() -> None:
    c = _consortium()
    c.register_organisation("HospitalB", stores=["new.example"])
    found = _ask(c, "organisations")
    assert isinstance(found, Organisations)
    assert [(entry.msp, entry.version) for entry in found.organisations] == [
        ("HospitalA", 1),
        ("HospitalB", 2),
        ("HospitalX", 1),
    ]
    assert _ask(c, "organisation", msp="HospitalB") == found.organisations[1]


def test_the_standing_of_certificates_tells_which_are_revoked() -> None:
    c = _consortium()
    serials = tuple(identity(f"Hospital{letter}/silo").certificate.serial for letter in "AB")
    c.revoke_member("HospitalA/silo")
    found = _ask(c, "standing", msp="HospitalA", serials=serials)
    assert found.revoked == serials[:1]
    assert found.organisation.msp == "HospitalA"
    assert _ask(c, "standing", msp="HospitalZ", serials=serials) == Standing(organisation=None, revoked=())


def test_a_permission_tells_where_the_artifact_lies_also_to_those_who_may_not_have_it() -> None:
    c = _consortium()
    reference = reference_of(c.latest)
    asked = {"run": "trial", "artifact": reference}
    assert _ask(c, "permission", reader="HospitalB/silo", **asked) == Permission(
        allowed=False, artifact=c.latest.artifact
    )
    c.record_access("HospitalB/silo", reference)
    assert _ask(c, "permission", reader="HospitalB/silo", **asked).allowed
    asked["artifact"] = reference.model_copy(update={"attempt": 9})
    assert _ask(c, "permission", reader="HospitalB/silo", **asked) == Permission(allowed=False, artifact=None)


@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
def test_pages_of_records_join_to_all_of_them(limit: int) -> None:
    c = _consortium()
    pages: list[Records] = [_ask(c, "records", prefix="run/trial/", after="", limit=limit)]
    while pages[-1].after is not None:
        pages.append(_ask(c, "records", prefix="run/trial/", after=pages[-1].after, limit=limit))
    found = [(entry.key, entry.record.encode()) for page in pages for entry in page.records]
    assert found == sorted(item for item in c.state.records.items() if item[0].startswith("run/trial/"))
    assert all(len(page.records) == limit for page in pages[:-1])


@pytest.mark.parametrize("after", ["", "a", "run/trial/global/0000001/0001", "run/trial0", "zzz"])
def test_a_page_never_leaves_its_prefix(after: str) -> None:
    found = _ask(_consortium(), "records", prefix="run/trial/global/", after=after, limit=10)
    keys = [entry.key for entry in found.records]
    assert keys == [key for key in ("run/trial/global/0000000/0000", "run/trial/global/0000001/0001") if key > after]


@pytest.mark.parametrize("prefix", ["", "/", "run", "run/trial"])
def test_a_prefix_ends_in_a_slash(prefix: str) -> None:
    with pytest.raises(ValueError):
        Page(prefix=prefix, after="", limit=10)


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("run_status", {"run": "other"}, "run-unknown"),
        ("round", {"run": "other", "round": 0}, "run-unknown"),
        ("round", {"run": "trial", "round": 7}, "attempt-not-open"),
        ("organisation", {"msp": "HospitalZ"}, "organisation-unknown"),
    ],
)
def test_what_there_is_not_is_a_refusal(name: str, arguments: dict[str, Any], code: str) -> None:
    with pytest.raises(Refusal) as caught:
        _ask(_consortium(), name, **arguments)
    assert caught.value.code == code


def test_every_query_is_asked_by_its_own_name() -> None:
    assert all(query.name == name for name, query in QUERIES.items())
