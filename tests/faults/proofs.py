"""What must hold of a system after any fault: of its runs, its ledger's file, its processes and its logs."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

from consilo.api.party import Party
from consilo.api.settings import ApiSettings
from consilo.api.watch import watch
from consilo.embedded.blocks import decode_block
from consilo.embedded.file import LedgerFile
from consilo.identity.identity import Identity
from consilo.protocol import keys
from consilo.protocol.apply import Event
from consilo.protocol.records import GlobalModel
from consilo.protocol.rounds import is_annulled
from consilo.protocol.state import DictState
from consilo.protocol.views import RoundSummary, run_status
from consilo.verification.embedded import replay_file
from consilo.verification.verify import verify_run

ATTEST_SECONDS: Final = 60.0
_REPEATABLE: Final = frozenset({"record_access"})
"""Types of which a member may have several in one round: one for each artifact."""


async def prove_run(auditor: Identity, gateway: str, run: str, rounds: int) -> None:
    """Every round has its one global, attested as right; an auditor who saw nothing yet can verify all of it."""
    settings = ApiSettings(backoff_longest_seconds=0.5)
    async with Party(auditor, gateway, settings=settings) as party:
        status = await party.metadata_get(run)
        assert status.state == "finished"
        assert status.latest is not None
        assert status.latest.round == rounds
        for summary in await attested_rounds(party, run, rounds):
            assert summary.model is not None
            assert summary.model.round == summary.round + 1
            assert [said.verdict for said in summary.attestations] == ["ok"]
    async with Party(auditor, gateway, settings=settings) as party:
        report = await verify_run(party, run)
    assert report.complete, report.steps
    assert [checked.round for checked in report.globals] == list(range(rounds + 1))


async def attested_rounds(party: Party, run: str, rounds: int) -> list[RoundSummary]:
    """The rounds of a finished run, once the verifier has said its word on all."""
    found: dict[int, RoundSummary] = {}
    async with asyncio.timeout(ATTEST_SECONDS), aclosing(watch(party, run)) as events:
        async for _ in events:
            for number in range(rounds):
                if number not in found:
                    summary = await party.gateway.round(run, number)
                    if summary.attestations:
                        found[number] = summary
            if len(found) == rounds:
                break
    return [found[number] for number in range(rounds)]


def check_ledger_file(path: Path, runs: Mapping[str, int]) -> None:
    """The file replays; each round of each run has exactly one global that stands; nothing was recorded twice."""
    result = replay_file(path)
    assert result.findings == []
    for run, rounds in runs.items():
        assert run_status(result.state, run).state == "finished"
        standing = Counter(
            model.round for model in globals_of(result.state, run) if not is_annulled(result.state, model)
        )
        assert standing == dict.fromkeys(range(rounds + 1), 1)
    with LedgerFile(path) as file:
        bodies = list(file.blocks())[1:]
    events = [entry.event for body in bodies for entry in decode_block(body).entries]
    check_nothing_is_twice(events)


def globals_of(state: DictState, run: str) -> list[GlobalModel]:
    """All globals of a run, annulled ones too."""
    prefix = keys.run(run, "global") + "/"
    return [GlobalModel.decode(data) for _, data in state.range(prefix, keys.end_of(prefix))]


def check_nothing_is_twice(events: Iterable[Event]) -> None:
    """No transaction, and no member's word on the same thing, is on the ledger twice."""
    events = list(events)
    transactions = Counter(event.transaction for event in events)
    said = Counter(
        (event.type, event.member, event.run, event.round, event.attempt)
        for event in events
        if event.type not in _REPEATABLE
    )
    for counted in (transactions, said):
        assert {key: count for key, count in counted.items() if count > 1} == {}
    for kind in ("close_round", "publish_global"):  # whoever does it, it is done once
        done = Counter((event.run, event.round, event.attempt) for event in events if event.type == kind)
        assert set(done.values()) <= {1}


def check_nothing_is_left(pids: Collection[int]) -> None:
    """None of these processes is there any more."""
    assert [pid for pid in pids if is_alive(pid)] == []


def is_alive(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def check_logs(directory: Path, expected: Sequence[str]) -> None:
    """Every line is a log line, and none tells of a defect or of something that only a person can mend."""
    bad = [
        f"{file.name}: {line[:2000]}"
        for file in sorted(directory.iterdir())
        for line in file.read_text(errors="replace").splitlines()
        if line and _is_bad(line) and not any(text in line for text in expected)
    ]
    assert not bad, f"{len(bad)} lines, the first:\n" + "\n".join(bad[:5])


def log_lines(file: Path) -> list[dict[str, Any]]:
    """The lines of a log that are whole."""
    found = []
    for line in file.read_text(errors="replace").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def _is_bad(line: str) -> bool:
    try:
        entry = json.loads(line)
    except ValueError:
        return True
    return "exception" in entry or entry.get("level") == "critical" or "defect" in entry.get("event", "")
