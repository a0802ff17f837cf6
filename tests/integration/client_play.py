"""The other side of a client under test: operators, an aggregator and a second silo, played through `Party`."""

from __future__ import annotations

import asyncio
import json
import secrets
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from consilo.aggregation import schema_of, write_artifact
from consilo.api.errors import GatewayRefused
from consilo.api.party import Party
from consilo.api.watch import watch
from consilo.protocol.bodies import (
    ApproveRun,
    CloseRound,
    ProposeRun,
    PublishGlobal,
    PublishUpdate,
    ReopenRound,
    StopRun,
)
from consilo.protocol.records import Exclusion, ExclusionReason, Update
from consilo.protocol.specification import Artifact, Specification, TaskReference
from consilo.protocol.views import Attempt, RunStatus
from consilo.training.task import State
from tests.integration.consortium import DEADLINE_SECONDS, Consortium, Service, until, until_true

AGGREGATOR: Final = "HospitalA/aggregator"
OTHER: Final = "HospitalA/silo-other"
TASK: Final = TaskReference(name="watched", version="1", parameters={})
TASKS: Final = json.dumps({"watched@1": "tests.integration.client_tasks:Watched"})
WEIGHTS: Final[State] = {"weights": np.zeros(2, np.float32)}


@dataclass
class Play:
    """One run with the client's silo (of HospitalB) and, if wanted, another silo that the test plays."""

    consortium: Consortium
    directory: Path
    silo: str
    operator: Party
    approver: Party
    aggregator: Party
    other: Party
    name: str

    async def start(
        self,
        *,
        task: TaskReference = TASK,
        initial: State = WEIGHTS,
        with_other: bool = False,
        rounds: int = 2,
        max_samples: int = 10_000,
        deadline_ms: int = 600_000,
        approve: bool = True,
    ) -> None:
        """Propose and approve the run, and open its round 0; or only propose it."""
        artifact = await self.put(self.operator, initial)
        silos = sorted([self.silo, OTHER] if with_other else [self.silo])
        specification = Specification.decode(
            json.dumps(
                {
                    "task": task.model_dump(mode="json"),
                    "initial": artifact.model_dump(mode="json"),
                    "tensors": schema_of(initial).model_dump(mode="json"),
                    "organisations": ["HospitalA", "HospitalB"],
                    "silos": [{"member": member, "max_samples": max_samples} for member in silos],
                    "aggregators": [AGGREGATOR],
                    "verifiers": [],
                    "update_readers": [],
                    "rounds": rounds,
                    "cohort": {"kind": "all"},
                    "threshold": 1,
                    "minimum": 1,
                    "grace_ms": 0,
                    "deadline_ms": deadline_ms,
                    "selection": {"policy": "all"},
                    "strategy": {"name": "fedavg", "version": 1, "parameters": {}},
                    "approvals_required": 2,
                    "attestations_required": 0,
                    "mismatches_to_annul": 1,
                    "retention_rounds": None,
                }
            ).encode()
        )
        await self.operator.metadata_publish(ProposeRun(run=self.name, specification=specification))
        if not approve:
            return
        await self.approver.metadata_publish(ApproveRun(run=self.name, specification=specification.digest()))
        await self.aggregator.metadata_publish(
            PublishGlobal(
                run=self.name, round=0, attempt=0, artifact=artifact, inputs=(), strategy=specification.strategy
            )
        )

    async def put(self, party: Party, state: State) -> Artifact:
        """Write a model into the store of a member's organisation."""
        file = self.directory / f"model-{secrets.token_hex(4)}"
        write_artifact(file, schema_of(state), state)
        return await party.data_put(self.name, file)

    async def status(self) -> RunStatus:
        return await self.aggregator.metadata_get(self.name)

    async def attempt(self) -> Attempt:
        """The current attempt, which must be there."""
        attempt = (await self.status()).attempt
        assert attempt is not None
        return attempt

    async def published(self, *, round: int = 0, attempt: int = 1) -> Update:
        """Wait for the client's update of an attempt."""

        def found(status: RunStatus) -> Update | None:
            current = status.attempt
            if current is None or (current.opening.round, current.opening.attempt) != (round, attempt):
                return None
            return next((update for update in current.updates if update.member == self.silo), None)

        update = found(await until(self.aggregator, self.name, lambda status: found(status) is not None))
        assert update is not None
        return update

    async def publish_other(self) -> None:
        """An update of the silo that the test plays."""
        opening = (await self.attempt()).opening
        await self.other.metadata_publish(
            PublishUpdate(
                run=self.name,
                round=opening.round,
                attempt=opening.attempt,
                base=opening.base.sha256,
                artifact=await self.put(self.other, WEIGHTS),
                num_samples=5,
                metrics={},
            )
        )

    async def close(self) -> None:
        """Close the current attempt with the updates that are there."""
        attempt = await self.attempt()
        await self.aggregator.metadata_publish(
            CloseRound(
                run=self.name,
                round=attempt.opening.round,
                attempt=attempt.opening.attempt,
                updates=attempt.updates_digest,
            )
        )

    async def reopen(self, reason: ExclusionReason) -> None:
        """Close the attempt, and open the next one without the client's update."""
        await self.close()
        opening = (await self.attempt()).opening
        await self.aggregator.metadata_publish(
            ReopenRound(
                run=self.name,
                round=opening.round,
                attempt=opening.attempt,
                excluded=(Exclusion(member=self.silo, reason=reason),),
            )
        )

    async def reopen_overdue(self) -> None:
        """Open the next attempt, once the deadline of this one is over."""
        opening = (await self.attempt()).opening
        body = ReopenRound(run=self.name, round=opening.round, attempt=opening.attempt, excluded=())
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                try:
                    await self.aggregator.metadata_publish(body)
                except GatewayRefused as error:
                    if error.code != "nothing-to-reopen":
                        raise
                else:
                    return

    async def next_global(self, state: State = WEIGHTS) -> None:
        """Close the current attempt, unless it is closed, and publish a global for it."""
        if (await self.attempt()).selection is None:
            await self.close()
        status = await self.status()
        assert status.attempt is not None
        assert status.attempt.selection is not None
        opening = status.attempt.opening
        await self.aggregator.metadata_publish(
            PublishGlobal(
                run=self.name,
                round=opening.round + 1,
                attempt=opening.attempt,
                artifact=await self.put(self.aggregator, state),
                inputs=status.attempt.selection.selected,
                strategy=status.proposal.specification.strategy,
            )
        )

    async def stop(self) -> None:
        """End the run."""
        await self.operator.metadata_publish(StopRun(run=self.name, reason="the test is over"))

    async def reported(self, *rounds: int) -> dict[int, dict[str, str]]:
        """Wait for the client's evaluations of the globals of these rounds; returns all of them."""
        async with asyncio.timeout(DEADLINE_SECONDS), aclosing(watch(self.aggregator, self.name)) as events:
            async for _ in events:
                found = await self.evaluations()
                if set(rounds) <= set(found):
                    return found
        raise AssertionError("an event stream does not end")

    async def evaluations(self) -> dict[int, dict[str, str]]:
        """The client's evaluations: metrics by round of the global."""
        page = await self.aggregator.gateway.records(f"run/{self.name}/evaluation/")
        found = [json.loads(record.record) for record in page.records]
        return {record["round"]: record["metrics"] for record in found if record["member"] == self.silo}

    # What the task did

    @contextmanager
    def client(self, **settings: Any) -> Iterator[Service]:
        """The client under test."""
        values: dict[str, Any] = {
            "port": 0,
            "work_directory": self.directory / "work",
            "tasks": TASKS,
            "data": json.dumps({"directory": str(self.directory)}),
            "worker__progress_interval_seconds": 0.01,
            "retries__first_wait_seconds": 0.05,
            **settings,
        }
        with self.consortium.service("client", self.silo, **values) as service:
            yield service

    def lines(self, file: str) -> list[str]:
        """What the task noted in a file of its directory."""
        path = self.directory / file
        return path.read_text().splitlines() if path.exists() else []

    def hold(self) -> None:
        """From now on trainings do not end."""
        (self.directory / "hold").touch()

    def release(self) -> None:
        """Let trainings end."""
        (self.directory / "hold").unlink()

    def models(self) -> set[str]:
        """The kinds and rounds of the files in the client's work directory, e.g. `global-0000001`."""
        folder = self.directory / "work" / "runs" / self.name
        return {path.name[:14] for path in folder.iterdir()} if folder.exists() else set()


@asynccontextmanager
async def play(consortium: Consortium, directory: Path, name: str) -> AsyncIterator[Play]:
    """The parties of a run called `name`, whose client is `HospitalB/silo-<name>`."""
    async with (
        consortium.party("HospitalA/operator") as operator,
        consortium.party("HospitalB/operator") as approver,
        consortium.party(AGGREGATOR) as aggregator,
        consortium.party(OTHER) as other,
    ):
        yield Play(consortium, directory, f"HospitalB/silo-{name}", operator, approver, aggregator, other, name)


def get(service: Service, path: str) -> Any:
    with urllib.request.urlopen(service.url + path, timeout=10) as response:
        body = response.read()
    return json.loads(body) if path.startswith("/v1") else body.decode()


def entry(service: Service, run: str) -> dict[str, Any]:
    """What the client's status says of a run."""
    found: dict[str, Any] = next(line for line in get(service, "/v1/status")["runs"] if line["run"] == run)
    return found


def logged(service: Service, event: str, count: int = 1) -> Callable[[], bool]:
    return lambda: len(service.events(event)) >= count


async def trainings(p: Play, count: int) -> None:
    """Wait until so many trainings have begun."""
    await until_true(lambda: len(p.lines("trainings")) >= count, f"{count} trainings")


def lives(process: int) -> bool:
    """Whether a process of this id is there."""
    return Path(f"/proc/{process}").exists()
