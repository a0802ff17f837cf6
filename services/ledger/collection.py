"""Collects what the store need not keep: now and then, in the background. Reads the ledger; lists and deletes objects.

What is deleted is decided in `consilo.store.collection`. An orphan's age is taken as of the ledger's newest block, at
most: a ledger that was restored from an old backup does not name what was recorded since, and nothing of that may go
before the ledger goes on. So it is, too, when the clock jumps ahead.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final

import structlog

from consilo.api.gateway import now_ms
from consilo.api.models import Position
from consilo.protocol.queries import NoArguments, RunNames
from consilo.protocol.retention import ArtifactsOfRun, NamedArtifacts
from consilo.store.collection import Judgement, Names, judge
from consilo.store.errors import StoreError
from consilo.store.port import MAX_LISTED, ObjectStore, StoredObject
from services.ledger.growth import PAST_THE_LAST
from services.ledger.port import Ledger, LedgerUnavailable

_RECORDS_AT_ONCE: Final = 200

log = structlog.get_logger(__name__)


class Collector:
    """Removes orphans and what is past its run's retention from the store of a gateway's organisations.

    Args:
        ledger: says which objects its records name.
        store: of the organisations.
        organisations: MSP ids.
        orphan_grace_seconds: age of an object that no record names, from which on it is removed.
    """

    def __init__(
        self, ledger: Ledger, store: ObjectStore, organisations: tuple[str, ...], *, orphan_grace_seconds: float
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._organisations = organisations
        self._grace_seconds = orphan_grace_seconds

    async def collect_every(self, seconds: float) -> None:
        """Collect after each wait, for ever. What fails is logged, and tried again the next time."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.collect()
            except (StoreError, LedgerUnavailable) as error:
                log.warning("not collected", code=error.code, reason=str(error))
            except Exception:
                log.exception("not collected")

    async def collect(self) -> dict[Judgement, int]:
        """Go through the store once; returns how many objects were judged how.

        Raises:
            StoreError, LedgerUnavailable: it was not gone through to the end.
        """
        # The objects first: whatever was recorded before they were listed is then among the names.
        objects = await self._objects()
        names = await self._names()
        judgements = judge(objects, names, orphan_grace_seconds=self._grace_seconds)
        sizes = {stored.key: stored.size_bytes for stored in objects}
        freed = 0
        for key, judgement in judgements.items():
            if judgement != "keep":
                await asyncio.to_thread(self._store.delete, key)
                log.info("object removed", key=key, why=judgement, size_bytes=sizes[key])
                freed += sizes[key]
        counts = Counter(judgements.values())
        log.info("collected", kept=counts["keep"], expired=counts["expired"], orphans=counts["orphan"], freed=freed)
        return dict(counts)

    async def _objects(self) -> list[StoredObject]:
        found: list[StoredObject] = []
        after: str | None = ""
        while after is not None:
            page = await asyncio.to_thread(self._store.list, after, MAX_LISTED)
            found.extend(page.objects)
            after = page.next
        return found

    async def _names(self) -> Names:
        as_of = min(now_ms(), await self._newest_time())
        runs = await self._ledger.query("run_names", NoArguments())
        assert isinstance(runs, RunNames)  # noqa: S101 - the table of queries says so
        collectable: dict[str, bool] = {}
        for run in runs.runs:
            after: str | None = ""
            while after is not None:
                page = await self._ledger.query(
                    "artifacts",
                    ArtifactsOfRun(run=run, organisations=self._organisations, after=after, limit=_RECORDS_AT_ONCE),
                )
                assert isinstance(page, NamedArtifacts)  # noqa: S101 - the table of queries says so
                for named in page.artifacts:
                    collectable[named.key] = named.collectable and collectable.get(named.key, True)
                after = page.after
        return Names(collectable, self._organisations, as_of)

    async def _newest_time(self) -> int:
        """The time of the newest block; 0 when there is none but the genesis."""
        head = await self._ledger.head()
        events = await self._ledger.events(Position(height=max(head.height - 1, 0), index=PAST_THE_LAST), 1)
        return max((event.time for event in events), default=0)
