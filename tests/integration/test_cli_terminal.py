"""Commands on a terminal: bars and live tables are drawn, and what stays is the same as elsewhere."""

from __future__ import annotations

import asyncio
import os
import pty
import subprocess
import sys
from pathlib import Path

from tests.integration import made_runs
from tests.integration.consortium import DEADLINE_SECONDS, Consortium
from tests.integration.made_runs import AUDITOR


def on_terminal(consortium: Consortium, directory: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and everything that a command writes to a terminal of 100 columns."""
    consortium.identity(AUDITOR)
    environment = {
        **os.environ,
        "TERM": "xterm",
        "COLUMNS": "100",
        "CONSILO_GATEWAY": consortium.ledger.url,
        "CONSILO_IDENTITY": str(consortium.identity_directory(AUDITOR)),
        "CONSILO_STATE": str(directory / "state"),
    }
    controller, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "consilo.cli", *arguments],
        env=environment,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    ) as process:
        os.close(terminal)
        written = bytearray()
        while True:
            try:
                chunk = os.read(controller, 65_536)
            except OSError:  # the terminal's other end was closed
                break
            if not chunk:
                break
            written += chunk
        code = process.wait(DEADLINE_SECONDS)
    os.close(controller)
    return code, written.decode()


def test_verifying_draws_a_bar_and_leaves_the_steps(consortium: Consortium, tmp_path: Path) -> None:
    asyncio.run(made_runs.make_run(consortium, "drawn", tmp_path, rounds=1))
    code, text = on_terminal(consortium, tmp_path, "verify", "drawn")
    assert code == 0, text
    assert "steps 1-3: ledger" in text
    assert "steps 4-5: models" in text
    assert text.rstrip().endswith("Run drawn is what its ledger says.")
    code, text = on_terminal(consortium, tmp_path, "ledger", "verify")
    assert code == 0, text
    assert "replaying" in text
    assert "Everything holds" in text


async def act(consortium: Consortium, directory: Path) -> None:
    """A round that goes on while somebody watches."""
    await made_runs.train(consortium, "lively", directory)
    await made_runs.close(consortium, "lively")
    model = await made_runs.publish(consortium, "lively", directory)
    await made_runs.evaluate(consortium, "lively", model)


async def watch_while_it_acts(consortium: Consortium, directory: Path) -> tuple[int, str]:
    watching = asyncio.create_task(asyncio.to_thread(on_terminal, consortium, directory, "run", "watch", "lively"))
    await act(consortium, directory)
    return await watching


def test_watching_draws_the_silos_and_leaves_the_rounds(consortium: Consortium, tmp_path: Path) -> None:
    asyncio.run(made_runs.propose(consortium, "lively", tmp_path, rounds=1))
    code, text = asyncio.run(watch_while_it_acts(consortium, tmp_path))
    assert code == 0, text
    assert "round 1/1" in text
    assert text.rstrip().endswith("Run lively is finished.")
    assert "Traceback" not in text
