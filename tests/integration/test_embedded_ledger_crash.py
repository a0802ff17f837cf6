"""A process that is killed while it writes loses nothing it has acknowledged, and leaves a ledger that verifies."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from consilo.embedded.ledger import EmbeddedLedger
from consilo.embedded.positions import BEGINNING, Position
from consilo.verification.embedded import replay_file
from tests.unit.embedded.parties import DEADLINE_SECONDS, Clock, Party, commit, genesis_of

PARTY = Party.create()
THREADS = 4


@contextmanager
def sender(path: Path, identity: Path, first: int) -> Iterator[subprocess.Popen[str]]:
    command = [
        sys.executable,
        "-m",
        "tests.integration.embedded_sender",
        str(path),
        str(identity),
        str(first),
        str(THREADS),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        timer = threading.Timer(DEADLINE_SECONDS, process.kill)
        timer.start()
        try:
            yield process
        finally:
            timer.cancel()
            process.kill()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    EmbeddedLedger.create(path, genesis_of(PARTY))
    with EmbeddedLedger.open(path, clock=Clock()) as ledger:
        commit(ledger, PARTY.registration())
    PARTY.operator.save(tmp_path / "operator")
    return path


def kill_while_it_writes(path: Path, first: int, generator: random.Random) -> list[list[str]]:
    """What was acknowledged before the process was killed, at a moment between two acknowledgements or within one."""
    with sender(path, path.with_name("operator"), first) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        acknowledged = [process.stdout.readline() for _ in range(generator.randrange(1, 60))]
        # Not at the moment of an acknowledgement, but a random part of a commit later.
        threading.Event().wait(generator.uniform(0, 0.01))
        process.kill()
        acknowledged += process.stdout.readlines()
    return [line.split()[1:] for line in acknowledged if line.endswith("\n") and line.startswith("ack ")]


@pytest.mark.parametrize(("kills", "seed"), [(2, 1), pytest.param(15, None, marks=pytest.mark.slow)])
def test_nothing_acknowledged_is_lost_when_the_process_is_killed(path: Path, kills: int, seed: int | None) -> None:
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    print(f"seed {seed}")
    generator = random.Random(seed)
    acknowledged: list[list[str]] = []
    for kill in range(kills):
        acknowledged += kill_while_it_writes(path, 1 + kill * 100_000 * THREADS, generator)

        assert replay_file(path).ok, "as the process left it"
        with EmbeddedLedger.open(path, clock=Clock()) as ledger:
            for transaction, position, height, hash_ in acknowledged:
                assert str(ledger.position_of(transaction)) == position
                assert ledger.hash_at(int(height)) == hash_
            commit(ledger, PARTY.revocation(10**9 + kill))
        result = replay_file(path)
        assert result.findings == []

    assert len(acknowledged) >= kills
    with EmbeddedLedger.open(path) as ledger:
        events = ledger.events(BEGINNING, 10**6)
    assert len(events) == result.transactions
    places = {str(event.position): event.event.transaction for event in events}
    assert all(places[str(Position.parse(position))] == transaction for transaction, position, _, _ in acknowledged)


def test_two_processes_cannot_write_one_ledger(path: Path) -> None:
    operator = path.with_name("operator")
    with EmbeddedLedger.open(path), sender(path, operator, 1) as process:
        assert process.stdout is not None
        assert process.stdout.read() == "refused ledger-locked\n"
    with sender(path, operator, 1) as process, sender(path, operator, 10**7) as second:
        assert process.stdout is not None
        assert second.stdout is not None
        answers = {process.stdout.readline(), second.stdout.readline()}
    assert answers == {"open\n", "refused ledger-locked\n"}
    assert replay_file(path).ok
