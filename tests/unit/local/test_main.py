"""The demonstration's program says what is wrong in a sentence, and leaves nothing behind."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from services.local.__main__ import main


def test_where_fabric_is_not_installed_it_says_where_it_is_to_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "programs").mkdir()
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("FABRIC_BIN", str(tmp_path / "programs"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    assert main(["--ledger", "fabric"]) == 2
    output = capsys.readouterr().out.splitlines()
    assert "peer" in output[-1]
    assert "FABRIC_BIN" in output[-1]
    assert "Traceback" not in "\n".join(output)
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_ledger_that_there_is_not_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--ledger", "postgres"]) == 2
    assert "embedded" in capsys.readouterr().out
