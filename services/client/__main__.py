"""Starts the client service: `python -m services.client --help`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import structlog

from consilo.api.errors import ApiError
from consilo.hosting.connections import Bounds
from consilo.hosting.start import CannotStart, run_service
from consilo.hosting.web import serve_web
from consilo.identity.errors import IdentityError
from consilo.identity.identity import Identity
from services.client.agent import Agent
from services.client.app import create_app
from services.client.jobs.office import JobOffice
from services.client.jobs.runner import JobRunner, RunnerUnusable
from services.client.jobs.settings import JobSettings
from services.client.jobs.trainers import JobTrainers
from services.client.settings import ClientSettings
from services.client.trainers import ProcessTrainers, Trainers
from services.client.work import WorkDirectory, WorkDirectoryUnusable

log = structlog.get_logger(__name__)


def kubernetes_jobs(settings: JobSettings, stop_grace_seconds: float) -> JobRunner:
    """The cluster that Jobs run in.

    Raises:
        RunnerUnusable: there is none, or the settings make no Job.
    """
    try:
        from services.client.jobs.kubernetes import KubernetesJobs  # large, and needed in this mode only
    except ImportError as error:
        raise RunnerUnusable(f"Jobs need the extra k8s: install it ({error})") from None
    return KubernetesJobs(settings, stop_grace_seconds=stop_grace_seconds)


def serve(settings: ClientSettings, make_runner: Callable[[JobSettings, float], JobRunner] = kubernetes_jobs) -> None:
    """Run the service until a signal ends it.

    Args:
        settings: all of them.
        make_runner: of Jobs, in the trainer's mode `job`: from its settings, and the seconds in which a training stops.

    Raises:
        CannotStart: identity, data file, work directory or address cannot be used; the message says which.
        SystemExit: the silo cannot go on.
    """
    try:
        identity = Identity.load(settings.identity)
        directory = WorkDirectory(settings.work_directory)
    except (IdentityError, WorkDirectoryUnusable) as error:
        raise CannotStart(str(error)) from None
    if identity.role != "silo":
        raise CannotStart(f"{settings.identity} is the identity of a {identity.role}; a client needs one of a silo")
    trainers = make_trainers(settings, identity.member, directory, make_runner)
    agent = Agent(settings, identity=identity, trainers=trainers, directory=directory)
    app = create_app(settings, agent)
    serve_web(
        app,
        host=settings.host,
        port=settings.port,
        shutdown_grace_seconds=settings.shutdown_grace_seconds,
        bounds=Bounds(max_connections=settings.max_connections),
        loop="asyncio",
    )
    if app.state.failure is not None:
        explained = isinstance(app.state.failure, ApiError)
        log.critical("cannot go on", reason=str(app.state.failure), exc_info=None if explained else app.state.failure)
        raise SystemExit(1)


def make_trainers(
    settings: ClientSettings,
    member: str,
    directory: WorkDirectory,
    make_runner: Callable[[JobSettings, float], JobRunner],
) -> Trainers:
    """What trains, as the settings say.

    Raises:
        CannotStart: they say what cannot be done; the message says which.
    """
    data = read_data(settings)
    job = settings.trainer.job
    if settings.trainer.mode == "process" or job is None:
        return ProcessTrainers(data, settings.worker, member)
    try:
        runner = make_runner(job, settings.worker.stop_grace_seconds)
        office = JobOffice(job, member=member, directory=directory.jobs, runner=runner)
    except RunnerUnusable as error:
        raise CannotStart(str(error)) from None
    except OSError as error:
        raise CannotStart(f"cannot listen for Jobs on {job.host}:{job.port}: {error.strerror}") from None
    return JobTrainers(office, settings, member, data)


def read_data(settings: ClientSettings) -> dict[str, Any]:
    """What the operator says about the data.

    Raises:
        CannotStart: the file is no JSON object.
    """
    if settings.data_file is None:
        return settings.data
    try:
        data = json.loads(settings.data_file.read_bytes())
    except (OSError, ValueError) as error:
        raise CannotStart(f"cannot read the data file {settings.data_file}: {error}") from None
    if not isinstance(data, dict):
        raise CannotStart(f"the data file {settings.data_file} holds no JSON object")
    return data


def main() -> int:
    """Run the service and return the exit code."""
    try:
        return run_service(ClientSettings, serve)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # at once: a transfer in a thread would be waited for otherwise
