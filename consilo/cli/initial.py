"""The initial model of a run that is to be proposed: made by its task, a safetensors file, or an earlier global model.

Reads and writes files; network I/O for an earlier run's.

A safetensors file is rewritten with the header that its schema demands, unless it has it already. Its own header is
read with care: sizes are bounded before anything is read, and every tensor must lie where the file has bytes.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from pydantic import ValidationError

from consilo.aggregation import AggregationError, all_finite, read_artifact
from consilo.api.party import Party
from consilo.cli.exits import CliError
from consilo.cli.model import chosen_global
from consilo.cli.session import Session
from consilo.protocol.access import reference_of
from consilo.protocol.tensors import TensorSchema, TensorSpec
from consilo.training.worker_handle import TrainingWorker

_MAX_HEADER_BYTES: Final = 32 * 2**20
_COPY_BYTES: Final = 4 * 2**20
_PIECE_ELEMENTS: Final = 2**20


@dataclass(frozen=True)
class InitialModel:
    """An initial model, ready to be put into a store.

    Attributes:
        path: of its artifact.
        tensors: its schema.
        task_version: version of the class that made it, or None for a file.
    """

    path: Path
    tensors: TensorSchema
    task_version: str | None


def initial_of_task(
    task: str, parameters: dict[str, Any], seed: int, version: str | None, directory: Path
) -> InitialModel:
    """Make the initial model in a worker process.

    Args:
        task: `module:Class`.
        parameters: of the run, as its specification has them.
        seed: for the initial values.
        version: that the class must have; None: any.
        directory: for the file.

    Raises:
        WorkerError: the task cannot be loaded, or does not make a model.
    """

    async def make() -> InitialModel:
        path = directory / "initial.safetensors"
        async with TrainingWorker(name="initial") as worker:
            loaded = await worker.load(task, parameters=parameters, data=None, version=version)
            made = await worker.initial_state(seed, path)
        return InitialModel(path, made.tensors, loaded.version)

    return asyncio.run(make())


def initial_of_file(path: Path, directory: Path) -> InitialModel:
    """Take the initial model from a safetensors file.

    Args:
        path: the file; not changed.
        directory: for a copy, where its header is another than the schema's.

    Raises:
        CliError: `initial-malformed`, `initial-not-finite`.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        size_bytes = file.seek(0, 2)
        header, data_start = _header(file, path, size_bytes)
        tensors, starts = _tensors(header, path, size_bytes - data_start)
        file.seek(0)
        if size_bytes == tensors.artifact_bytes and file.read(len(tensors.header)) == tensors.header:
            chosen = path
        else:
            chosen = directory / "initial.safetensors"
            with chosen.open("xb") as output:
                output.write(tensors.header)
                for tensor in tensors.tensors:
                    file.seek(data_start + starts[tensor.name])
                    _copy(file, output, tensor.nbytes)
    _check_finite(chosen, tensors, path)
    return InitialModel(chosen, tensors, None)


def initial_of_run(session: Session, run: str, round_number: int | None, directory: Path) -> InitialModel:
    """Take the initial model from a global model of an earlier run, which stands and may be read.

    Args:
        session: fetches it.
        run: name of the run.
        round_number: of the global model; None: the latest.
        directory: for the file.

    Raises:
        CliError: `global-unknown`, `initial-malformed`, `initial-not-finite`.
        ApiError, TransferError: it cannot be had.
    """
    path = directory / "earlier.safetensors"

    async def fetch(party: Party) -> InitialModel:
        model = await chosen_global(party, run, round_number)
        tensors = (await party.metadata_get(run)).proposal.specification.tensors
        await party.data_get(run, reference_of(model), model.artifact.organisation, path)
        return InitialModel(path, tensors, None)

    made = session.call(fetch)
    # The ledger's digest is right, but nobody need have looked inside.
    _check_finite(made.path, made.tensors, Path(f"global model of {run}"))
    return made


def _header(file: BinaryIO, path: Path, size_bytes: int) -> tuple[dict[str, Any], int]:
    """The file's header, and where its data start."""
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if size_bytes < 8 or length > min(size_bytes - 8, _MAX_HEADER_BYTES):
        raise _malformed(path, "it does not start with the length of a header")
    try:
        header = json.loads(file.read(length))
    except (ValueError, RecursionError):
        raise _malformed(path, "its header is not JSON") from None
    if not isinstance(header, dict):
        raise _malformed(path, "its header is not an object")
    header.pop("__metadata__", None)
    return header, 8 + length


def _tensors(header: dict[str, Any], path: Path, data_bytes: int) -> tuple[TensorSchema, dict[str, int]]:
    """The schema, and where each tensor starts in the file's data."""
    specs, starts = [], {}
    for name in sorted(header):
        entry = header[name]
        try:
            start, end = entry["data_offsets"]
            spec = TensorSpec(name=name, dtype=entry["dtype"], shape=tuple(entry["shape"]))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise _malformed(path, f"tensor {name[:100]!r}: {first['loc'][0]}: {first['msg']}") from None
        except (KeyError, TypeError, ValueError):
            raise _malformed(path, f"tensor {name[:100]!r} has no dtype, shape and data_offsets") from None
        if type(start) is not int or type(end) is not int or not 0 <= start <= end <= data_bytes:
            raise _malformed(path, f"tensor {name[:100]!r} lies outside of the file")
        if end - start != spec.nbytes:
            raise _malformed(path, f"tensor {name[:100]!r} has {end - start} bytes; its shape needs {spec.nbytes}")
        specs.append(spec)
        starts[name] = start
    try:
        return TensorSchema(tensors=tuple(specs)), starts
    except ValidationError as error:
        raise _malformed(path, error.errors(include_url=False, include_input=False)[0]["msg"]) from None


def _copy(source: BinaryIO, output: BinaryIO, count: int) -> None:
    while count:
        block = source.read(min(count, _COPY_BYTES))
        if not block:
            raise CliError("initial-malformed", "the file became shorter while it was read")
        output.write(block)
        count -= len(block)


def _check_finite(artifact: Path, tensors: TensorSchema, path: Path) -> None:
    try:
        state = read_artifact(artifact, tensors)
    except AggregationError as error:
        raise _malformed(path, str(error)) from None
    for name, values in state.items():
        flat = values.reshape(-1)
        for start in range(0, flat.size, _PIECE_ELEMENTS):
            if not all_finite(flat[start : start + _PIECE_ELEMENTS]):
                raise CliError("initial-not-finite", f"{path}: tensor {name!r} has an infinity or a NaN")


def _malformed(path: Path, reason: str) -> CliError:
    return CliError("initial-malformed", f"{path} cannot be the initial model: {reason}")
