"""`consilo run` and `consilo model` against a real ledger and store, from the proposal to the last model."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from consilo.aggregation import schema_of
from consilo.protocol.canonical import digest
from tests.integration import made_runs
from tests.integration.commands import Commands
from tests.integration.consortium import DEADLINE_SECONDS, Consortium
from tests.integration.made_runs import SILOS, evaluate, make_run, publish, train

OPERATOR, OTHER, THIRD = "HospitalA/operator", "HospitalB/operator", "HospitalC/operator"

FORM = """
rounds = 1
minimum = 2
approvals_required = 2
aggregators = ["HospitalA/aggregator"]
organisations = ["HospitalC", "HospitalB", "HospitalA"]
task = { name = "noise", parameters = { rate = 0.05, epochs = 2 } }

[silos]
"HospitalB/silo" = 2000
"HospitalA/silo" = 1000
"""


@pytest.fixture
def cli(consortium: Consortium, tmp_path: Path) -> Commands:
    return Commands(consortium, tmp_path)


@pytest.fixture
def form(tmp_path: Path) -> Path:
    (tmp_path / "run.toml").write_text(FORM)
    state = made_runs.state(0)
    save_file(
        {"weight": np.ascontiguousarray(state["weight"]), "bias": state["bias"]}, tmp_path / "initial.safetensors"
    )
    return tmp_path / "run.toml"


def propose(cli: Commands, form: Path, run: str) -> None:
    cli.good(OPERATOR, "run", "propose", form, "--name", run, "--initial", form.parent / "initial.safetensors")


def test_a_run_from_its_proposal_to_its_model(
    consortium: Consortium, cli: Commands, form: Path, tmp_path: Path
) -> None:
    initial = form.parent / "initial.safetensors"
    dry = cli.json(OPERATOR, "run", "propose", form, "--name", "told", "--initial", initial, "--dry-run")
    assert dry["proposed"] is False
    assert "error [run-unknown]" in cli.refused(OPERATOR, "run", "show", "told")

    said = cli.good(OPERATOR, "run", "propose", form, "--name", "told", "--initial", initial)
    assert "at most 1000 samples" in said
    assert "noise, version 1 with epochs = 2, rate = 0.05" in said
    proposed = cli.json(OPERATOR, "run", "show", "told")
    agreed = proposed["record"]["proposal"]["specification"]
    assert agreed["organisations"] == ["HospitalA", "HospitalB", "HospitalC"]
    assert agreed["initial"]["key"] != dry["specification"]["initial"]["key"]
    for specification in (agreed, dry["specification"]):
        specification["initial"].pop("key")
    assert agreed == dry["specification"]
    assert proposed["state"] == "proposed"

    shown = cli.run(OTHER, "run", "approve", "told", answer="y\n")
    assert shown.exit_code == 0
    assert proposed["specification_digest"] in shown.stdout
    assert "Approve run told for HospitalB? [y/N]" in shown.stderr
    assert "Approved. Run told is active: 2 approvals of 2." in shown.stdout

    asyncio.run(made_runs.open_first_round(consortium, "told"))
    asyncio.run(train(consortium, "told", tmp_path, SILOS[:1]))
    table = cli.good(THIRD, "run", "show", "told")
    assert "HospitalA/silo  published  100      accuracy 0.5" in table
    assert "HospitalB/silo  training" in table

    asyncio.run(train(consortium, "told", tmp_path, SILOS[1:]))
    asyncio.run(made_runs.close(consortium, "told"))
    model = asyncio.run(publish(consortium, "told", tmp_path))
    asyncio.run(evaluate(consortium, "told", model))

    one = cli.json(THIRD, "run", "show", "told", "--round", "0")
    assert one["selected"] == list(SILOS)
    assert one["global"]["sha256"] == model.artifact.sha256
    assert one["metrics"] == {"accuracy": 0.625}
    assert "accuracy 0.625" in cli.good(THIRD, "run", "show", "told", "--round", "0")
    listed = next(run for run in cli.json(THIRD, "run", "list") if run["run"] == "told")
    assert (listed["state"], listed["latest"]["round"], listed["rounds"]) == ("finished", 1, 1)
    assert "told" in cli.good(THIRD, "run", "list")

    models = cli.json(THIRD, "model", "list", "told")
    assert [(each["round"], each["annulled"], each["inputs"]) for each in models] == [(0, False, 0), (1, False, 2)]
    assert model.artifact.sha256 in cli.good(THIRD, "model", "list", "told")
    got = tmp_path / "model.safetensors"
    fetched = cli.json(THIRD, "model", "get", "told", "--output", got)
    assert fetched["sha256"] == model.artifact.sha256 == digest(got.read_bytes())
    assert "error [file-exists]" in cli.refused(THIRD, "model", "get", "told", "--output", got)
    cli.good(THIRD, "model", "get", "told", "--round", "0", "--output", got, "--force")
    assert got.read_bytes()[: len(schema_of(made_runs.state(0)).header)] == schema_of(made_runs.state(0)).header
    assert "error [global-unknown]" in cli.refused(THIRD, "model", "get", "told", "--round", "7")


def test_the_initial_model_can_be_made_by_the_task(cli: Commands, tmp_path: Path) -> None:
    form = tmp_path / "digits.toml"
    form.write_text(FORM.replace('task = { name = "noise", parameters = { rate = 0.05, epochs = 2 } }', ""))
    with form.open("a") as file:
        file.write('[task]\nname = "digits"\n[initial]\nclass = "consilo.tasks.digits_linear:DigitsLinear"\n')
    proposed = cli.json(OPERATOR, "run", "propose", form, "--name", "made", "--seed", "3")
    assert [tensor["name"] for tensor in proposed["specification"]["tensors"]["tensors"]] == ["bias", "weight"]
    assert proposed["specification"]["task"]["version"] == "1"
    assert "error [run-exists]" in cli.refused(OPERATOR, "run", "propose", form, "--name", "made")


def test_nothing_is_approved_that_was_not_shown(cli: Commands, form: Path) -> None:
    propose(cli, form, "asked")
    for answer, sentence in (("n\n", "nothing was done"), ("", "say --yes")):
        result = cli.run(OTHER, "run", "approve", "asked", answer=answer)
        assert "error [not-confirmed]" in result.stderr
        assert sentence in result.stderr
    refusal = cli.refused(OTHER, "run", "approve", "asked", "--specification", "0" * 64, "--yes")
    assert "error [specification-mismatch]" in refusal
    assert cli.json(OTHER, "run", "show", "asked")["approvals"] == ["HospitalA"]

    right = cli.json(OTHER, "run", "show", "asked")["specification_digest"]
    assert cli.json(OTHER, "run", "approve", "asked", "--specification", right, "--yes")["state"] == "active"


def test_rejecting_and_stopping(cli: Commands, form: Path) -> None:
    propose(cli, form, "unwanted")
    assert cli.json(THIRD, "run", "reject", "unwanted", "--reason", "too long")["state"] == "proposed"
    # Without the silo of HospitalB there are too few.
    assert "Run unwanted is rejected." in cli.good(OTHER, "run", "reject", "unwanted", "--reason", "too short")
    assert "error [already-voted]" in cli.run(OTHER, "run", "approve", "unwanted", "--yes").stderr
    assert "HospitalB (too short)" in cli.good(OPERATOR, "run", "show", "unwanted")
    watched = cli.run(THIRD, "run", "watch", "unwanted")
    assert (watched.exit_code, watched.stdout) == (1, "Run unwanted is rejected.\n")

    propose(cli, form, "called-off")
    cli.good(OTHER, "run", "approve", "called-off", "--yes")
    said = cli.good(OTHER, "run", "stop", "called-off", "--reason", "doubts", "--yes")
    assert "HospitalB (doubts) want it to stop" in said
    assert "Run called-off is stopped." in cli.good(
        OPERATOR, "run", "stop", "called-off", "--reason", "good enough", "--yes"
    )
    watched = cli.run(THIRD, "run", "watch", "called-off")
    assert (watched.exit_code, watched.stdout) == (1, "Run called-off is stopped.\n")


def test_only_operators_propose(cli: Commands, form: Path) -> None:
    refusal = cli.refused(
        "HospitalA/viewer",
        "run",
        "propose",
        form,
        "--name",
        "not-mine",
        "--initial",
        form.parent / "initial.safetensors",
    )
    assert "error [role-not-allowed]" in refusal
    assert "error [run-unknown]" in cli.refused(OPERATOR, "run", "show", "not-mine")


def test_watching_tells_each_round_and_ends_with_the_run(consortium: Consortium, cli: Commands, tmp_path: Path) -> None:
    asyncio.run(made_runs.propose(consortium, "watched", tmp_path, rounds=2))
    outputs: list[str] = []
    watching = threading.Thread(target=lambda: outputs.append(watched(consortium, cli)))

    async def go_on() -> None:
        for _ in range(2):
            await train(consortium, "watched", tmp_path)
            await made_runs.close(consortium, "watched")
            await evaluate(consortium, "watched", await publish(consortium, "watched", tmp_path))

    watching.start()
    asyncio.run(go_on())
    watching.join(DEADLINE_SECONDS)
    changes = [json.loads(line) for line in outputs[0].splitlines()]
    assert changes[0]["event"] is None
    assert changes[-1]["state"] == "finished"
    assert changes[-1]["latest"]["round"] == 2

    lines = cli.good(THIRD, "run", "watch", "watched").splitlines()
    assert lines[0].startswith("round 2/2")
    assert "2 of 2 updates" in lines[0]
    assert lines[-1] == "Run watched is finished."


def watched(consortium: Consortium, cli: Commands) -> str:
    consortium.identity("HospitalC/watcher")
    return subprocess.run(
        [sys.executable, "-m", "consilo.cli", "run", "watch", "watched", "--json"],
        env={**os.environ, **environment(consortium, "HospitalC/watcher", cli.directory)},
        check=True,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
    ).stdout


def test_an_interrupt_ends_a_command_without_a_traceback(consortium: Consortium, tmp_path: Path) -> None:
    asyncio.run(made_runs.propose(consortium, "interrupted", tmp_path, rounds=1))
    consortium.identity("HospitalC/watcher")
    with subprocess.Popen(
        [sys.executable, "-m", "consilo.cli", "run", "watch", "interrupted", "--json"],
        env={**os.environ, **environment(consortium, "HospitalC/watcher", tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["state"] == "active"
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_SECONDS) == 130
        assert process.stderr.read() == ""


def environment(consortium: Consortium, member: str, directory: Path) -> dict[str, str]:
    return {
        "CONSILO_GATEWAY": consortium.ledger.url,
        "CONSILO_IDENTITY": str(consortium.identity_directory(member)),
        "CONSILO_STATE": str(directory / "other-state"),
    }


def test_annulled_models_are_listed_as_such(consortium: Consortium, cli: Commands, tmp_path: Path) -> None:
    asyncio.run(make_run(consortium, "annulled", tmp_path, rounds=1, spoiled=1))
    attested = cli.run(made_runs.VERIFIER, "verify", "annulled", "--attest")
    assert attested.exit_code == 3
    assert "Attested: global 1 mismatch." in attested.stdout

    models = cli.json(THIRD, "model", "list", "annulled")
    assert [each["annulled"] for each in models] == [False, True]
    assert models[1]["attestations"] == [{"verifier": made_runs.VERIFIER, "verdict": "mismatch"}]
    assert "error [global-unknown]" in cli.refused(THIRD, "model", "get", "annulled", "--round", "1")


def test_a_run_starts_from_a_global_model_of_an_earlier_one(
    consortium: Consortium, cli: Commands, form: Path, tmp_path: Path
) -> None:
    first, last = asyncio.run(make_run(consortium, "earlier", tmp_path))
    for number, (options, expected) in enumerate(
        [(["--initial-from", "earlier"], last), (["--initial-from", "earlier:1"], first)]
    ):
        cli.good(OPERATOR, "run", "propose", form, "--name", f"later-{number}", *options)
        initial = cli.json(OPERATOR, "run", "show", f"later-{number}")["record"]["proposal"]["specification"]["initial"]
        assert initial["sha256"] == expected.artifact.sha256
        assert initial["organisation"] == "HospitalA"
        assert initial["key"] != expected.artifact.key, "an object of the new run, which outlives the earlier one's"
        assert consortium.object_path(initial["key"]).stat().st_size == initial["size_bytes"]

    named = tmp_path / "named.toml"
    named.write_text(FORM + '\n[initial]\nrun = "earlier"\nround = 1\n')
    dry = cli.json(OPERATOR, "run", "propose", named, "--name", "later-2", "--dry-run")
    assert dry["specification"]["initial"]["sha256"] == first.artifact.sha256


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--initial-from", "earlier:x"], "is not RUN or RUN:ROUND"),
        (["--initial-from", "Earlier"], "is no name of a run"),
        (["--initial-from", "earlier", "--seed", "1"], "a seed is for --task"),
        (["--initial-from", "earlier", "--initial", "model"], "give one of --task, --initial and --initial-from"),
    ],
)
def test_an_earlier_model_that_is_badly_named_is_refused(
    cli: Commands, form: Path, options: list[str], said: str
) -> None:
    assert said in cli.refused(OPERATOR, "run", "propose", form, "--name", "later", *options, code=2)


def test_an_earlier_model_that_is_not_there_is_refused(cli: Commands, form: Path) -> None:
    said = cli.refused(OPERATOR, "run", "propose", form, "--name", "later", "--initial-from", "nobody-made-it")
    assert "error [run-unknown]" in said
