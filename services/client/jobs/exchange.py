"""What the silo and one Job give each other, on disk, so that a client that starts again goes on with its Jobs. Blocks.

    <work>/jobs/<name>/job.json          the order, the digest of the token, and the UID once the Job is made
    <work>/jobs/<name>/update-<sha256>   the trained model
    <work>/jobs/<name>/trained.json, evaluated.json, failed.json      the Job's replies

Each but job.json is written once, and appears whole or not at all.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final, Literal, TypeVar

import structlog

from consilo.protocol.model import Record
from consilo.protocol.refusals import InvalidInput
from consilo.protocol.values import Digest
from consilo.training.job_messages import JobOrder
from consilo.training.messages import EvaluationReply, Failed, Progress, TrainingReply
from services.client.work import replace_durably, sync_directory

log = structlog.get_logger(__name__)

Result = TypeVar("Result", TrainingReply, EvaluationReply, Failed)

_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9\-]{0,61}[a-z0-9])?")
_FILES: Final = {TrainingReply: "trained.json", EvaluationReply: "evaluated.json", Failed: "failed.json"}


class ExchangeRefused(Exception):
    """The Job gave what it was not asked for, or something else than before."""


class JobRecord(Record):
    """What the silo remembers of a Job.

    Attributes:
        run: that it is for.
        base: path of the model to start from.
        token: digest of the token that the Job shows.
        owner: UID of the silo's pod that made the Job: when that is gone, so is the Job.
        url: where the Job reaches the silo.
        uid: of the Job; None: it was about to be made.
    """

    schema_version: Literal[1] = 1
    run: str
    order: JobOrder
    base: str
    token: Digest
    owner: str
    url: str
    uid: str | None = None


class Exchange:
    """What the silo and one Job give each other. Its files may be used by any thread, its events by the event loop's.

    Attributes:
        name: of the Job.
        record: what is remembered of it.
        is_awaited: whether somebody in this process waits, or waited, for the Job. Until then it is asked to wait.
        on_progress: is told how the training goes.
    """

    def __init__(self, directory: Path, record: JobRecord) -> None:
        self.name = directory.name
        self.record = record
        self.is_awaited = False
        self.on_progress: Callable[[Progress], None] = tell_nobody
        self._directory = directory
        self._news = asyncio.Event()
        self._is_taking = False

    @property
    def order(self) -> JobOrder:
        """What the Job is to do."""
        return self.record.order

    def admits(self, token: str) -> bool:
        """Whether this is the Job's token."""
        return hmac.compare_digest(digest_of(token), self.record.token)

    def made(self, uid: str) -> None:
        """The Job has been made."""
        self.record = self.record.model_copy(update={"uid": uid})
        replace_durably(self._directory / "job.json", self.record.model_dump_json().encode())

    # -- The Job's side --

    def partial(self) -> BinaryIO:
        """A file to write the trained model to, for `take_update`. One at a time.

        Raises:
            ExchangeRefused: another upload goes on.
        """
        if self._is_taking:
            raise ExchangeRefused("another upload of the update goes on")
        self._is_taking = True
        return (self._directory / ".update.part").open("wb")

    def let_go(self) -> None:
        """The upload has ended, with `take_update` or without."""
        self._is_taking = False
        (self._directory / ".update.part").unlink(missing_ok=True)

    def take_update(self, file: BinaryIO, sha256: str) -> None:
        """Keep what was written to `partial()`, whose digest this is."""
        file.flush()
        os.fsync(file.fileno())
        (self._directory / ".update.part").replace(self._directory / f"update-{sha256}")
        sync_directory(self._directory)

    def given(self) -> str | None:
        """Digest of the update that the Job gave, or None."""
        found = next(self._directory.glob("update-*"), None)
        return None if found is None else found.name.removeprefix("update-")

    def take(self, reply: TrainingReply | EvaluationReply | Failed) -> None:
        """Keep a result; call `tell` afterwards. The same one again changes nothing.

        Raises:
            ExchangeRefused: it was not ordered, its model is not there, or another one was given before.
        """
        file = self._directory / _FILES[type(reply)]
        if isinstance(reply, TrainingReply) and self.order.training is None:
            raise ExchangeRefused("no training was ordered")
        if isinstance(reply, EvaluationReply) and not self.order.evaluate:
            raise ExchangeRefused("no evaluation was ordered")
        line = reply.model_dump_json().encode()
        if file.exists():
            if file.read_bytes() != line:
                raise ExchangeRefused("another result was given before")
            return
        if isinstance(reply, TrainingReply) and self.given() != reply.sha256:
            raise ExchangeRefused("the model of this training has not been given")
        replace_durably(file, line)

    def tell(self) -> None:
        """Wake up who waits for news. For the event loop."""
        self._news.set()

    # -- The silo's side --

    async def news(self, seconds: float) -> bool:
        """Wait for something new from the Job, at most so long; whether there is."""
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return False
        self._news.clear()
        return True

    def result(self, kind: type[Result]) -> Result | None:
        """A result that the Job gave, or None."""
        try:
            return kind.model_validate_json((self._directory / _FILES[kind]).read_bytes())
        except FileNotFoundError:
            return None

    def hand_over(self, trained: TrainingReply, output: Path) -> bool:
        """Move the update to its place, unless that was done before; whether it is there."""
        update = self._directory / f"update-{trained.sha256}"
        if update.exists():
            update.replace(output)
            sync_directory(output.parent)
            return True
        try:
            with output.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == trained.sha256
        except FileNotFoundError:
            return False

    def remove(self) -> None:
        """Forget the Job."""
        shutil.rmtree(self._directory, ignore_errors=True)


class Exchanges:
    """All Jobs that the silo remembers. For one event loop; methods block for small files."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._found: dict[str, Exchange] = {}

    def load(self) -> None:
        """Read what an earlier process remembered, and remove what it left unfinished."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in sorted(self._directory.iterdir()):
            try:
                record = JobRecord.decode((path / "job.json").read_bytes())
            except (OSError, InvalidInput) as error:
                log.warning(
                    "what is remembered of a Job is damaged; it is made again", job=path.name, reason=str(error)
                )
                shutil.rmtree(path, ignore_errors=True)
                continue
            (path / ".update.part").unlink(missing_ok=True)
            self._found[path.name] = Exchange(path, record)

    def get(self, name: str) -> Exchange | None:
        """What is remembered of a Job, or None."""
        return self._found.get(name)

    def of_run(self, run: str) -> list[Exchange]:
        """Those of a run."""
        return [exchange for exchange in self._found.values() if exchange.record.run == run]

    def all(self) -> list[Exchange]:
        """All of them."""
        return list(self._found.values())

    def open(self, name: str, record: JobRecord) -> Exchange:
        """Remember a Job that is about to be made.

        Raises:
            ValueError: the name is none of a Job.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name[:100]!r} is no name of a Job")
        directory = self._directory / name
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(mode=0o700)
        replace_durably(directory / "job.json", record.model_dump_json().encode())
        sync_directory(self._directory)
        exchange = self._found[name] = Exchange(directory, record)
        return exchange

    def drop(self, exchange: Exchange) -> None:
        """Forget a Job: it is not admitted any more."""
        if self._found.get(exchange.name) is exchange:
            del self._found[exchange.name]
            exchange.remove()


def digest_of(token: str) -> str:
    """What is remembered of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def tell_nobody(progress: Progress) -> None:
    """For progress that nobody waits for."""
