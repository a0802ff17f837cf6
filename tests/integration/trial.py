"""A run on the test consortium, with silos and operators that the test acts for."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from consilo.aggregation import read_artifact, schema_of, write_artifact
from consilo.api.errors import GatewayRefused
from consilo.api.party import Party
from consilo.protocol.access import reference_of
from consilo.protocol.bodies import ApproveRun, ProposeRun, PublishUpdate
from consilo.protocol.canonical import canonical
from consilo.protocol.records import GlobalModel, Update
from consilo.protocol.specification import Artifact, Specification
from consilo.protocol.views import RunStatus
from tests.integration.consortium import ORGANISATIONS, Consortium, until

Weights = npt.NDArray[np.float32]

SILOS: Final = tuple(f"{msp}/silo" for msp in ORGANISATIONS)


@dataclass
class Trial:
    """A run that is active, and the members that the test acts for.

    Attributes:
        run: its name.
        specification: what was agreed.
        directory: for the files that silos make.
        sent: what each silo published last, with its weight.
    """

    consortium: Consortium
    run: str
    specification: Specification
    directory: Path
    stack: AsyncExitStack
    sent: dict[str, tuple[Weights, int]] = field(default_factory=dict)
    _parties: dict[str, Party] = field(default_factory=dict)

    @property
    def elements(self) -> int:
        """Number of elements of the model."""
        return self.specification.tensors.tensors[0].elements

    async def party(self, member: str) -> Party:
        """A member, connected until the end of the test."""
        if member not in self._parties:
            self._parties[member] = await self.stack.enter_async_context(self.consortium.party(member))
        return self._parties[member]

    async def status(self) -> RunStatus:
        """Where the run stands."""
        return await (await self.party("HospitalA/operator")).metadata_get(self.run)

    async def until(self, condition: Callable[[RunStatus], bool]) -> RunStatus:
        """Wait until the run stands so."""
        return await until(await self.party("HospitalA/operator"), self.run, condition)

    async def until_open(self, round_number: int, attempt: int = 1) -> RunStatus:
        """Wait until the attempt is open."""
        return await self.until(
            lambda status: (
                status.attempt is not None
                and (status.attempt.opening.round, status.attempt.opening.attempt) == (round_number, attempt)
            )
        )

    async def until_global(self, round_number: int) -> GlobalModel:
        """Wait for a global model, and return its record."""
        status = await self.until(lambda status: status.latest is not None and status.latest.round >= round_number)
        assert status.latest is not None
        return status.latest

    def random(self) -> Weights:
        """Values of a model."""
        return np.random.default_rng().standard_normal(self.elements, np.float32)

    async def put(self, member: str, values: Weights) -> Artifact:
        """Put a model into the store."""
        path = self.directory / f"{secrets.token_hex(8)}.safetensors"
        write_artifact(path, self.specification.tensors, {"weights": values})
        artifact = await (await self.party(member)).data_put(self.run, path)
        path.unlink()
        return artifact

    async def train(
        self,
        silo: str,
        *,
        samples: int = 10,
        values: Weights | None = None,
        artifact: Artifact | None = None,
        accuracy: str = "0.5",
    ) -> Update:
        """What a silo does in the current attempt: it puts random values, unless given, and publishes their metadata.

        `artifact`: what was put before, to be published now.
        """
        status = await self.status()
        assert status.attempt is not None
        opening = status.attempt.opening
        if values is None:
            values = self.random()
        party = await self.party(silo)
        body = PublishUpdate(
            run=self.run,
            round=opening.round,
            attempt=opening.attempt,
            base=opening.base.sha256,
            artifact=artifact or await self.put(silo, values),
            num_samples=samples,
            metrics={"accuracy": accuracy},
        )
        await party.metadata_publish(body)
        self.sent[silo] = (values, samples)
        status = await self.status()
        assert status.attempt is not None
        return next(update for update in status.attempt.updates if update.member == silo)

    async def train_all(self, silos: Sequence[str] | None = None) -> None:
        """All silos of the run train, with different numbers of samples."""
        for number, silo in enumerate(silos or [terms.member for terms in self.specification.silos]):
            await self.train(silo, samples=7 + 5 * number)

    def average(self, silos: Sequence[str]) -> Weights:
        """The weighted mean of what silos published last, as the strategy `fedavg` defines it."""
        total = np.zeros(self.elements, np.float64)
        for silo in sorted(silos):
            values, samples = self.sent[silo]
            total += values.astype(np.float64) * float(samples)
        mean: Weights = (total / float(sum(self.sent[silo][1] for silo in silos))).astype(np.float32)
        return mean

    async def fetch(self, model: GlobalModel) -> Weights:
        """The values of a global model, by another organisation's member."""
        path = self.directory / f"{secrets.token_hex(8)}.safetensors"
        reader = await self.party("HospitalC/viewer")
        await reader.data_get(self.run, reference_of(model), model.artifact.organisation, path)
        state = read_artifact(path, self.specification.tensors)
        path.unlink()
        values: Weights = np.array(state["weights"])
        return values


@asynccontextmanager
async def started(
    consortium: Consortium, directory: Path, *, elements: int = 1000, **fields: object
) -> AsyncIterator[Trial]:
    """A run that all organisations have approved. `fields` replace those of its specification."""
    run = f"trial-{secrets.token_hex(4)}"
    initial = np.zeros(elements, np.float32)
    schema = schema_of({"weights": initial})
    path = directory / "initial.safetensors"
    write_artifact(path, schema, {"weights": initial})
    async with AsyncExitStack() as stack:
        operator = await stack.enter_async_context(consortium.party("HospitalA/operator"))
        defaults: dict[str, Any] = {
            "task": {"name": "none", "version": "1", "parameters": {}},
            "initial": (await operator.data_put(run, path)).model_dump(mode="json"),
            "tensors": schema.model_dump(mode="json"),
            "organisations": list(ORGANISATIONS),
            "silos": [{"member": member, "max_samples": 1000} for member in SILOS],
            "aggregators": ["HospitalA/aggregator"],
            "verifiers": [],
            "update_readers": [],
            "rounds": 1,
            "cohort": {"kind": "all"},
            "threshold": 3,
            "minimum": 2,
            "grace_ms": 0,
            "deadline_ms": 60_000,
            "selection": {"policy": "all"},
            "strategy": {"name": "fedavg", "version": 1, "parameters": {}},
            "approvals_required": len(ORGANISATIONS),
            "attestations_required": 0,
            "mismatches_to_annul": 1,
            "retention_rounds": None,
            "schema_version": 1,
            "rules": 1,
        }
        specification = Specification.decode(canonical({**defaults, **fields}))
        trial = Trial(consortium, run, specification, directory, stack)
        trial._parties["HospitalA/operator"] = operator
        await operator.metadata_publish(ProposeRun(run=run, specification=specification))
        for msp in ORGANISATIONS[1:]:
            approver = await trial.party(f"{msp}/operator")
            await approver.metadata_publish(ApproveRun(run=run, specification=specification.digest()))
        yield trial


async def refusal_of(awaitable: Any) -> str:
    """The code with which the gateway refuses."""
    try:
        await awaitable
    except GatewayRefused as refused:
        return refused.code
    raise AssertionError("it was not refused")
