"""Starts the client service: `python -m services.client --help`."""

from __future__ import annotations

import json
import os
import sys
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
from services.client.settings import ClientSettings
from services.client.work import WorkDirectory, WorkDirectoryUnusable

log = structlog.get_logger(__name__)


def serve(settings: ClientSettings) -> None:
    """Run the service until a signal ends it.

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
    agent = Agent(settings, identity=identity, data=read_data(settings), directory=directory)
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
