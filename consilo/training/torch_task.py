"""Base class for tasks in torch: a model and data sets are enough. No I/O; imports torch.

    class Wards(TorchTask):
        learning_rate = 0.01

        def model(self):
            return nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 2))

        def datasets(self, data):
            table = torch.from_numpy(np.loadtxt(data["file"], dtype=np.float32))
            return random_split(TensorDataset(table[:, :12], table[:, 12].long()), [0.8, 0.2], seeded(0))

States hold every parameter and persistent buffer under its name in `state_dict`, with its own dtype: bfloat16 stays
bfloat16, counters such as `num_batches_tracked` stay int64. Nothing is pickled. A state becomes the model's storage and
back without a copy wherever that is safe: evaluation reads a mapped file in place, training copies once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any, ClassVar, TypeAlias, cast

import ml_dtypes
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, SequentialSampler, TensorDataset

from consilo.training.task import DEFAULT_VERSION, Array, Evaluation, State, TrainingContext, TrainingResult
from consilo.training.values import Values

Data: TypeAlias = "Dataset[Any] | DataLoader[Any]"


class TorchTask:
    """A `Task` whose model is an `nn.Module`, trained by mini-batches for some epochs a round.

    A subclass writes `model` and `datasets`, and overrides what else it likes. Its class attributes are the defaults of
    the run's parameters of the same names. Beside what `datasets` reads, the operator's data may name `device`
    (default `cpu`) and `threads` (of torch, default 1: the silos of a demonstration share a machine).
    """

    version: ClassVar[str] = DEFAULT_VERSION
    local_epochs: int = 2
    batch_size: int = 32
    learning_rate: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 0.0

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        values = Values(parameters)
        self.local_epochs = values.integer("local_epochs", self.local_epochs, minimum=1)
        self.batch_size = values.integer("batch_size", self.batch_size, minimum=1)
        self.learning_rate = values.real("learning_rate", self.learning_rate)
        self.momentum = values.real("momentum", self.momentum, maximum=1.0)
        self.weight_decay = values.real("weight_decay", self.weight_decay)
        self.configure(values)
        values.finish()
        self.device = torch.device("cpu")
        self._module: nn.Module | None = None
        self._data: tuple[Data, Data] | None = None

    # What a subclass writes

    def model(self) -> nn.Module:
        """A new model, initialised by torch's generator."""
        raise NotImplementedError(f"{type(self).__name__} must define model() and return an nn.Module")

    def datasets(self, data: Mapping[str, Any]) -> tuple[Data, Data]:
        """The silo's training and validation data: data sets of `(input, target)`, or data loaders of their batches."""
        raise NotImplementedError(f"{type(self).__name__} must define datasets(data) and return (training, validation)")

    # What it may override

    def configure(self, values: Values) -> None:
        """Read parameters of the subclass's own."""

    def forward(self, model: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
        """Outputs and targets of a batch, by default one of `(inputs, targets)`. Samples are the first dimension."""
        inputs, targets = batch
        return model(inputs.to(self.device)), targets.to(self.device)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of a batch, a scalar. Default: cross entropy of logits [samples, classes]."""
        return nn.functional.cross_entropy(outputs, targets)

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Means over a batch. Default: accuracy, where outputs are logits and targets classes."""
        if outputs.dim() == 2 and targets.dim() == 1 and not targets.is_floating_point():
            return {"accuracy": (outputs.argmax(1) == targets).double().mean().item()}
        return {}

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """A new optimizer for each round. Default: SGD with the momentum and weight decay of the parameters."""
        return torch.optim.SGD(
            parameters, lr=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay
        )

    def batches(self, data: Data, seed: int | None) -> Iterable[Any]:
        """Batches of some data; shuffled by `seed`, or in order when it is None. A data loader is taken as it is."""
        if isinstance(data, DataLoader):
            return data
        sized = cast(Sized, data)
        length, size = len(sized), self.batch_size
        sampler = SequentialSampler(sized) if seed is None else RandomSampler(sized, generator=seeded(seed))
        # A last batch of one sample would stop batch normalisation in training.
        batches = BatchSampler(sampler, size, drop_last=seed is not None and length > size and length % size == 1)
        if isinstance(data, TensorDataset):
            return DataLoader(data, sampler=batches, batch_size=None)  # one indexing per batch, not per sample
        return DataLoader(data, batch_sampler=batches)

    # The task

    def load(self, data: Mapping[str, Any]) -> None:
        """Build the data sets; set the number of threads and determinism of torch in this process."""
        values = Values(data, "data")
        torch.set_num_threads(values.integer("threads", 1, minimum=1, maximum=1024))
        torch.use_deterministic_algorithms(True, warn_only=True)
        self.device = torch.device(values.text("device", "cpu"))
        training, validation = self.datasets(values.rest())
        self._data = training, validation

    def initial_state(self, seed: int) -> State:
        """The state of a new model made under `torch.manual_seed(seed)`."""
        torch.manual_seed(seed)
        return state_of(self.model())

    def train(self, state: State, context: TrainingContext) -> TrainingResult:
        """Train for `local_epochs`; the metrics are means over the last epoch."""
        data, _ = self._loaded()
        module = self._model_with(state, copy=True).train()
        optimizer = self.optimizer(module.parameters())
        torch.manual_seed(context.seed)
        totals: dict[str, float] = {}
        samples = 0
        for epoch in range(self.local_epochs):
            totals, samples = {}, 0
            for batch in self.batches(data, context.seed + epoch):
                context.check()
                optimizer.zero_grad(set_to_none=True)
                outputs, targets = self.forward(module, batch)
                loss = self.loss(outputs, targets)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                samples += self._add(totals, outputs.detach(), targets, loss.detach())
            context.progress((epoch + 1) / self.local_epochs, **_means(totals, samples))
        count = samples if isinstance(data, DataLoader) else len(cast(Sized, data))
        return TrainingResult(state_of(module), count, _means(totals, samples))

    def evaluate(self, state: State) -> Evaluation:
        """Loss and metrics on the validation data."""
        return self.evaluate_on(state, self._loaded()[1])

    def evaluate_on(self, state: State, data: Data) -> Evaluation:
        """Loss and metrics on any data."""
        module = self._model_with(state, copy=False).eval()
        totals: dict[str, float] = {}
        samples = 0
        with torch.no_grad():
            for batch in self.batches(data, None):
                outputs, targets = self.forward(module, batch)
                samples += self._add(totals, outputs, targets, self.loss(outputs, targets))
        return Evaluation(samples, _means(totals, samples))

    def _add(self, totals: dict[str, float], outputs: Tensor, targets: Tensor, loss: Tensor) -> int:
        count = len(targets)
        for name, value in {"loss": loss.item(), **self.metrics(outputs, targets)}.items():
            totals[name] = totals.get(name, 0.0) + value * count
        return count

    def _loaded(self) -> tuple[Data, Data]:
        if self._data is None:
            raise RuntimeError("load(data) has not been called")
        return self._data

    def _model_with(self, state: State, *, copy: bool) -> nn.Module:
        if self._module is None:
            self._module = self.model().to(self.device)
        set_state(self._module, state, copy=copy)
        return self._module


def seeded(seed: int) -> torch.Generator:
    """A generator of torch on the CPU with this seed."""
    return torch.Generator().manual_seed(seed)


def state_of(module: nn.Module) -> State:
    """All parameters and persistent buffers as arrays; on the CPU they share the module's memory.

    Raises:
        ValueError: the state dict holds something that is not a tensor.
    """
    return {name: _array_of(tensor) for name, tensor in _tensors(module)}


def set_state(module: nn.Module, state: Mapping[str, Array], *, copy: bool) -> None:
    """Give a module the values of a state. Its parameters stay the same objects, so that tied ones stay tied.

    Args:
        module: the module, on any device.
        state: arrays by name, with the names, shapes and dtypes of `state_of(module)`.
        copy: whether the module gets memory of its own. Without, on the CPU, it uses the arrays' memory: nothing may
            train it. Memory that an earlier `state_of` returned is never written to.

    Raises:
        ValueError: names, shapes or dtypes differ.
    """
    tensors = list(_tensors(module))
    names = {name for name, _ in tensors}
    if names != set(state):
        missing, unknown = sorted(names - set(state))[:3], sorted(set(state) - names)[:3]
        raise ValueError(f"the state does not fit the model: missing {missing}, unknown {unknown}")
    for name, tensor in tensors:
        source = _tensor_of(state[name])
        if source.shape != tensor.shape or source.dtype != tensor.dtype:
            raise ValueError(
                f"the state does not fit the model: {name} is {source.dtype} {tuple(source.shape)}, "
                f"but must be {tensor.dtype} {tuple(tensor.shape)}"
            )
        source = source.to(tensor.device)
        shared = source.device.type == "cpu" and np.shares_memory(_array_of(source), state[name])
        tensor.data = source.clone() if copy and shared else source


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in module.state_dict(keep_vars=True).items():
        if not isinstance(tensor, Tensor):
            raise ValueError(f"{name} in the model's state dict is no tensor; a model's state must be tensors only")  # noqa: TRY004
        yield name, tensor


def _array_of(tensor: Tensor) -> Array:
    plain = tensor.detach().cpu()
    if plain.dtype == torch.bfloat16:  # numpy has none of its own: the same two bytes, under another name
        return plain.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return plain.numpy()


def _tensor_of(array: Array) -> Tensor:
    ready = np.require(array, requirements=["C", "W"])  # copies only what torch cannot share
    if ready.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(ready.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(ready)


def _means(totals: Mapping[str, float], samples: int) -> dict[str, float]:
    return {name: total / samples for name, total in totals.items()} if samples else {}
