"""The one thread that writes a ledger: takes what waits, commits it at once, then answers. I/O: the committer's."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from consilo.embedded.blocks import check_fits
from consilo.embedded.committing import Committer
from consilo.embedded.errors import EmbeddedLedgerError, LedgerClosed, LedgerDefect, LedgerOverloaded
from consilo.embedded.receipts import Commit, Receipt
from consilo.embedded.settings import LedgerSettings
from consilo.protocol.refusals import InvalidInput, Refusal
from consilo.protocol.transaction import Transaction

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Request:
    transaction: Transaction
    size_bytes: int
    future: Future[Receipt]


class Writer:
    """Takes transactions from any thread, in the order in which they come.

    While one block goes to the disk, the transactions that arrive wait, and form the next: the more there are, the
    fewer times the disk is waited for per transaction.
    """

    def __init__(self, committer: Committer, settings: LedgerSettings, on_commit: Callable[[Commit], None]) -> None:
        """Starts the thread.

        Args:
            committer: used by this thread alone from now on.
            settings: limits.
            on_commit: called on this thread when a block is on the disk, before its senders are answered.
        """
        self._committer = committer
        self._settings = settings
        self._on_commit = on_commit
        self._queue: queue.Queue[_Request | None] = queue.Queue(settings.max_queued_transactions)
        self._held_back: _Request | None = None
        self._subscribers: tuple[Callable[[Commit], None], ...] = ()
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        self._thread.start()

    def submit(self, transaction: Transaction) -> Future[Receipt]:
        """Ask for a transaction to be applied (see `EmbeddedLedger.submit`)."""
        future: Future[Receipt] = Future()
        try:
            size_bytes = check_fits(transaction)
            if size_bytes > self._settings.max_transaction_bytes:
                message = f"{size_bytes} bytes; the ledger takes at most {self._settings.max_transaction_bytes}"
                raise InvalidInput("too-large", message)
        except InvalidInput as error:
            future.set_exception(Refusal(error.code, error.message))
            return future
        with self._lock:
            if self._closed:
                raise LedgerClosed("the ledger is closed")
            try:
                self._queue.put_nowait(_Request(transaction, size_bytes, future))
            except queue.Full:
                message = f"{self._settings.max_queued_transactions} transactions are waiting already; try again later"
                raise LedgerOverloaded(message) from None
        return future

    def subscribe(self, callback: Callable[[Commit], None]) -> Callable[[], None]:
        """Call back after each commit, on the writer's thread; returns what ends it."""

        def unsubscribe() -> None:
            with self._lock:
                self._subscribers = tuple(each for each in self._subscribers if each is not callback)

        with self._lock:
            self._subscribers = (*self._subscribers, callback)
        return unsubscribe

    def close(self) -> None:
        """Take nothing more, finish what waits, end the thread."""
        with self._lock:
            already, self._closed = self._closed, True
        if not already:
            self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (batch := self._next_batch()) is not None:
            # From here on a sender cannot withdraw; one that did before is left out.
            running = [request for request in batch if request.future.set_running_or_notify_cancel()]
            if running:
                self._commit(running)
        self._committer.close()

    def _next_batch(self) -> list[_Request] | None:
        """What waits, as much as goes into one block; None at the end."""
        first = self._held_back or self._queue.get()
        self._held_back = None
        if first is None:
            return None
        batch = [first]
        room = self._settings.max_block_bytes - first.size_bytes
        while len(batch) < self._settings.max_block_transactions:
            try:
                request = self._queue.get_nowait()
            except queue.Empty:
                break
            if request is None:
                # The end comes after this batch. There is room: nothing is put after the end.
                self._queue.put_nowait(None)
                break
            room -= request.size_bytes
            if room < 0:
                self._held_back = request
                break
            batch.append(request)
        return batch

    def _commit(self, batch: list[_Request]) -> None:
        try:
            answers, commit = self._committer.commit([request.transaction for request in batch])
        except EmbeddedLedgerError as error:
            _log.error("%d transactions were not committed: %s", len(batch), error.message)
            for request in batch:
                request.future.set_exception(error)
            return
        except Exception:
            _log.exception("%d transactions were not committed", len(batch))
            for request in batch:
                request.future.set_exception(LedgerDefect("the batch could not be committed; this is a defect"))
            return
        if commit is not None:
            self._on_commit(commit)
        for request, answer in zip(batch, answers, strict=True):
            if isinstance(answer, Receipt):
                request.future.set_result(answer)
            else:
                request.future.set_exception(answer)
        if commit is not None:
            self._notify(commit)

    def _notify(self, commit: Commit) -> None:
        for callback in self._subscribers:
            try:
                callback(commit)
            except Exception:
                _log.exception("a subscriber failed at block %d; the others are called", commit.head.height)
