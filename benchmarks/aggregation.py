"""What an aggregation costs: `python -m benchmarks.aggregation`. Writes artifacts to a temporary directory.

Inputs come from the page cache and the result is dropped, so that neither disk nor network counts. Two floors stand
beside each figure:

* one core: reading and hashing all inputs and hashing one result in a single thread;
* all cores: that, divided by the number of cores. No aggregation can be faster.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from consilo.aggregation import DEFAULT_BLOCK_BYTES, Input, aggregate, schema_of, strategy, write_artifact
from consilo.aggregation.dtypes import NUMPY_DTYPES
from consilo.protocol.tensors import DType, TensorSchema, TensorSpec

REPEATS = 3


def make_inputs(directory: Path, count: int, megabytes: int, dtype: DType) -> tuple[TensorSchema, list[Input]]:
    numpy_dtype = NUMPY_DTYPES[dtype]
    generator = np.random.default_rng(7)
    size = megabytes * 1_000_000 // numpy_dtype.itemsize
    values: npt.NDArray[Any] = (generator.random(size, np.float32) - 0.5).astype(numpy_dtype)
    inputs = []
    for index in range(count):
        state = {"weight": np.roll(values, index * 1001)}
        schema = schema_of(state)
        path = directory / f"{dtype}-{megabytes}-{index:03}"
        digest = write_artifact(path, schema, state)
        inputs.append(Input(f"Hospital/{index:03}", 100 + index, digest, partial(FileIO, path)))
    return schema, inputs


def seconds(work: Callable[[], object]) -> float:
    """Return the shortest of a few runs."""
    best = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def floor(inputs: list[Input]) -> None:
    """Read and hash every input, and as many bytes again as a result has."""
    buffer = bytearray(256 * 1024)
    for index, each in enumerate([*inputs, inputs[0]]):
        source = each.open()
        digest = hashlib.sha256()
        while count := source.readinto(memoryview(buffer)):
            digest.update(memoryview(buffer)[:count])
        source.close()
        assert index == len(inputs) or digest.hexdigest() == each.sha256


def measure(directory: Path, count: int, megabytes: int, dtype: DType, name: str, block_bytes: int) -> None:
    schema, inputs = make_inputs(directory, count, megabytes, dtype)
    chosen = strategy(name, 1, {"trim": 1} if name == "trimmed_mean" else {})
    read_bytes = count * schema.artifact_bytes
    cores = len(os.sched_getaffinity(0))
    one_core = seconds(lambda: floor(inputs))
    with Path(os.devnull).open("wb", buffering=0) as sink:
        spent = seconds(lambda: aggregate(schema, chosen, inputs, sink, block_bytes=block_bytes))
    print(
        f"{name:13}{dtype:5}{count:4} x {megabytes:4} MB {read_bytes / spent / 1e9:6.2f} GB/s read"
        f" {spent * 1e3:8.1f} ms;  floors: {one_core * 1e3:7.1f} ms on one core,"
        f" {one_core / cores * 1e3:7.1f} ms on {cores}",
        flush=True,
    )
    for path in directory.iterdir():
        path.unlink()


def measure_memory(directory: Path, count: int, megabytes: int, block_bytes: int) -> None:
    """Print how far one aggregation raises the peak, in a fresh process (a peak never sinks)."""
    subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.aggregation", "--memory-in", str(directory), "--inputs", str(count)),
            *("--megabytes", str(megabytes), "--block-bytes", str(block_bytes)),
        ],
        check=True,
    )


def peak_bytes() -> int:
    # Not getrusage: its peak is inherited from the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def print_memory(directory: Path, count: int, megabytes: int, block_bytes: int) -> None:
    schema, inputs = empty_inputs(directory, count, megabytes)
    before = peak_bytes()
    aggregate(schema, strategy("fedavg", 1, {}), inputs, None, block_bytes=block_bytes)
    rise = peak_bytes() - before
    print(f"fedavg       F32  {count:4} x {megabytes:4} MB  peak RSS rises by {rise / 1e6:.1f} MB", flush=True)


def empty_inputs(directory: Path, count: int, megabytes: int) -> tuple[TensorSchema, list[Input]]:
    """Sparse files of zeros: this process never holds a model, which would hide how much memory the rest takes."""
    spec = TensorSpec(name="weight", dtype="F32", shape=(megabytes * 250_000,))
    schema = TensorSchema(tensors=(spec,))
    path = directory / "zeros"
    with path.open("wb") as file:
        file.write(schema.header)
        file.truncate(schema.artifact_bytes)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return schema, [Input(f"Hospital/{index:03}", 1, digest, partial(FileIO, path)) for index in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the aggregation of artifacts in the page cache.")
    parser.add_argument("--megabytes", type=int, default=100, help="size of each of 2 inputs")
    parser.add_argument("--block-bytes", type=int, default=DEFAULT_BLOCK_BYTES)
    parser.add_argument("--memory-in", type=Path, help="only measure memory, with files in this directory")
    parser.add_argument("--inputs", type=int, default=2, help="with --memory-in: number of inputs")
    arguments = parser.parse_args()
    megabytes, block_bytes = arguments.megabytes, arguments.block_bytes
    if arguments.memory_in is not None:
        print_memory(arguments.memory_in, arguments.inputs, megabytes, block_bytes)
        return
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        measure(directory, 2, megabytes, "F32", "fedavg", block_bytes)
        measure(directory, 16, max(1, megabytes // 4), "F32", "fedavg", block_bytes)
        measure(directory, 2, megabytes, "BF16", "fedavg", block_bytes)
        measure(directory, 2, megabytes, "F16", "fedavg", block_bytes)
        measure(directory, 16, max(1, megabytes // 4), "F32", "trimmed_mean", block_bytes)
        measure_memory(directory, 2, megabytes, block_bytes)
        measure_memory(directory, 16, max(1, megabytes // 4), block_bytes)


if __name__ == "__main__":
    main()
