"""The artifacts of a run as sources of bytes: updates for an aggregation, globals. Does network I/O.

Each is read by a thread of its own, from the store of its owner. A transfer that breaks is opened again and skipped to
where it was: that the bytes of both belong together, the digest shows. After a bounded number of failures the artifact
is unavailable.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog

from consilo.api.errors import ApiError, GatewayRefused, LedgerRolledBack
from consilo.api.party import Party, Place
from consilo.api.patience import is_away
from consilo.api.transfer_errors import HostNotAllowed, SizeMismatch, TransferError
from consilo.api.transfers import Download, open_download
from consilo.protocol.bodies import ArtifactReference, RecordAccess, UpdateArtifact
from consilo.protocol.records import SelectedUpdate
from consilo.protocol.values import organisation_of

_SKIP_BYTES: Final = 1024 * 1024
_RECORDED_AT_ONCE: Final = 1000

log = structlog.get_logger(__name__)


class ArtifactUnavailable(OSError):
    """An artifact cannot be had from its owner's store."""


class Abandoned(Exception):
    """The work for which an artifact was read was given up."""


class RemoteArtifacts:
    """Makes the sources for one piece of work, and can make all that read them give up.

    Args:
        party: who reads; connected, in the running event loop.
        run: name of the run.
        size_bytes: of each artifact, as the run's schema says.
        attempts: transfers of one artifact that may break, the last one included, before it counts as unavailable.
    """

    def __init__(self, party: Party, run: str, size_bytes: int, *, attempts: int) -> None:
        self.party = party
        self.size_bytes = size_bytes
        self.attempts = attempts
        self._run = run
        self._loop = asyncio.get_running_loop()
        self._recorded = False
        self._abandoned = threading.Event()
        self._pending: set[concurrent.futures.Future[Place]] = set()

    def update(self, round_number: int, selected: SelectedUpdate) -> RemoteSource:
        """A selected update of a round."""
        return self._source(_reference(round_number, selected), _owner(selected), update_of=selected.member)

    async def record_access(self, round_number: int, updates: Sequence[SelectedUpdate]) -> None:
        """Record the access to updates by one transaction, where the ledger demands it.

        What is refused here is recorded for each artifact by itself when it is read, so that one that cannot be had
        does not stand for all.
        """
        references = [_reference(round_number, update) for update in updates]
        demanded = tuple(
            reference
            for reference, update in zip(references, updates, strict=True)
            if self.party.needs_record(reference, _owner(update))
        )
        for start in range(0, len(demanded), _RECORDED_AT_ONCE):
            record = RecordAccess(run=self._run, artifacts=demanded[start : start + _RECORDED_AT_ONCE])
            try:
                await self.party.metadata_publish(record)
            except GatewayRefused as error:
                log.info("access not recorded at once", run=self._run, code=error.code, reason=error.message)
                return
        self._recorded = True

    def _source(self, reference: ArtifactReference, owner: str, **names: str) -> RemoteSource:
        return RemoteSource(self, reference, owner, log.bind(run=self._run, round=reference.round, **names))

    def abandon(self) -> None:
        """Make every read, and every wait for one, raise `Abandoned`; a transfer that hangs, when it times out."""
        self._abandoned.set()
        for future in tuple(self._pending):
            future.cancel()

    def raise_if_abandoned(self) -> None:
        """Raise `Abandoned` when the work was given up."""
        if self._abandoned.is_set():
            raise Abandoned

    def wait(self, seconds: float) -> None:
        """Wait so long; raises `Abandoned` as soon as the work is given up."""
        self._abandoned.wait(seconds)
        self.raise_if_abandoned()

    def place(self, reference: ArtifactReference, owner: str, *, fresh: bool) -> Place:
        """A place to get an artifact from. Blocking: for reading threads.

        Args:
            reference: the artifact.
            owner: MSP id of the organisation in whose store it lies.
            fresh: look up again where the organisation's gateway and stores are.
        """
        future = asyncio.run_coroutine_threadsafe(self._place(reference, owner, fresh), self._loop)
        self._pending.add(future)
        if self._abandoned.is_set():  # perhaps it was while the future was not yet among those to cancel
            future.cancel()
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise Abandoned from None
        finally:
            self._pending.discard(future)

    async def _place(self, reference: ArtifactReference, owner: str, fresh: bool) -> Place:
        if fresh:
            await self.party.organisation(owner, fresh=True)
        return await self.party.place_to_get(self._run, reference, owner, recorded=self._recorded)


class RemoteSource:
    """One artifact on its way; used by one thread, which opens it with the first read."""

    def __init__(
        self,
        artifacts: RemoteArtifacts,
        reference: ArtifactReference,
        owner: str,
        logger: structlog.typing.FilteringBoundLogger,
    ) -> None:
        """Made by `RemoteArtifacts`."""
        self._artifacts = artifacts
        self._reference = reference
        self._owner = owner
        self._log = logger
        self._download: Download | None = None
        self._position = 0
        self._failures = 0

    def readinto(self, buffer: memoryview, /) -> int:
        """The next bytes; 0 at the end, or at once when the store has an object of another size.

        Raises:
            ArtifactUnavailable: it cannot be had.
            Abandoned: nobody wants it any more.
        """
        while True:
            self._artifacts.raise_if_abandoned()
            try:
                if self._download is None:
                    self._download = self._open()
                count = self._download.readinto(buffer)
            except SizeMismatch as error:
                self._log.warning("artifact of another size", reason=str(error))
                return 0
            except LedgerRolledBack:
                raise
            except (TransferError, ApiError) as error:
                self._failed(error)
            else:
                self._position += count
                return count

    def close(self) -> None:
        """End the transfer."""
        if self._download is not None:
            self._download.close()
            self._download = None

    def _open(self) -> Download:
        """A download from the position where the last one broke."""
        settings = self._artifacts.party.settings
        place = self._artifacts.place(self._reference, self._owner, fresh=self._failures > 0)
        download = open_download(
            place.request,
            expected_bytes=self._artifacts.size_bytes,
            allowed_hosts=place.allowed_hosts,
            timeout_seconds=settings.transfer_timeout_seconds,
            ca_file=None if settings.ca_file is None else Path(settings.ca_file),
            networks=place.networks,
            pace=settings.pace,
        )
        with contextlib.ExitStack() as undo:
            undo.callback(download.close)
            scratch = memoryview(bytearray(min(_SKIP_BYTES, self._position)))
            left = self._position
            while left:
                self._artifacts.raise_if_abandoned()
                left -= download.readinto(scratch[:left])
            undo.pop_all()
        return download

    def _failed(self, error: TransferError | ApiError) -> None:
        """Wait before the next attempt, if there may be one."""
        self.close()
        self._failures += 1
        limits = self._artifacts.party.settings
        if not _may_pass(error) or self._failures >= self._artifacts.attempts:
            self._log.warning("artifact unavailable", code=error.code, reason=str(error), attempts=self._failures)
            raise ArtifactUnavailable
        seconds = min(limits.backoff_first_seconds * 2 ** (self._failures - 1), limits.backoff_longest_seconds)
        self._log.info("transfer interrupted", code=error.code, reason=str(error), at_bytes=self._position)
        self._artifacts.wait(seconds)


def _reference(round_number: int, selected: SelectedUpdate) -> UpdateArtifact:
    return UpdateArtifact(
        kind="update", round=round_number, attempt=selected.attempt, member=selected.member, sha256=selected.sha256
    )


def _owner(selected: SelectedUpdate) -> str:
    # The ledger admits an update only when its artifact lies with the member's own organisation.
    return organisation_of(selected.member)


def _may_pass(error: TransferError | ApiError) -> bool:
    # A host that is not allowed may be one that was registered a moment ago.
    return (
        is_away(error) or isinstance(error, HostNotAllowed) or (isinstance(error, GatewayRefused) and error.retryable)
    )
