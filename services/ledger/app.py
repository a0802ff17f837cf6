"""Wires the ledger service together. No I/O until the application starts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI

import consilo
from consilo.identity.chains import ChainCache
from consilo.identity.identity import Identity
from consilo.store.port import ObjectStore
from services.ledger import problems
from services.ledger.collection import Collector
from services.ledger.description import describe
from services.ledger.port import Ledger
from services.ledger.requests import Services
from services.ledger.routes import events, health, objects, reading, transactions
from services.ledger.settings import LedgerSettings
from services.ledger.streams import Ending


def create_app(
    settings: LedgerSettings, *, identity: Identity, store: ObjectStore, open_ledger: Callable[[], Awaitable[Ledger]]
) -> FastAPI:
    """The REST API of an organisation's gateway.

    Args:
        settings: limits, and whose gateway it is.
        identity: the gateway's own, which signs heads.
        store: signs URLs; is gone through for what need not be kept.
        open_ledger: opens the ledger, inside the running event loop; the application closes it.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.ledger = await open_ledger()
        collecting = _collect(settings, app)
        try:
            yield
        finally:
            if collecting is not None:
                collecting.cancel()
                with suppress(asyncio.CancelledError):
                    await collecting
            await app.state.ledger.close()

    app = FastAPI(
        title="Consilo ledger service",
        version=consilo.__version__,
        description="The gateway of an organisation to its ledger: transactions, reading, signed URLs, events.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
    )
    app.state.services = Services(
        settings=settings,
        identity=identity,
        organisations=tuple(settings.organisations) or (identity.msp,),
        store=store,
        chains=ChainCache(),
        ending=Ending(),
    )
    problems.install(app)
    describe(app)
    for module in (transactions, reading, objects, events, health):
        app.include_router(module.router)
    return app


def _collect(settings: LedgerSettings, app: FastAPI) -> asyncio.Task[None] | None:
    """The background task that collects, or None when it is turned off."""
    if not settings.collect_every_seconds:
        return None
    services: Services = app.state.services
    collector = Collector(
        app.state.ledger,
        services.store,
        services.organisations,
        orphan_grace_seconds=settings.orphan_grace_seconds,
    )
    return asyncio.create_task(collector.collect_every(settings.collect_every_seconds), name="collect")
