"""The work directory: models of the current rounds, and what a finished training gave. Reads and writes files; blocks.

    <work>/lock                                       held while a client uses the directory
    <work>/head.json                                  the newest block seen of the ledger
    <work>/runs/<run>/global-<0000007>-<digest>       a global model
    <work>/runs/<run>/update-<0000007>-<base>         the model trained on the global of this digest
    <work>/runs/<run>/update-<0000007>-<base>.json    its `TrainedUpdate`, written after it
    <work>/jobs/<name>/                               see `services.client.jobs.exchange`

Every file appears whole or not at all, so that a client which is killed anywhere goes on where it was.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
from pathlib import Path
from typing import Final, Literal

import structlog

from consilo.protocol.model import Record
from consilo.protocol.refusals import InvalidInput
from consilo.protocol.specification import Artifact
from consilo.protocol.values import NAME_PATTERN, AttemptNumber, Digest, Metrics, Name, RoundNumber, Samples

log = structlog.get_logger(__name__)

_RUN: Final = re.compile(NAME_PATTERN)
_MODEL: Final = re.compile(r"(global|update)-([0-9]{7})-([0-9a-f]{64})(\.json)?")


class WorkDirectoryUnusable(Exception):
    """The directory cannot be used. The message says why."""


class TrainedUpdate(Record):
    """What a finished training gave; its model lies beside it.

    Attributes:
        base: digest of the global that it was trained on.
        attempt: exclusions in later attempts than this one are about this update.
        sha256: of the model.
        artifact: where the model was uploaded to, if it was.
    """

    schema_version: Literal[1] = 1
    run: Name
    round: RoundNumber
    base: Digest
    attempt: AttemptNumber
    sha256: Digest
    num_samples: Samples
    metrics: Metrics
    artifact: Artifact | None


class RunDirectory:
    """The files of one run. Its methods block."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def prepare(self) -> None:
        """Make the directory, and remove what a client that was killed left unfinished."""
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in self._path.iterdir():
            if not _MODEL.fullmatch(file.name):
                file.unlink()

    def global_file(self, round_number: int, sha256: str) -> Path:
        """Where a global model lies, or will."""
        return self._path / f"global-{round_number:07}-{sha256}"

    def update_file(self, round_number: int, base: str) -> Path:
        """Where the model trained on this base lies, or will."""
        return self._path / f"update-{round_number:07}-{base}"

    def has(self, file: Path, sha256: str) -> bool:
        """Whether the file is there with this content; one with another is removed."""
        try:
            with file.open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
        except FileNotFoundError:
            return False
        if found != sha256:
            log.warning("a file in the work directory is damaged; it is made again", file=file.name)
            file.unlink()
        return found == sha256

    def trained(self, round_number: int, base: str) -> TrainedUpdate | None:
        """What the training on this base gave, or None."""
        record = self._record(round_number, base)
        try:
            trained = TrainedUpdate.decode(record.read_bytes())
        except FileNotFoundError:
            return None
        except InvalidInput as error:
            log.warning("the record of a training is damaged; it is made again", file=record.name, reason=str(error))
            return None
        return trained if self.update_file(round_number, base).exists() else None

    def keep(self, trained: TrainedUpdate) -> None:
        """Write down what a training gave; its model is there."""
        replace_durably(self._record(trained.round, trained.base), trained.encode())

    def discard(self, trained: TrainedUpdate) -> None:
        """The update is of no use."""
        self._record(trained.round, trained.base).unlink(missing_ok=True)
        self.update_file(trained.round, trained.base).unlink(missing_ok=True)

    def clean(self, round_number: int, base: str, keep_rounds: int) -> None:
        """Remove models of other rounds than the last `keep_rounds` up to this one, and of another base of this one."""
        for file in self._path.iterdir():
            match = _MODEL.fullmatch(file.name)
            if match is None:
                continue  # being written
            number, digest = int(match[2]), match[3]
            past = round_number - keep_rounds < number < round_number
            if not past and (number, digest) != (round_number, base):
                file.unlink()

    def remove(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self._path, ignore_errors=True)

    def _record(self, round_number: int, base: str) -> Path:
        return self.update_file(round_number, base).with_suffix(".json")


class WorkDirectory:
    """A client's work directory, locked from construction until `close`, or until the process ends, however it ends.

    Raises:
        WorkDirectoryUnusable: another client uses it, or it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise WorkDirectoryUnusable(f"cannot use the work directory {path}: {error.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise WorkDirectoryUnusable(
                f"another client uses the work directory {path}: stop it, or give each client its own"
            ) from None

    @property
    def head_file(self) -> Path:
        """Where the newest block seen is remembered."""
        return self._path / "head.json"

    @property
    def jobs(self) -> Path:
        """Where what is remembered of Jobs lies, in the trainer's mode `job`."""
        return self._path / "jobs"

    def run(self, name: str) -> RunDirectory:
        """The files of a run.

        Raises:
            ValueError: the name is none of a run.
        """
        if not _RUN.fullmatch(name):
            raise ValueError(f"{name[:100]!r} is no name of a run")
        return RunDirectory(self._path / "runs" / name)

    def close(self) -> None:
        """Let other clients use it."""
        os.close(self._lock)


def replace_durably(path: Path, data: bytes) -> None:
    """Write a small file that is there whole or not at all, even after a power cut."""
    part = path.with_name(f".{path.name}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory last, even after a power cut."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
