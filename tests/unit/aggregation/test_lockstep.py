"""The pass over all inputs: same bytes whatever the timing, every bad input named, nothing left running."""

import io
import itertools
import random
import signal
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilo.aggregation import (
    MAX_WEIGHT,
    Input,
    InputsInvalid,
    InputsRefused,
    Result,
    ResultNotFinite,
    aggregate,
    read_artifact,
    strategy,
)
from consilo.protocol.tensors import DType, TensorSchema
from tests.unit.aggregation.support import (
    DEADLINE_SECONDS,
    DTYPES,
    StreamSource,
    bytes_of,
    digest_of,
    hard_bits,
    make_input,
    reading_threads,
    reference_fedavg,
    schema_for,
)

FEDAVG = strategy("fedavg", 1, {})
MIXED = schema_for(
    ("a", "I8", (3,)),
    ("b", "F64", (5, 7)),
    ("c", "BF16", (33,)),
    ("d", "F32", ()),
    ("e", "F32", (0, 4)),
    ("f", "F32", (61,)),
    ("g", "U8", (1,)),
    ("h", "F16", (40,)),
    ("i", "I64", (9,)),
)
FLOATS = schema_for(("x", "F32", (1000,)))
BLOCK_BYTES = 400
"""Ten blocks of FLOATS."""


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert reading_threads() == []


def artifact(schema: TensorSchema, seed: int) -> bytes:
    return schema.header + b"".join(
        bytes_of(hard_bits(tensor.dtype, tensor.elements, seed + index), tensor.dtype)
        for index, tensor in enumerate(schema.tensors)
    )


def floats(value: float, count: int = 1000) -> bytes:
    return schema_for(("x", "F32", (count,))).header + np.full(count, value, "<f4").tobytes()


def wait(event: threading.Event) -> None:
    assert event.wait(DEADLINE_SECONDS)


def test_the_result_is_an_artifact_with_the_mean_of_each_tensor(tmp_path: Path) -> None:
    data = [artifact(MIXED, seed) for seed in (1, 2, 3)]
    inputs = [make_input(f"H/{index}", each, weight=index + 1) for index, each in enumerate(data)]

    with (tmp_path / "result").open("wb") as sink:
        result = aggregate(MIXED, FEDAVG, inputs, sink)

    written = (tmp_path / "result").read_bytes()
    assert result == Result(digest_of(written), MIXED.artifact_bytes)
    state = read_artifact(tmp_path / "result", MIXED)
    for tensor, start in zip(MIXED.tensors, MIXED.offsets, strict=True):
        first = len(MIXED.header) + start
        blocks = [each[first : first + tensor.nbytes] for each in data]
        assert state[tensor.name].tobytes() == reference_fedavg(blocks, [1, 2, 3], tensor.dtype)


def test_without_a_sink_the_digest_is_the_same() -> None:
    inputs = [make_input("H/a", artifact(MIXED, 1)), make_input("H/b", artifact(MIXED, 2))]

    assert aggregate(MIXED, FEDAVG, inputs, None) == aggregate(MIXED, FEDAVG, inputs, io.BytesIO())


@given(seed=st.integers(0, 2**32), block_bytes=st.integers(8, 2000), count=st.integers(1, 4))
def test_neither_block_size_nor_chunk_sizes_nor_timing_show_in_the_result(
    seed: int, block_bytes: int, count: int
) -> None:
    data = {f"H/{index}": artifact(MIXED, seed + index) for index in range(count)}
    plain = [make_input(member, each, weight=7) for member, each in data.items()]
    ragged = [make_input(member, each, StreamSource(each, seed), weight=7) for member, each in data.items()]
    interval = sys.getswitchinterval()
    try:
        sys.setswitchinterval(10 ** -random.Random(seed).uniform(2, 6))
        result = aggregate(MIXED, FEDAVG, ragged, io.BytesIO(), block_bytes=block_bytes)
    finally:
        sys.setswitchinterval(interval)

    assert result == aggregate(MIXED, FEDAVG, plain, None)


@given(data=st.data(), name=st.sampled_from([("fedavg", 0), ("trimmed_mean", 1)]))
def test_any_permutation_gives_the_same_result_once_sorted(data: st.DataObject, name: tuple[str, int]) -> None:
    chosen = strategy(name[0], 1, {"trim": name[1]} if name[1] else {})
    inputs = [make_input(f"H/{index}", artifact(MIXED, index), weight=index + 1) for index in range(4)]
    permuted = data.draw(st.permutations(inputs))

    result = aggregate(MIXED, chosen, sorted(permuted, key=lambda each: each.member), None, block_bytes=64)

    assert result == aggregate(MIXED, chosen, inputs, None)


@pytest.mark.parametrize("first", [0, 1, 2])
def test_the_order_in_which_sources_deliver_does_not_show(first: int) -> None:
    data = [artifact(FLOATS, seed) for seed in range(3)]
    leader = StreamSource(data[first])
    sources = [
        leader if index == first else StreamSource(each, before_read=lambda _: wait(leader.closed))
        for index, each in enumerate(data)
    ]
    inputs = [make_input(f"H/{index}", each, sources[index]) for index, each in enumerate(data)]
    plain = [make_input(f"H/{index}", each) for index, each in enumerate(data)]

    assert aggregate(FLOATS, FEDAVG, inputs, None) == aggregate(FLOATS, FEDAVG, plain, None)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_single_element_is_enough(dtype: DType) -> None:
    schema = schema_for(("x", dtype, ()))
    sink = io.BytesIO()

    aggregate(schema, FEDAVG, [make_input("H/a", artifact(schema, 1))], sink, block_bytes=8)

    assert sink.getvalue() == artifact(schema, 1)


def test_inputs_may_share_a_digest() -> None:
    same = artifact(FLOATS, 1)
    sink = io.BytesIO()

    aggregate(FLOATS, FEDAVG, [make_input("H/a", same), make_input("H/b", same)], sink)

    assert len(sink.getvalue()) == len(same)


# What is wrong with an input


def refusal(inputs: Sequence[Input], sink: io.BytesIO, block_bytes: int = BLOCK_BYTES) -> dict[str, tuple[str, str]]:
    with pytest.raises(InputsRefused) as caught:
        aggregate(FLOATS, FEDAVG, inputs, sink, block_bytes=block_bytes)
    assert caught.value.code == "inputs-refused"
    return {fault.member: (fault.reason, fault.detail) for fault in caught.value.faults}


def failing_at(position: int, error: BaseException) -> Callable[[int], None]:
    def fail(read: int) -> None:
        if read >= position:
            raise error

    return fail


def with_value(value: float, position: int) -> bytes:
    values = np.ones(1000, "<f4")
    values[position] = value
    return FLOATS.header + values.tobytes()


GOOD = floats(1)
SIZE = len(GOOD)
BAD: dict[str, tuple[str, str, Callable[[], Input]]] = {
    "cannot be opened": (
        "unavailable",
        "ConnectionRefusedError",
        lambda: Input("H/bad", 1, digest_of(GOOD), lambda: (_ for _ in ()).throw(ConnectionRefusedError())),
    ),
    "fails at once": (
        "unavailable",
        "TimeoutError: Connection timed out",
        lambda: make_input("H/bad", GOOD, StreamSource(GOOD, before_read=failing_at(0, TimeoutError(110, "x")))),
    ),
    "fails on the way": (
        "unavailable",
        "OSError",
        lambda: make_input("H/bad", GOOD, StreamSource(GOOD, 1, failing_at(SIZE // 2, OSError("secret")))),
    ),
    "fails at its end": (
        "unavailable",
        "OSError",
        lambda: make_input("H/bad", GOOD, StreamSource(GOOD, before_read=failing_at(SIZE, OSError()))),
    ),
    "empty": ("malformed", f"ended after 0 of {SIZE} bytes", lambda: make_input("H/bad", b"")),
    "ends in the header": ("malformed", "ended after 20 of", lambda: make_input("H/bad", GOOD[:20])),
    "one byte short": ("malformed", f"ended after {SIZE - 1} of", lambda: make_input("H/bad", GOOD[:-1])),
    "one byte long": ("malformed", f"more than {SIZE} bytes", lambda: make_input("H/bad", GOOD + b"\0")),
    "another header": (
        "malformed",
        "header",
        lambda: make_input("H/bad", GOOD.replace(b'"x"', b'"y"')),
    ),
    "a hostile header": (
        "malformed",
        "header",
        lambda: make_input("H/bad", (2**63).to_bytes(8, "little") + GOOD[8:]),
    ),
    "first byte wrong": (
        "digest-mismatch",
        "another SHA-256",
        lambda: make_input("H/bad", b"\xff" + GOOD[1:], sha256=digest_of(GOOD)),
    ),
    "last byte wrong": (
        "digest-mismatch",
        "another SHA-256",
        lambda: make_input("H/bad", GOOD[:-1] + b"\x01", sha256=digest_of(GOOD)),
    ),
    "another artifact": (
        "digest-mismatch",
        "another SHA-256",
        lambda: make_input("H/bad", floats(2), sha256=digest_of(GOOD)),
    ),
    "infinite through the transfer": (
        "digest-mismatch",
        "another SHA-256",
        lambda: make_input("H/bad", with_value(np.inf, 0), sha256=digest_of(GOOD)),
    ),
    "first is infinite": ("not-finite", "infinite", lambda: make_input("H/bad", with_value(np.inf, 0))),
    "last is minus infinite": ("not-finite", "infinite", lambda: make_input("H/bad", with_value(-np.inf, 999))),
    "not a number": ("not-finite", "not a number", lambda: make_input("H/bad", with_value(np.nan, 500))),
}


@pytest.mark.parametrize("block_bytes", [8, BLOCK_BYTES, 2**16])
@pytest.mark.parametrize("kind", BAD)
def test_a_bad_input_is_named_and_the_result_stays_incomplete(kind: str, block_bytes: int) -> None:
    reason, detail, make = BAD[kind]
    sink = io.BytesIO()

    faults = refusal([make_input("H/a", GOOD), make(), make_input("H/z", GOOD)], sink, block_bytes)

    assert set(faults) == {"H/bad"}
    assert faults["H/bad"][0] == reason
    assert detail in faults["H/bad"][1]
    assert "secret" not in faults["H/bad"][1]
    assert len(sink.getvalue()) < SIZE


@pytest.mark.parametrize("pair", list(itertools.permutations(["empty", "last byte wrong", "not a number"], 2)))
def test_all_bad_inputs_are_named_at_once(pair: tuple[str, str]) -> None:
    first, second = (BAD[kind][2]() for kind in pair)
    inputs = [
        Input("H/1", 1, first.sha256, first.open),
        make_input("H/2", GOOD),
        Input("H/3", 1, second.sha256, second.open),
    ]

    faults = refusal(inputs, io.BytesIO())

    assert {member: reason for member, (reason, _) in faults.items()} == {
        "H/1": BAD[pair[0]][0],
        "H/3": BAD[pair[1]][0],
    }


def test_nothing_more_is_written_once_an_input_is_known_to_be_bad() -> None:
    sink = io.BytesIO()

    refusal([make_input("H/a", GOOD), BAD["another header"][2]()], sink)

    assert sink.getvalue() in (b"", FLOATS.header)  # the header is the same whatever the inputs are


def test_after_a_fault_each_input_is_read_at_its_own_pace() -> None:
    quick = StreamSource(GOOD)
    # In lockstep the quick one could not end before the slow one goes on.
    slow = StreamSource(GOOD, before_read=lambda read: wait(quick.closed) if read > SIZE // 2 else None)
    inputs = [
        make_input("H/a", b""),
        make_input("H/b", GOOD, slow),
        make_input("H/c", GOOD, quick),
        make_input("H/d", GOOD[:-1] + b"\x01", sha256=digest_of(GOOD)),
    ]

    faults = refusal(inputs, io.BytesIO(), block_bytes=40)

    assert {member: reason for member, (reason, _) in faults.items()} == {"H/a": "malformed", "H/d": "digest-mismatch"}
    assert slow.position == SIZE


class CountingSink:
    """Tells when it got a number of bytes."""

    def __init__(self) -> None:
        self.written = 0
        self._changed = threading.Condition()

    def write(self, buffer: memoryview, /) -> None:
        with self._changed:
            self.written += len(buffer)
            self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.written >= count, DEADLINE_SECONDS)


def test_the_last_block_is_held_back_until_every_input_was_read_to_its_end() -> None:
    sink = CountingSink()
    written_before_the_end = []

    def before_read(read: int) -> None:
        if read == SIZE:  # everything is read but the end, which only shows when nothing more comes
            sink.wait_for(SIZE - BLOCK_BYTES)
            written_before_the_end.append(sink.written)

    inputs = [make_input("H/a", GOOD), make_input("H/b", GOOD, StreamSource(GOOD, before_read=before_read))]
    aggregate(FLOATS, FEDAVG, inputs, sink, block_bytes=BLOCK_BYTES)

    assert written_before_the_end == [SIZE - BLOCK_BYTES]
    assert sink.written == SIZE


def test_a_mean_that_overflows_is_refused_although_every_input_is_finite() -> None:
    schema = schema_for(("x", "F64", (100,)))
    huge = schema.header + np.full(100, 1.7e308, "<f8").tobytes()
    sink = io.BytesIO()

    with pytest.raises(ResultNotFinite):
        aggregate(schema, FEDAVG, [make_input("H/a", huge, weight=2)], sink, block_bytes=80)

    assert len(sink.getvalue()) < len(huge)


def test_a_bad_input_explains_a_result_that_is_not_finite() -> None:
    schema = schema_for(("x", "F64", (100,)))
    huge = schema.header + np.full(100, 1.7e308, "<f8").tobytes()
    inputs = [make_input("H/a", huge, weight=2, sha256=digest_of(b"other"))]

    with pytest.raises(InputsRefused) as caught:
        aggregate(schema, FEDAVG, inputs, None, block_bytes=80)

    assert [fault.reason for fault in caught.value.faults] == ["digest-mismatch"]


# How it ends early


class FailingSink:
    def __init__(self, writes: int, error: BaseException) -> None:
        self.writes = writes
        self.error = error

    def write(self, buffer: memoryview, /) -> None:
        self.writes -= 1
        if self.writes < 0:
            raise self.error


@pytest.mark.parametrize("writes", [0, 1, 5, 10])
@pytest.mark.parametrize("error", [BrokenPipeError("the sink"), RuntimeError("the sink")])
def test_what_the_sink_raises_comes_out_after_everything_is_closed(writes: int, error: Exception) -> None:
    sources = [StreamSource(GOOD), StreamSource(GOOD)]
    inputs = [make_input("H/a", GOOD, sources[0]), make_input("H/b", GOOD, sources[1])]

    with pytest.raises(type(error), match="the sink"):
        aggregate(FLOATS, FEDAVG, inputs, FailingSink(writes, error), block_bytes=BLOCK_BYTES)

    assert all(source.closed.is_set() for source in sources)
    assert reading_threads() == []


def test_a_failing_sink_ends_the_reading() -> None:
    data = floats(1, 1_000_000)
    source = StreamSource(data)

    with pytest.raises(BrokenPipeError):
        aggregate(
            schema_for(("x", "F32", (1_000_000,))),
            FEDAVG,
            [make_input("H/a", data, source)],
            FailingSink(2, BrokenPipeError()),
            block_bytes=4096,
        )

    assert source.position < len(data) // 2


@pytest.mark.parametrize("position", [0, SIZE // 2, SIZE])
def test_an_unexpected_exception_of_a_source_comes_out_and_everything_is_closed(position: int) -> None:
    sources = [StreamSource(GOOD), StreamSource(GOOD, before_read=failing_at(position, ValueError("a defect")))]
    inputs = [make_input("H/a", GOOD, sources[0]), make_input("H/b", GOOD, sources[1])]

    with pytest.raises(ValueError, match="a defect"):
        aggregate(FLOATS, FEDAVG, inputs, io.BytesIO(), block_bytes=BLOCK_BYTES)

    assert all(source.closed.is_set() for source in sources)


def test_an_error_at_closing_does_not_matter() -> None:
    class Unclosable(StreamSource):
        def close(self) -> None:
            super().close()
            raise OSError

    sink = io.BytesIO()
    aggregate(FLOATS, FEDAVG, [make_input("H/a", GOOD, Unclosable(GOOD))], sink)

    assert sink.getvalue() == GOOD


@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals reach the main thread")
def test_an_interrupt_from_the_keyboard_leaves_nothing_running() -> None:
    main = threading.main_thread().ident
    assert main is not None

    interrupts: list[int] = []

    def interrupt(read: int) -> None:
        if read > SIZE // 2 and not interrupts:
            interrupts.append(read)
            signal.pthread_kill(main, signal.SIGINT)

    # Many blocks are left after the interrupt, so the main thread sees it before the end.
    sources = [StreamSource(GOOD, before_read=interrupt), StreamSource(GOOD)]
    inputs = [make_input("H/a", GOOD, sources[0]), make_input("H/b", GOOD, sources[1])]

    with pytest.raises(KeyboardInterrupt):
        aggregate(FLOATS, FEDAVG, inputs, io.BytesIO(), block_bytes=40)

    assert all(source.closed.is_set() for source in sources)
    assert reading_threads() == []


# What the caller must get right


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], "at least 1 inputs, got 0"),
        (["H/b", "H/a"], "H/a came after H/b"),
        (["H/a", "H/a"], "H/a came after H/a"),
        (["a/x", "B/x"], "B/x came after a/x"),
    ],
)
def test_inputs_out_of_order_are_refused_before_anything_is_opened(members: list[str], message: str) -> None:
    def never() -> StreamSource:
        raise AssertionError

    with pytest.raises(InputsInvalid, match=message):
        aggregate(FLOATS, FEDAVG, [Input(member, 1, digest_of(GOOD), never) for member in members], None)


def test_too_few_inputs_for_a_trimmed_mean_are_refused() -> None:
    inputs = [make_input("H/a", GOOD), make_input("H/b", GOOD)]

    with pytest.raises(InputsInvalid, match="trimmed_mean needs at least 3 inputs, got 2"):
        aggregate(FLOATS, strategy("trimmed_mean", 1, {"trim": 1}), inputs, None)


@pytest.mark.parametrize("weight", [0, -1, MAX_WEIGHT + 1, True, 1.0, "1"])
def test_an_impossible_weight_is_refused(weight: int) -> None:
    with pytest.raises(InputsInvalid, match="H/a: a weight"):
        make_input("H/a", GOOD, weight=weight)


@pytest.mark.parametrize("sha256", ["0" * 63, "0" * 65, "A" * 64, "0" * 64 + "\n"])
def test_an_impossible_digest_is_refused(sha256: str) -> None:
    with pytest.raises(InputsInvalid, match="H/a: a digest"):
        make_input("H/a", GOOD, sha256=sha256)


def test_blocks_that_hold_no_element_are_refused() -> None:
    with pytest.raises(ValueError, match="block_bytes must be at least 8"):
        aggregate(FLOATS, FEDAVG, [make_input("H/a", GOOD)], None, block_bytes=7)


def test_memory_does_not_grow_with_the_model(tmp_path: Path) -> None:
    schema = schema_for(("x", "F32", (8_000_000,)))
    with (tmp_path / "zeros").open("wb") as file:
        file.write(schema.header)
        file.truncate(schema.artifact_bytes)
    digest = digest_of((tmp_path / "zeros").read_bytes())
    inputs = [
        Input(f"H/{index}", 1, digest, lambda: (tmp_path / "zeros").open("rb", buffering=0)) for index in range(3)
    ]

    tracemalloc.start()
    try:
        result = aggregate(schema, FEDAVG, inputs, None, block_bytes=2**17)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert result.sha256 == digest
    # Four pairs of block buffers, and what a piece of 2**15 elements needs in float64.
    assert peak_bytes < 8 * 2**17 + 2 * 2**18 + 2**18
