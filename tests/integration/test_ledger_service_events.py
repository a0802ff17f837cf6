"""The event stream: it starts at a place, misses nothing, can be resumed, shows signs of life, and ends in order."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from consilo.api.errors import LedgerRolledBack
from consilo.api.models import Position
from consilo.api.watch import watch
from consilo.protocol.bodies import RevokeMember, StopRun
from tests.integration.consortium import Consortium, issue, until_true
from tests.integration.rest import call, events
from tests.integration.trial import started


async def publish(consortium: Consortium) -> str:
    """Something that happens in no run; its transaction's id."""
    nobody = issue(consortium.authorities, "HospitalC/silo-9")
    async with consortium.party("HospitalC/operator") as operator:
        body = RevokeMember(serial=nobody.certificate.serial, reason="never issued")
        return (await operator.metadata_publish(body)).transaction


async def test_a_stream_starts_with_its_place_and_goes_on_with_what_happens(consortium: Consortium) -> None:
    with events(consortium) as stream:
        ready = stream.event()
        assert (ready["event"], ready["data"]) == ("ready", "{}")
        transaction = await publish(consortium)
        told = stream.transaction()
        assert (told["transaction"], told["type"], told["member"]) == (
            transaction,
            "revoke_member",
            "HospitalC/operator",
        )
        assert told["run"] is None


async def test_a_stream_is_resumed_after_a_cursor_by_either_way(consortium: Consortium) -> None:
    with events(consortium) as stream:
        place = stream.event()["id"]
        first, second = await publish(consortium), await publish(consortium)
        cursor = stream.transaction()["cursor"]
    with events(consortium, f"?after={place}") as stream:
        assert stream.event() == {"event": "ready", "id": place, "data": "{}"}
        assert [stream.transaction()["transaction"] for _ in range(2)] == [first, second]
    with events(consortium, headers={"last-event-id": cursor}) as stream:
        stream.event()
        assert stream.transaction()["transaction"] == second


async def test_a_stream_from_the_beginning_has_everything_once(consortium: Consortium) -> None:
    last = await publish(consortium)
    seen: list[str] = []
    with events(consortium, f"?after={Position(height=0, index=0).cursor()}") as stream:
        stream.event()
        while not seen or seen[-1] != last:
            seen.append(stream.transaction()["transaction"])
    assert len(set(seen)) == len(seen)
    assert len(seen) >= 4


async def test_a_stream_of_one_run_has_no_other(consortium: Consortium, tmp_path: Path) -> None:
    async with started(consortium, tmp_path) as trial:
        with events(consortium, f"?run={trial.run}") as stream:
            stream.event()
            await publish(consortium)
            operator = await trial.party("HospitalA/operator")
            stopped = await operator.metadata_publish(StopRun(run=trial.run, reason="enough"))
            told = stream.transaction()
            assert (told["transaction"], told["run"]) == (stopped.transaction, trial.run)
            assert told["effects"] == ["run-stopped"]


async def test_a_stream_leaves_out_types_of_transactions_unless_they_have_effects(
    consortium: Consortium, tmp_path: Path
) -> None:
    async with started(consortium, tmp_path) as trial:
        with events(consortium, "?without=revoke_member&without=stop_run") as stream:
            stream.event()
            await publish(consortium)
            operator = await trial.party("HospitalA/operator")
            stopped = await operator.metadata_publish(StopRun(run=trial.run, reason="enough"))
            told = stream.transaction()
            assert (told["transaction"], told["effects"]) == (stopped.transaction, ["run-stopped"])


def cursor_of(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "after",
    [
        "x",
        "%00",
        "AAAA",
        "%C3%A9",
        cursor_of("1"),
        cursor_of("-1.0"),
        cursor_of("1.-1"),
        cursor_of("1.0.0"),
        cursor_of(" 1.0"),
        cursor_of("01.0"),
        cursor_of("1_0.0"),
        cursor_of("١.٠"),
        cursor_of("9" * 30 + ".0"),
        cursor_of("1.0") + "=",
        "A" * 65,
    ],
)
def test_what_is_no_cursor_is_refused(consortium: Consortium, after: str) -> None:
    assert call(consortium, "GET", f"/v1/events?after={after}").refusal == (400, "malformed", False)


@pytest.mark.parametrize("run", ["", "Trial", "a/b", "a" * 64, "%D0%B0"])
def test_what_is_no_runs_name_is_refused(consortium: Consortium, run: str) -> None:
    assert call(consortium, "GET", f"/v1/events?run={run}").refusal == (400, "malformed", False)


def test_a_cursor_beyond_the_end_shows_a_ledger_that_was_set_back(consortium: Consortium) -> None:
    cursor = Position(height=10**9, index=0).cursor()
    assert call(consortium, "GET", f"/v1/events?after={cursor}").refusal == (404, "position-unknown", False)


async def test_who_watches_from_a_cursor_beyond_the_end_is_told_of_the_rollback(consortium: Consortium) -> None:
    async with consortium.party("HospitalB/viewer") as viewer:
        with pytest.raises(LedgerRolledBack):
            await anext(watch(viewer, after=Position(height=10**9, index=0).cursor()))


async def test_an_idle_stream_shows_signs_of_life(impatient: Consortium) -> None:
    with events(impatient) as stream:
        stream.event()
        assert [stream.frame() for _ in range(3)] == [{"comment": ""}] * 3
        transaction = await publish(impatient)
        assert stream.transaction()["transaction"] == transaction


async def test_a_client_that_goes_away_leaves_nothing_behind(impatient: Consortium) -> None:
    def connections() -> int:
        found = Path(f"/proc/{impatient.ledger.process.pid}/fd").iterdir()
        return sum(1 for path in found if path.is_symlink() and "socket:" in str(path.readlink()))

    call(impatient, "GET", "/v1/head")
    before = connections()
    for _ in range(20):
        with events(impatient) as stream:
            stream.event()
    await until_true(lambda: connections() <= before, "the streams to end")
    assert not impatient.ledger.events("a request failed by a defect")
