"""The small checks: finite numbers, subnormal numbers, the cutting into blocks, what is imported."""

import ctypes
import platform
import subprocess
import sys
import threading
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilo.aggregation import ArithmeticUnfit, all_finite, check_subnormals
from consilo.aggregation.dtypes import NUMPY_DTYPES
from consilo.aggregation.plan import blocks
from consilo.protocol.tensors import DTYPE_BYTES, DType, TensorSchema, TensorSpec
from tests.unit.aggregation.support import DTYPES, FLOATING_DTYPES, array_of, bytes_of, hard_bits, schema_for


@pytest.mark.parametrize("dtype", DTYPES)
def test_extreme_but_finite_numbers_are_finite(dtype: DType) -> None:
    assert all_finite(array_of(bytes_of(hard_bits(dtype, 1001, 1), dtype), dtype))
    assert all_finite(np.empty(0, NUMPY_DTYPES[dtype]))
    assert all_finite(np.zeros((), NUMPY_DTYPES[dtype]))


@pytest.mark.parametrize("dtype", FLOATING_DTYPES)
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("value", [float("inf"), float("nan")])
@pytest.mark.parametrize("position", [0, 500, 1000])
def test_one_infinity_or_nan_among_many_is_found(dtype: DType, sign: int, value: float, position: int) -> None:
    values = array_of(bytes_of(hard_bits(dtype, 1001, 1), dtype), dtype).copy()
    values[position] = np.copysign(value, sign)

    assert not all_finite(values)


def test_this_process_computes_with_subnormal_numbers() -> None:
    check_subnormals()


@pytest.mark.skipif(
    platform.machine() != "x86_64" or platform.libc_ver()[0] != "glibc", reason="sets the x86 control register"
)
@pytest.mark.parametrize("flag", [1 << 15, 1 << 6], ids=["flush-to-zero", "denormals-are-zero"])
def test_a_thread_that_flushes_subnormal_numbers_is_found(flag: int) -> None:
    mathematics = ctypes.CDLL("libm.so.6")
    caught: list[BaseException] = []

    def check_with_flag() -> None:
        # glibc's fenv_t is 32 bytes and ends with the register. It belongs to this thread, which then ends.
        environment = (ctypes.c_uint32 * 8)()
        mathematics.fegetenv(environment)
        environment[7] |= flag
        mathematics.fesetenv(environment)
        try:
            check_subnormals()
        except ArithmeticUnfit as error:
            caught.append(error)

    thread = threading.Thread(target=check_with_flag)
    thread.start()
    thread.join()

    assert len(caught) == 1
    assert "torch" in str(caught[0])
    check_subnormals()


TENSORS = st.lists(st.tuples(st.sampled_from(DTYPES), st.integers(0, 50)), min_size=1, max_size=12).filter(
    lambda tensors: any(count for _, count in tensors)
)


def schema_of_tensors(tensors: list[tuple[DType, int]]) -> TensorSchema:
    return TensorSchema(
        tensors=tuple(
            TensorSpec(name=f"t{index:02}", dtype=dtype, shape=(count,)) for index, (dtype, count) in enumerate(tensors)
        )
    )


@given(tensors=TENSORS, block_bytes=st.integers(8, 200))
def test_blocks_cover_all_data_in_order_and_split_no_element(
    tensors: list[tuple[DType, int]], block_bytes: int
) -> None:
    schema = schema_of_tensors(tensors)
    dtypes_of_bytes = []
    for block in blocks(schema, block_bytes):
        assert 0 < block.nbytes <= block_bytes
        assert block.segments[0].start == 0
        assert block.segments[-1].stop == block.nbytes
        assert all(first.stop == second.start for first, second in pairwise(block.segments))
        for dtype, start, stop in block.segments:
            assert stop > start
            assert (stop - start) % DTYPE_BYTES[dtype] == 0
            dtypes_of_bytes += [dtype] * (stop - start)

    assert dtypes_of_bytes == [tensor.dtype for tensor in schema.tensors for _ in range(tensor.nbytes)]


def test_a_tensor_of_more_than_four_gigabytes_is_cut_into_small_blocks() -> None:
    schema = schema_for(("x", "F32", (1_500_000_000,)))

    sizes = [block.nbytes for block in blocks(schema, 2**20)]

    assert max(sizes) == 2**20
    assert sum(sizes) == 6_000_000_000


def test_neighbours_of_one_dtype_are_one_segment() -> None:
    schema = schema_for(("a", "F32", (2,)), ("b", "F32", (3,)), ("c", "I8", (1,)))

    (block,) = blocks(schema, 1000)

    assert [(dtype, stop - start) for dtype, start, stop in block.segments] == [("F32", 20), ("I8", 1)]


def test_the_package_loads_neither_torch_nor_a_client_of_anything() -> None:
    program = "import sys, consilo.aggregation; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()

    assert "consilo" in loaded
    assert not {"torch", "httpx", "safetensors", "sqlite3", "cryptography", "asyncio"} & set(loaded)
