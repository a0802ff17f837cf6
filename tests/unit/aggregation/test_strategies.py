"""The strategies' arithmetic against golden digests, a reference in plain Python and exact fractions."""

import json
import math
from collections.abc import Callable
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilo.aggregation import Strategy, StrategyParametersInvalid, StrategyUnknown, aggregate, strategy
from consilo.aggregation.arithmetic import narrow
from consilo.aggregation.dtypes import BFLOAT16
from consilo.aggregation.trimmed_mean import comparators
from consilo.protocol.tensors import DType
from tests.unit.aggregation.support import (
    DTYPES,
    FLOATING_DTYPES,
    INTEGER_DTYPES,
    array_of,
    bytes_of,
    digest_of,
    hard_bits,
    make_input,
    reference_fedavg,
    reference_trimmed_mean,
    schema_for,
)

GOLDEN: dict[str, str] = json.loads((Path(__file__).parent / "golden.json").read_text(encoding="utf-8"))
ELEMENTS = 257
WEIGHTS = {
    "small weights": [1, 7, 100, 12345, 2**29 - 1],
    "huge weights": [2**53, 2**53 - 1, 2**29 + 1, 3, 2**40 + 7],
}

Reference = Callable[[list[bytes], DType], bytes]


def fedavg_reference(weights: list[int]) -> Reference:
    return lambda blocks, dtype: reference_fedavg(blocks, weights, dtype)


def trimmed_mean_reference(trim: int) -> Reference:
    return lambda blocks, dtype: reference_trimmed_mean(blocks, trim, dtype)


CASES: dict[str, tuple[Strategy, list[int], Reference]] = {
    **{f"fedavg 1, {name}": (strategy("fedavg", 1, {}), it, fedavg_reference(it)) for name, it in WEIGHTS.items()},
    **{
        f"trimmed_mean 1, trim {trim}": (
            strategy("trimmed_mean", 1, {"trim": trim}),
            [1] * 5,
            trimmed_mean_reference(trim),
        )
        for trim in range(3)
    },
}


def golden_blocks(dtype: DType) -> list[bytes]:
    return [bytes_of(hard_bits(dtype, ELEMENTS, seed), dtype) for seed in range(1, 6)]


def combined(chosen: Strategy, blocks: list[bytes], weights: list[int], dtype: DType) -> bytes:
    out = np.empty_like(array_of(blocks[0], dtype))
    chosen.combine([array_of(block, dtype) for block in blocks], weights, out)
    return out.tobytes()


@pytest.mark.parametrize(("case", "dtype"), list(product(CASES, DTYPES)))
def test_a_result_has_the_golden_digest(case: str, dtype: DType) -> None:
    chosen, weights, _ = CASES[case]
    schema = schema_for(("x", dtype, (ELEMENTS,)))
    inputs = [
        make_input(f"Hospital/{index}", schema.header + block, weight=weight)
        for index, (block, weight) in enumerate(zip(golden_blocks(dtype), weights, strict=True))
    ]

    result = aggregate(schema, chosen, inputs, None)

    assert result.sha256 == GOLDEN[f"{case}, {dtype}"]


@pytest.mark.parametrize(("case", "dtype"), list(product(CASES, DTYPES)))
def test_the_golden_digest_is_what_plain_python_computes(case: str, dtype: DType) -> None:
    _, _, reference = CASES[case]
    schema = schema_for(("x", dtype, (ELEMENTS,)))

    assert digest_of(schema.header + reference(golden_blocks(dtype), dtype)) == GOLDEN[f"{case}, {dtype}"]


def test_golden_digests_are_kept_for_every_strategy_and_dtype_and_nothing_else() -> None:
    assert set(GOLDEN) == {f"{case}, {dtype}" for case, dtype in product(CASES, DTYPES)}


@st.composite
def columns(draw: st.DrawFn, dtype: DType, minimum: int = 1) -> list[bytes]:
    count = draw(st.integers(minimum, 7))
    elements = draw(st.integers(1, 40))
    seed = draw(st.integers(0, 2**32))
    return [bytes_of(hard_bits(dtype, elements, seed + index), dtype) for index in range(count)]


@given(data=st.data(), dtype=st.sampled_from(DTYPES))
def test_fedavg_equals_the_sequence_of_plain_python_floats(data: st.DataObject, dtype: DType) -> None:
    blocks = data.draw(columns(dtype))
    weights = [data.draw(st.integers(1, 2**53)) for _ in blocks]

    assert combined(strategy("fedavg", 1, {}), blocks, weights, dtype) == reference_fedavg(blocks, weights, dtype)


@given(data=st.data(), dtype=st.sampled_from(DTYPES), trim=st.integers(0, 3))
def test_trimmed_mean_equals_the_sequence_of_plain_python_floats(data: st.DataObject, dtype: DType, trim: int) -> None:
    blocks = data.draw(columns(dtype, minimum=2 * trim + 1))
    chosen = strategy("trimmed_mean", 1, {"trim": trim})

    assert combined(chosen, blocks, [1] * len(blocks), dtype) == reference_trimmed_mean(blocks, trim, dtype)


FINITE_FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(pairs=st.lists(st.tuples(FINITE_FLOAT32, st.integers(1, 2**29 - 1)), min_size=1, max_size=8))
def test_fedavg_of_float32_is_as_near_to_the_exact_mean_as_float64_sums_allow(pairs: list[tuple[float, int]]) -> None:
    values = [np.array([value], np.float32) for value, _ in pairs]
    weights = [weight for _, weight in pairs]
    out = np.empty(1, np.float32)

    strategy("fedavg", 1, {}).combine(values, weights, out)

    exact = sum((Fraction(value) * weight for value, weight in pairs), Fraction()) / sum(weights)
    magnitude = sum((abs(Fraction(value)) * weight for value, weight in pairs), Fraction()) / sum(weights)
    # Half the distance between float32 numbers of this size (24 bits, or less among the subnormal ones).
    _, exponent = math.frexp(float(out[0]))
    rounding_of_the_cast = Fraction(2) ** max(exponent - 24, -149) / 2
    assert abs(Fraction(float(out[0])) - exact) <= rounding_of_the_cast + len(pairs) * magnitude / 2**51


@given(pairs=st.lists(st.tuples(st.integers(-(2**20), 2**20), st.integers(1, 2**20)), min_size=1, max_size=8))
def test_fedavg_is_the_rounded_exact_mean_when_the_sum_is_exact(pairs: list[tuple[int, int]]) -> None:
    weights = [weight for _, weight in pairs]
    out = np.empty(1, np.float32)

    strategy("fedavg", 1, {}).combine([np.array([value], np.float32) for value, _ in pairs], weights, out)

    exact = Fraction(sum(value * weight for value, weight in pairs), sum(weights))
    assert out[0] == np.float32(float(exact))


@pytest.mark.parametrize("dtype", FLOATING_DTYPES)
@pytest.mark.parametrize(("name", "parameters"), [("fedavg", {}), ("trimmed_mean", {"trim": 0})])
def test_the_mean_of_one_model_is_the_model_bit_for_bit(name: str, parameters: dict[str, object], dtype: DType) -> None:
    block = bytes_of(hard_bits(dtype, ELEMENTS, 3), dtype)

    assert combined(strategy(name, 1, parameters), [block], [1], dtype) == block


@pytest.mark.parametrize("dtype", INTEGER_DTYPES)
def test_fedavg_of_integers_is_the_maximum(dtype: DType) -> None:
    blocks = golden_blocks(dtype)

    result = array_of(combined(strategy("fedavg", 1, {}), blocks, [1] * 5, dtype), dtype)

    assert (result == np.max([array_of(block, dtype) for block in blocks], axis=0)).all()


def test_bfloat16_is_rounded_through_float32() -> None:
    out = np.empty(1, BFLOAT16)

    narrow(np.array([1 + 2**-8 + 2**-30]), out)

    # Rounded at once it would be 1 + 2**-7; in float32 the 2**-30 is lost, and the tie goes to even.
    assert float(out[0]) == 1.0


def test_a_trimmed_mean_ignores_what_one_attacker_sends() -> None:
    honest = [np.array([value], np.float32) for value in (1.0, 2.0, 3.0)]
    out = np.empty(1, np.float32)

    strategy("trimmed_mean", 1, {"trim": 1}).combine([*honest, np.array([3e38], np.float32)], [1, 1, 1, 10**6], out)

    assert out[0] == 2.5


def test_a_trimmed_maximum_ignores_what_one_attacker_sends() -> None:
    blocks = [np.array([value], np.int64) for value in (1, 2, 2**63 - 1)]
    out = np.empty(1, np.int64)

    strategy("trimmed_mean", 1, {"trim": 1}).combine(blocks, [1, 1, 1], out)

    assert out[0] == 2


def test_a_trimmed_mean_does_not_depend_on_the_order_of_zeros() -> None:
    zeros = [np.array([value], np.float32) for value in (-0.0, 0.0, 5.0)]
    chosen = strategy("trimmed_mean", 1, {"trim": 1})
    signs = []
    for order in (zeros, [zeros[1], zeros[0], zeros[2]], zeros[::-1]):
        out = np.empty(1, np.float32)
        chosen.combine(order, [1, 1, 1], out)
        signs.append(math.copysign(1.0, float(out[0])))

    assert signs == [1.0, 1.0, 1.0]


def test_strategies_leave_their_inputs_as_they_are() -> None:
    for chosen, weights, _ in CASES.values():
        blocks = [array_of(block, "F32") for block in golden_blocks("F32")]
        assert not any(block.flags.writeable for block in blocks)  # so that a write would raise
        chosen.combine(blocks, weights, np.empty(ELEMENTS, np.float32))


@pytest.mark.parametrize("count", range(1, 13))
def test_the_sorting_network_sorts_all_zeros_and_ones_and_therefore_everything(count: int) -> None:
    columns_of_bits: Any = np.array(list(product((0, 1), repeat=count))).T.copy()
    for low, high in comparators(count):
        assert low < high < count
        pair = columns_of_bits[[low, high]]
        columns_of_bits[low], columns_of_bits[high] = pair.min(axis=0), pair.max(axis=0)

    assert (np.diff(columns_of_bits, axis=0) >= 0).all()


@pytest.mark.parametrize(("name", "version"), [("fedavg", 2), ("fedavg", 0), ("median", 1), ("", 1), ("__class__", 1)])
def test_an_unknown_strategy_is_refused_and_the_known_ones_are_named(name: str, version: int) -> None:
    with pytest.raises(StrategyUnknown, match="known here: fedavg 1, trimmed_mean 1") as caught:
        strategy(name, version, {})

    assert caught.value.code == "strategy-unknown"


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("fedavg", {"trim": 1}),
        ("trimmed_mean", {}),
        ("trimmed_mean", {"trim": -1}),
        ("trimmed_mean", {"trim": True}),
        ("trimmed_mean", {"trim": "1"}),
        ("trimmed_mean", {"trim": 1.0}),
        ("trimmed_mean", {"trim": 1, "more": 1}),
    ],
)
def test_parameters_that_a_strategy_does_not_take_are_refused(name: str, parameters: dict[str, object]) -> None:
    with pytest.raises(StrategyParametersInvalid, match=name):
        strategy(name, 1, parameters)


def test_a_strategy_says_how_many_inputs_it_needs() -> None:
    assert strategy("fedavg", 1, {}).minimum_inputs == 1
    assert strategy("trimmed_mean", 1, {"trim": 2}).minimum_inputs == 5
