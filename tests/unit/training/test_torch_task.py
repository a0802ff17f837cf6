"""The base class for tasks in torch: states, determinism, stopping."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from consilo.training.errors import TaskValueInvalid, TrainingStopped
from consilo.training.task import State, Task, TrainingContext, copy_of

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

from consilo.training.torch_task import Data, TorchTask, set_state, state_of  # noqa: E402

pytestmark = pytest.mark.torch


class Wards(TorchTask):
    """Two classes of points, by a network with batch normalisation."""

    learning_rate = 0.1
    batch_size = 8

    def model(self) -> nn.Module:
        return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))

    def datasets(self, data: Mapping[str, Any]) -> tuple[Data, Data]:
        generator = torch.Generator().manual_seed(5)
        points = torch.randn(data.get("count", 40), 3, generator=generator)
        whole = TensorDataset(points, (points[:, 0] > 0).long())
        return (DataLoader(whole, batch_size=8) if data.get("loader") else whole), whole


def loaded(**data: Any) -> Wards:
    task = Wards({})
    task.load(data)
    return task


def same(first: State, second: State) -> bool:
    return first.keys() == second.keys() and all(first[name].tobytes() == second[name].tobytes() for name in first)


def test_a_task_in_torch_is_a_task() -> None:
    task: Task = loaded()
    assert task.initial_state(1)["1.num_batches_tracked"].dtype == np.int64


def test_training_learns() -> None:
    task = loaded()
    state = task.initial_state(1)
    before = task.evaluate(state)
    for round in range(5):
        result = task.train(state, TrainingContext(seed=round))
        state = result.state
    after = task.evaluate(state)
    assert result.num_samples == 40
    assert after.metrics["loss"] < before.metrics["loss"]
    assert after.metrics["accuracy"] > 0.85
    assert after.num_samples == 40
    assert state["1.num_batches_tracked"] == 5 * 2 * 5


def test_the_same_seed_trains_to_the_same_bytes_whatever_came_before() -> None:
    task = loaded()
    state = task.initial_state(1)
    first = copy_of(task.train(copy_of(state), TrainingContext(seed=3)).state)
    task.train(copy_of(state), TrainingContext(seed=4))
    torch.rand(7)
    assert same(first, task.train(copy_of(state), TrainingContext(seed=3)).state)
    assert same(first, loaded().train(copy_of(state), TrainingContext(seed=3)).state)
    assert not same(first, task.train(copy_of(state), TrainingContext(seed=4)).state)


def test_initial_states_follow_the_seed() -> None:
    task = Wards({})
    assert same(task.initial_state(1), task.initial_state(1))
    assert not same(task.initial_state(1), task.initial_state(2))


def test_a_state_that_was_returned_is_never_written_to_again() -> None:
    task = loaded()
    initial = task.initial_state(1)
    given = copy_of(initial)
    trained = task.train(given, TrainingContext(seed=1)).state
    kept = copy_of(trained)
    task.evaluate(initial)
    task.train(initial, TrainingContext(seed=2))
    assert same(trained, kept)
    assert same(given, task.initial_state(1))


def test_evaluation_leaves_the_state_and_takes_read_only_arrays() -> None:
    task = loaded()
    state = task.initial_state(1)
    for array in state.values():
        array.setflags(write=False)
    kept = copy_of(state)
    task.evaluate(state)
    assert same(state, kept)


def test_a_training_stops_at_the_batch_in_which_the_round_closes() -> None:
    stopped = threading.Event()
    context = TrainingContext(stopped=stopped, report=lambda *_: stopped.set())
    task = loaded()
    with pytest.raises(TrainingStopped):
        task.train(task.initial_state(1), context)
    assert context.checks == 6  # five batches of the first epoch, one of the second


def test_a_last_batch_of_one_sample_does_not_stop_batch_normalisation() -> None:
    task = loaded(count=41)
    result = task.train(task.initial_state(1), TrainingContext())
    assert result.num_samples == 41
    assert task.evaluate(result.state).num_samples == 41


def test_data_loaders_are_taken_as_they_are() -> None:
    task = loaded(loader=True)
    assert task.train(task.initial_state(1), TrainingContext()).num_samples == 40


def test_bfloat16_and_integers_keep_their_bits() -> None:
    class Mixed(nn.Module):
        counts: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.tensor([1.5, -0.0, 3e38, 2.0**-130], dtype=torch.bfloat16))
            self.scalar = nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
            self.register_buffer("counts", torch.tensor([[1, -2], [3, 4]], dtype=torch.int16))
            self.register_buffer("scratch", torch.zeros(3), persistent=False)

    state = state_of(Mixed())
    assert {name: array.dtype for name, array in state.items()} == {
        "weight": np.dtype(ml_dtypes.bfloat16),
        "scalar": np.dtype(np.float64),
        "counts": np.dtype(np.int16),
    }
    other = Mixed()
    with torch.no_grad():
        other.weight.zero_()
        other.counts.zero_()
    set_state(other, {name: array.copy(order="F") for name, array in state.items()}, copy=True)
    assert same(state_of(other), state)


def test_tied_parameters_stay_tied() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(2, 2, bias=False)
            self.second = nn.Linear(2, 2, bias=False)
            self.second.weight = self.first.weight

    module = Tied()
    set_state(module, copy_of(state_of(module)), copy=True)
    assert module.first.weight is module.second.weight
    with torch.no_grad():
        module.first.weight.fill_(7)
    assert module.second.weight[0, 0] == 7


def test_states_share_memory_where_that_is_safe() -> None:
    module = nn.Linear(2, 2)
    assert np.shares_memory(state_of(module)["weight"], module.weight.detach().numpy())
    state = copy_of(state_of(module))
    set_state(module, state, copy=False)
    assert np.shares_memory(state["weight"], module.weight.detach().numpy())
    set_state(module, state, copy=True)
    assert not np.shares_memory(state["weight"], module.weight.detach().numpy())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": np.zeros((2, 3), np.float32)}, r"weight is torch\.float32 \(2, 3\), but must be"),
        ({"weight": np.zeros((2, 2), np.float64)}, r"weight is torch\.float64"),
        ({"more": np.zeros(1, np.float32)}, r"unknown \['more'\]"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(change: State, message: str) -> None:
    module = nn.Linear(2, 2)
    with pytest.raises(ValueError, match=message):
        set_state(module, {**state_of(module), **change}, copy=True)


def test_a_state_dict_that_holds_more_than_tensors_is_refused() -> None:
    class Odd(nn.Module):
        def get_extra_state(self) -> dict[str, int]:
            return {"a": 1}

    with pytest.raises(ValueError, match="must be tensors only"):
        state_of(Odd())


def test_parameters_are_read_and_unknown_ones_refused() -> None:
    task = Wards({"local_epochs": 3, "learning_rate": "0.5"})
    assert (task.local_epochs, task.learning_rate, task.batch_size) == (3, 0.5, 8)
    with pytest.raises(TaskValueInvalid, match="unknown parameter 'epochs'"):
        Wards({"epochs": 3})


def test_what_a_subclass_forgot_is_said() -> None:
    with pytest.raises(NotImplementedError, match=r"must define model\(\)"):
        TorchTask({}).initial_state(0)
    with pytest.raises(NotImplementedError, match=r"must define datasets\(data\)"):
        TorchTask({}).load({})
    with pytest.raises(RuntimeError, match="load"):
        Wards({}).evaluate({})
