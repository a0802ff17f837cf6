"""Wires the client service together: the silo at work, and a page that shows it. No I/O until the application starts.

The page needs no token and holds no secrets: names of runs, phases, codes of failures, numbers that tasks report.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress

import structlog
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse

import consilo
from services.client.agent import Agent, NotReady
from services.client.settings import ClientSettings
from services.client.status import ClientStatus

log = structlog.get_logger(__name__)


def create_app(settings: ClientSettings, agent: Agent) -> FastAPI:
    """The client's HTTP side. The agent works for as long as the application is up.

    `app.state.failure` is why the agent ended by itself, else None; the process is then told to end.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        working = asyncio.create_task(agent.run(), name="silo")
        working.add_done_callback(lambda task: _ended(app, task))
        try:
            yield
        finally:
            working.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await working
            # Transfers in threads may last; nobody waits for them: an artifact appears whole or not at all.
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())

    app = FastAPI(
        title="Consilo client",
        version=consilo.__version__,
        description="One silo: whether it is well, and what it is doing.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.failure = None

    @app.get("/livez", summary="Whether the process answers")
    async def livez() -> Response:
        """Touches nothing else."""
        return Response("ok\n", media_type="text/plain")

    @app.get("/readyz", summary="Whether the gateway answers", responses={503: {"description": "It does not"}})
    async def readyz() -> Response:
        """503 when it does not."""
        try:
            async with asyncio.timeout(settings.api.connect_timeout_seconds):
                await agent.check()
        except NotReady as error:
            return JSONResponse({"detail": str(error)}, 503)
        except TimeoutError:
            return JSONResponse({"detail": "the gateway does not answer in time"}, 503)
        return Response("ok\n", media_type="text/plain")

    @app.get("/v1/status", summary="What the silo is doing")
    async def status() -> ClientStatus:
        """One entry for each run that it joined since it started."""
        return agent.board.status()

    return app


def _ended(app: FastAPI, task: asyncio.Task[None]) -> None:
    """The agent ended. By itself it only does for a reason that somebody must look into."""
    if not task.cancelled():
        app.state.failure = task.exception()
        signal.raise_signal(signal.SIGTERM)
