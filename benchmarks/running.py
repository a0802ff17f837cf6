"""A consortium of real services and one run in it, from its proposal to its end. Starts processes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from consilo.api.models import CommittedEvent
from consilo.api.party import Party
from consilo.api.watch import watch
from consilo.protocol.specification import Specification, TaskReference
from consilo.protocol.tensors import TensorSchema
from consilo.training.worker_handle import TrainingWorker
from services.local.foundations import LedgerKind
from services.local.processes import Services
from services.local.silos import until_loaded
from services.local.stores import StoreKind
from services.local.system import System, approve_run, propose_run, specification, start_ledger, start_members

RUN: Final = "bench"
LOAD_SECONDS: Final = 300.0
"""For all silos to load the task."""


@dataclass(frozen=True)
class TaskToRun:
    """What is trained.

    Attributes:
        name: of the task.
        place: `module:Class`.
        parameters: of the run.
        data_of: what a silo's operator says about its data, by the silo's number.
        evaluate: whether silos evaluate the globals.
    """

    name: str
    place: str
    parameters: Mapping[str, Any]
    data_of: Callable[[int], Mapping[str, object]]
    evaluate: bool = True


@dataclass(frozen=True)
class Running:
    """A consortium that is up, with a run that can be proposed.

    Attributes:
        auditor: a party that reads everything.
        agreed: the run's specification.
        initial: file of its initial model.
        tensors: of the model.
    """

    system: System
    auditor: Party
    agreed: Specification
    initial: Path
    tensors: TensorSchema

    @property
    def services(self) -> Services:
        """The processes."""
        return self.system.services

    async def run(self, seen: Callable[[CommittedEvent], None] = lambda _: None) -> list[float]:
        """Propose the run, have it approved when the silos have loaded the task, and follow it to its end.

        Args:
            seen: is called with each event that opens, closes or ends something.

        Returns:
            Seconds of each round, from its opening to its global model, by the ledger's times.
        """
        async with aclosing(watch(self.auditor, RUN, without=_UNSEEN)) as events:
            async for event in events:
                if event is None:  # from here on nothing is missed
                    await propose_run(self.system, RUN, self.agreed)
                    await until_loaded(self.system, RUN, LOAD_SECONDS)
                    await approve_run(self.system, RUN, self.agreed)
                    continue
                if event.event.effects:
                    seen(event)
                if "run-finished" in event.event.effects:
                    break
        seconds = []
        for number in range(self.agreed.rounds):
            summary = await self.auditor.gateway.round(RUN, number)
            assert summary.model is not None
            seconds.append((summary.model.published_at - summary.opening.opened_at) / 1000)
        return seconds


_UNSEEN: Final = ("publish_update", "record_access", "report_evaluation", "attest_global")


@asynccontextmanager
async def running(
    task: TaskToRun,
    *,
    silos: int,
    rounds: int,
    directory: Path,
    ledger: LedgerKind = "embedded",
    store: StoreKind = "local",
) -> AsyncIterator[Running]:
    """Start ledger, stores, aggregator, verifier and silos; end them all at the end.

    Args:
        task: what is trained.
        silos: hospitals, each with one silo.
        rounds: of the run.
        directory: of all they keep.
        ledger: kind of the ledger.
        store: kind of the object stores.
    """
    (directory / "logs").mkdir(parents=True)
    services = Services(directory / "logs", 60.0 + 5 * silos)
    try:
        system = await start_ledger(silos, directory, services, ledger=ledger, store=store)
        initial = directory / "initial.safetensors"
        async with TrainingWorker(name="initial") as worker:
            loaded = await worker.load(task.place, parameters=task.parameters, data=None)
            made = await worker.initial_state(0, initial)
        await start_members(
            system,
            directory,
            tasks={f"{task.name}@{loaded.version}": task.place},
            data_of=task.data_of,
            evaluate=task.evaluate,
        )
        async with system.party(system.first.operator) as operator:
            artifact = await operator.data_put(RUN, initial)
        reference = TaskReference(name=task.name, version=loaded.version, parameters=dict(task.parameters))
        agreed = specification(system, task=reference, tensors=made.tensors, initial=artifact, rounds=rounds)
        async with system.party(system.first.member("viewer", "auditor")) as auditor:
            yield Running(system, auditor, agreed, initial, made.tensors)
    finally:
        await services.stop()
