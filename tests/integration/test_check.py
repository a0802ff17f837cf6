"""`python -m services.check` against a real gateway and store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.integration.consortium import DEADLINE_SECONDS, Consortium

_ROLES = {"operator": "HospitalA/operator", "aggregator": "HospitalA/aggregator-check"}


def check(consortium: Consortium, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end, with further settings by their names."""
    values = {
        "gateway_url": consortium.ledger.url,
        **{f"{role}_identity": str(identity(consortium, member)) for role, member in _ROLES.items()},
        **settings,
    }
    environment = {f"CONSILO_CHECK_{name.upper()}": value for name, value in values.items()}
    return subprocess.run(
        [sys.executable, "-m", "services.check"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )


def identity(consortium: Consortium, member: str) -> Path:
    consortium.identity(member)
    return consortium.identity_directory(member)


def logged(result: subprocess.CompletedProcess[str]) -> list[dict[str, str]]:
    return [json.loads(line) for line in result.stderr.splitlines()]


async def test_it_puts_a_run_on_the_ledger_and_a_model_into_the_store_and_leaves_the_run_stopped(
    consortium: Consortium,
) -> None:
    result = check(consortium)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert set(report["seconds"]) == {
        "signed upload", "proposal", "first global", "reading", "signed download", "stop"
    }  # fmt: skip
    async with consortium.party("HospitalA/operator") as operator:
        status = await operator.metadata_get(report["run"])
    assert status.state == "stopped"
    artifact = status.proposal.specification.initial
    assert artifact.sha256 == report["sha256"]
    assert consortium.object_path(artifact.key).stat().st_size == report["size_bytes"]


def test_it_can_be_made_again_and_again(consortium: Consortium) -> None:
    runs = {json.loads(check(consortium).stdout)["run"] for _ in range(2)}
    assert len(runs) == 2


def test_a_gateway_that_does_not_answer_is_told_in_a_line(consortium: Consortium) -> None:
    result = check(consortium, gateway_url="http://127.0.0.1:1", patience_seconds="0.2")
    assert result.returncode == 1
    assert logged(result)[-1]["code"] == "gateway-unavailable"


def test_a_missing_identity_is_told_in_a_line(consortium: Consortium, tmp_path: Path) -> None:
    result = check(consortium, operator_identity=str(tmp_path))
    assert result.returncode == 2
    assert str(tmp_path / "certificate.pem") in logged(result)[-1]["reason"]


def test_an_identity_of_another_role_is_told_in_a_line(consortium: Consortium) -> None:
    result = check(consortium, aggregator_identity=str(identity(consortium, "HospitalA/viewer")))
    assert result.returncode == 2
    assert "role viewer; this needs one of the role aggregator" in logged(result)[-1]["reason"]
