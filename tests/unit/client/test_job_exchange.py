"""What the silo remembers of Jobs, on a real file system."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from consilo.aggregation import schema_of
from consilo.training.job_messages import JobLimits, JobOrder
from consilo.training.messages import EvaluationReply, Failed, RoundContext, TrainingReply
from consilo.training.worker_process import WorkerSettings
from services.client.jobs.exchange import Exchange, ExchangeRefused, Exchanges, JobRecord, digest_of
from services.client.jobs.trainer import job_name
from tests.integration.job_play import WEIGHTS

BASE = hashlib.sha256(b"base").hexdigest()
MODEL = hashlib.sha256(b"model").hexdigest()
TRAINED = TrainingReply(id=2, num_samples=5, metrics={"loss": 0.5}, sha256=MODEL, seconds=1.5, checks=3, prints=0)
EVALUATED = EvaluationReply(id=3, num_samples=4, metrics={}, seconds=0.5, unchanged=None)
FAILED = Failed(id=1, code="task-failed", message="no", traceback=())


def order(*, round: int | None = 3, attempt: int = 1, evaluate: bool = True, base: str = BASE) -> JobOrder:
    training = None if round is None else RoundContext(run="trial", round=round, attempt=attempt, seed=7)
    return JobOrder(
        task="tasks:Task",
        version="1",
        parameters={"rate": 0.5},
        data={},
        tensors=schema_of(WEIGHTS),
        base=base,
        training=training,
        evaluate=evaluate,
        limits=JobLimits.of(WorkerSettings()),
    )


def record(found: JobOrder | None = None) -> JobRecord:
    return JobRecord(
        run="trial",
        order=found or order(),
        base="/work/base",
        token=digest_of("token"),
        owner="pod",
        url="http://127.0.0.1:1/v1/jobs/job",
    )


@pytest.fixture
def exchanges(tmp_path: Path) -> Exchanges:
    found = Exchanges(tmp_path / "jobs")
    found.load()
    return found


@pytest.fixture
def exchange(exchanges: Exchanges) -> Exchange:
    return exchanges.open("job", record())


def give(exchange: Exchange, content: bytes = b"model") -> str:
    sha256 = hashlib.sha256(content).hexdigest()
    with exchange.partial() as file:
        file.write(content)
        exchange.take_update(file, sha256)
    exchange.let_go()
    return sha256


def again(tmp_path: Path) -> Exchanges:
    """What the next process finds."""
    found = Exchanges(tmp_path / "jobs")
    found.load()
    return found


def test_a_job_is_admitted_by_its_token_alone(exchange: Exchange) -> None:
    assert exchange.admits("token")
    assert not any(map(exchange.admits, ["", "Token", "token ", digest_of("token")]))


def test_what_is_remembered_is_found_by_the_next_process(tmp_path: Path, exchange: Exchange) -> None:
    exchange.made("u1")
    give(exchange)
    exchange.take(TRAINED)
    exchange.partial().close()
    found = again(tmp_path).get("job")
    assert found is not None
    assert found.record == exchange.record
    assert (found.record.uid, found.is_awaited, found.given()) == ("u1", False, MODEL)
    assert (found.result(TrainingReply), found.result(EvaluationReply)) == (TRAINED, None)
    assert found.hand_over(TRAINED, tmp_path / "output")
    assert (tmp_path / "output").read_bytes() == b"model"
    assert found.hand_over(TRAINED, tmp_path / "output")
    (tmp_path / "output").unlink()
    assert not found.hand_over(TRAINED, tmp_path / "output")


def test_a_damaged_record_is_forgotten(tmp_path: Path, exchange: Exchange) -> None:
    (tmp_path / "jobs" / "job" / "job.json").write_text("{")
    assert again(tmp_path).all() == []
    assert list((tmp_path / "jobs").iterdir()) == []


def test_a_file_of_somebody_else_among_the_jobs_is_no_harm(tmp_path: Path, exchange: Exchange) -> None:
    (tmp_path / "jobs" / "notes").write_text("x")
    assert [found.name for found in again(tmp_path).all()] == ["job"]


def test_results_are_written_once(exchange: Exchange) -> None:
    give(exchange)
    exchange.take(TRAINED)
    exchange.take(TRAINED)
    with pytest.raises(ExchangeRefused, match="another result"):
        exchange.take(TRAINED.model_copy(update={"num_samples": 6}))
    assert exchange.result(TrainingReply) == TRAINED


def test_a_training_counts_only_with_its_model(exchange: Exchange) -> None:
    with pytest.raises(ExchangeRefused, match="not been given"):
        exchange.take(TRAINED)
    give(exchange, b"another")
    with pytest.raises(ExchangeRefused, match="not been given"):
        exchange.take(TRAINED)


def test_only_what_was_ordered_is_taken(exchanges: Exchanges) -> None:
    evaluation = exchanges.open("evaluation", record(order(round=None)))
    with pytest.raises(ExchangeRefused, match="no training"):
        evaluation.take(TRAINED)
    evaluation.take(EVALUATED)
    training = exchanges.open("training", record(order(evaluate=False)))
    with pytest.raises(ExchangeRefused, match="no evaluation"):
        training.take(EVALUATED)
    training.take(FAILED)
    assert training.result(Failed) == FAILED


def test_one_upload_goes_on_at_a_time(exchange: Exchange) -> None:
    with exchange.partial(), pytest.raises(ExchangeRefused, match="another upload"):
        exchange.partial()
    exchange.let_go()
    give(exchange)


def test_a_job_that_is_dropped_is_gone(tmp_path: Path, exchanges: Exchanges, exchange: Exchange) -> None:
    newer = exchanges.open("job", record())
    exchanges.drop(exchange)
    assert exchanges.get("job") is newer
    exchanges.drop(newer)
    assert exchanges.get("job") is None
    assert list((tmp_path / "jobs").iterdir()) == []


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", "-a", "a" * 64])
def test_a_name_that_is_none_of_a_job_is_refused(exchanges: Exchanges, name: str) -> None:
    with pytest.raises(ValueError, match="no name of a Job"):
        exchanges.open(name, record())


def test_a_job_serves_all_attempts_of_its_round_and_no_other_work() -> None:
    assert order(attempt=1).covers(order(attempt=2))
    assert not order(round=3).covers(order(round=4))
    assert not order().covers(order(base=MODEL))
    assert not order().covers(order().model_copy(update={"data": {"path": "/other"}}))
    with pytest.raises(ValueError, match="neither"):
        order(round=None, evaluate=False)


def test_a_job_that_trains_and_evaluates_serves_an_evaluation_too() -> None:
    assert order().covers(order(round=None))
    assert order(round=None).covers(order(round=None))
    assert not order(evaluate=False).covers(order(round=None))
    assert not order(base=MODEL).covers(order(round=None))
    assert not order(round=None).covers(order())


def test_the_name_of_a_job_follows_from_its_work() -> None:
    name = job_name("HospitalA/silo", "trial", order())
    assert name.startswith("consilo-silo-trial-r3-")
    assert name == job_name("HospitalA/silo", "trial", order(attempt=2))
    others = [
        job_name("HospitalB/silo", "trial", order()),
        job_name("HospitalA/silo", "trial-2", order()),
        job_name("HospitalA/silo", "trial", order(round=4)),
        job_name("HospitalA/silo", "trial", order(base=MODEL)),
        job_name("HospitalA/silo", "trial", order(round=None)),
    ]
    assert len({name, *others}) == 6
    long = job_name("HospitalA/" + "s" * 63, "r" * 63, order(round=9_999_999))
    assert len(long) <= 57  # a pod's name is this and six characters, and a host's name has at most 63
