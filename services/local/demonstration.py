"""One demonstration from the first process to the last figure. Starts processes; network and file I/O on loopback."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any

from rich.console import Console

from consilo.api.party import Party
from consilo.api.watch import watch
from consilo.protocol.access import reference_of
from consilo.protocol.apply import Event
from consilo.protocol.records import Attestation, Evaluation
from consilo.protocol.specification import TaskReference
from consilo.protocol.values import parse_number
from consilo.protocol.views import RunStatus
from consilo.training.worker_handle import TrainingWorker
from consilo.verification import verify_run
from services.local.baselines import test_accuracy, train_alone
from services.local.display import Display
from services.local.foundations import Node
from services.local.nodes import figures_of
from services.local.processes import Services
from services.local.report import DemoReport, RoundFigures, StepFigures
from services.local.settings import DemoSettings
from services.local.silos import show_silos, until_loaded
from services.local.system import System, approve_run, propose_run, specification, start_ledger, start_members

ROUNDS_TO_LEARN = 10
"""From so many rounds on the global model must beat every silo alone."""


class DemoFailed(Exception):
    """The demonstration cannot go on; the message says why."""


class Demonstration:
    """Runs once.

    Args:
        settings: what the user asked for.
        directory: of ledger, models, identities and logs.
        console: where progress is shown.
        services: the processes; whoever made them ends them.

    Attributes:
        nodes: the ledger's own processes, once they are started.
    """

    def __init__(self, settings: DemoSettings, directory: Path, console: Console, services: Services) -> None:
        self.settings = settings
        self.directory = directory
        self.run = settings.task.replace("_", "-")
        self._console = console
        self._services = services
        self.nodes: list[Node] = []
        self._rounds: list[RoundFigures] = []

    async def __call__(self) -> DemoReport:
        """Start the system, train, compare, verify.

        Raises:
            ServiceFailed: a process did not start, or ended.
            DemoFailed: the run did not go on.
        """
        started = monotonic()
        with Display(self._console, self.settings.rounds) as display:
            system = await start_ledger(
                self.settings.hospitals,
                self.directory,
                self._services,
                ledger=self.settings.ledger,
                store=self.settings.store,
                note=display.note,
            )
            self.nodes = system.foundation.nodes()
            auditor = system.first.member("viewer", "auditor")
            async with system.party(auditor) as party:
                proposed = await self._propose(system, display)
                status, first_round = await self._train(system, party, display, proposed)
                return await self._compare_and_verify(party, status, display, started, first_round)

    async def _propose(self, system: System, display: Display) -> float:
        """Make the initial model, propose the run, let every hospital approve it. Returns when that was done."""
        display.note("making the initial model")
        initial = self.directory / "initial.safetensors"
        async with TrainingWorker(name="initial") as worker:
            loaded = await worker.load(self.settings.task_class, parameters={}, data=None)
            made = await worker.initial_state(self.settings.seed, initial)
        display.note("starting aggregator, verifier and silos")
        await start_members(
            system,
            self.directory,
            tasks={f"{self.settings.task}@{loaded.version}": self.settings.task_class},
            data_of=self.settings.data_of,
        )
        display.note("proposing the run")
        async with system.party(system.first.operator) as party:
            artifact = await party.data_put(self.run, initial)
        task = TaskReference(name=self.settings.task, version=loaded.version, parameters={})
        agreed = specification(system, task=task, tensors=made.tensors, initial=artifact, rounds=self.settings.rounds)
        await propose_run(system, self.run, agreed)
        # As everywhere, where minutes pass between the two: silos load a task when a run is proposed.
        display.note("waiting for the silos to load the task")
        await until_loaded(system, self.run, self.settings.start_timeout_seconds)
        display.note("approving the run")
        await approve_run(system, self.run, agreed)
        display.note("training")
        return monotonic()

    async def _train(self, system: System, party: Party, display: Display, proposed: float) -> tuple[RunStatus, float]:
        """Follow the run to its end, showing it. Returns its last status, and the seconds until its first round."""
        following = asyncio.ensure_future(self._follow(party, display, proposed))
        ended = asyncio.ensure_future(self._services.any_ended())
        showing = asyncio.ensure_future(show_silos(system, display))
        tasks: list[asyncio.Future[Any]] = [following, ended, showing]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in (ended, showing):
                if task.done():
                    task.result()  # raises what it failed with
            return await following
        finally:
            for unfinished in tasks:
                unfinished.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, party: Party, display: Display, proposed: float) -> tuple[RunStatus, float]:
        shown = 0
        first_round = 0.0
        evaluations: Counter[tuple[int | None, int | None]] = Counter()

        def is_news(event: Event) -> bool:
            # To look at every event would be a load on the ledger, and on the machine that is shown here.
            match event.type:
                case "report_evaluation":
                    evaluations[event.round, event.attempt] += 1
                    return evaluations[event.round, event.attempt] >= self.settings.hospitals
                case "publish_global":
                    return not first_round
                case "attest_global":
                    return shown == self.settings.rounds
                case _:
                    return event.type != "close_round"

        async with asyncio.timeout(self.settings.round_timeout_seconds) as patience:
            async for event in watch(party, self.run, without=("publish_update", "record_access")):
                if event is not None and not is_news(event.event):
                    continue
                status = await party.metadata_get(self.run)
                if status.latest is not None and status.latest.round and not first_round:
                    first_round = monotonic() - proposed
                while shown < await self._complete_rounds(party, status):
                    display.round(await self._figures(party, shown))
                    shown += 1
                    patience.reschedule(asyncio.get_running_loop().time() + self.settings.round_timeout_seconds)
                if shown == self.settings.rounds and status.state == "finished" and status.attestations:
                    return status, first_round
                if status.state in {"stopped", "rejected"}:
                    raise DemoFailed(f"the run was {status.state}")
        raise DemoFailed("the event stream ended")

    async def _complete_rounds(self, party: Party, status: RunStatus) -> int:
        """How many rounds have a global model that every silo has evaluated."""
        made = 0 if status.latest is None else status.latest.round
        if made and len((await party.gateway.round(self.run, made - 1)).evaluations) < self.settings.hospitals:
            return made - 1
        return made

    async def _figures(self, party: Party, number: int) -> RoundFigures:
        summary = await party.gateway.round(self.run, number)
        model, selection = summary.model, summary.selection
        if model is None or selection is None:
            raise DemoFailed(f"round {number} has no global model")
        figures = RoundFigures(
            round=number,
            seconds=(model.published_at - summary.opening.opened_at) / 1000,
            updates=len(summary.updates),
            selected=len(selection.selected),
            attempts=summary.opening.attempt,
            validation_accuracy=mean_accuracy(summary.evaluations),
        )
        self._rounds.append(figures)
        return figures

    async def _compare_and_verify(
        self, party: Party, status: RunStatus, display: Display, started: float, first_round: float
    ) -> DemoReport:
        model = status.latest
        assert model is not None  # noqa: S101 - the run is finished
        tensors = status.proposal.specification.tensors
        display.note("fetching the last global model")
        final = self.directory / "global.safetensors"
        await party.data_get(self.run, reference_of(model), model.artifact.organisation, final)
        accuracy = await test_accuracy(self.settings, final, tensors)
        baselines = {}
        for silo in (None, *range(self.settings.hospitals)):
            display.note(f"training for comparison: {'all data pooled' if silo is None else f'silo {silo} alone'}")
            baselines[silo] = await train_alone(
                self.settings,
                silo,
                initial=self.directory / "initial.safetensors",
                tensors=tensors,
                directory=self.directory,
            )
        display.note("verifying everything")
        verification = await verify_run(party, self.run)
        head = await party.gateway.head()
        steps = [
            StepFigures(number=step.number, name=step.title, outcome=step.outcome, detail=step.detail)
            for step in verification.steps
        ]
        verdicts = [attestation.verdict for attestation in await self._attestations(party)]
        pooled = baselines.pop(None)
        members = [terms.member for terms in status.proposal.specification.silos]
        report = DemoReport(
            settings=self.settings.model_dump(mode="json") | {"silos": self.settings.hospitals},
            run=self.run,
            state=status.state,
            final_digest=model.artifact.sha256,
            global_accuracy=accuracy,
            pooled_accuracy=pooled.accuracy,
            local_accuracy={
                members[silo]: baseline.accuracy for silo, baseline in baselines.items() if silo is not None
            },
            rounds=self._rounds,
            median_seconds_per_round=median(figures.seconds for figures in self._rounds),
            seconds_to_first_round=first_round,
            seconds_total=monotonic() - started,
            pooled_training_seconds=pooled.seconds,
            ledger=self.settings.ledger,
            ledger_height=head.head.height,
            nodes=await figures_of(self.nodes),
            attestations={verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))},
            verification=steps,
            problems=[],
        )
        return report.model_copy(update={"problems": self._problems(report, ok=verification.complete)})

    async def _attestations(self, party: Party) -> list[Attestation]:
        """All attestations, once the verifier has given its word on every global."""
        found: list[Attestation] = []
        for number in range(self.settings.rounds):
            found += (await party.gateway.round(self.run, number)).attestations
        return found

    def _problems(self, report: DemoReport, *, ok: bool) -> list[str]:
        problems = []
        if report.state != "finished":
            problems.append(f"the run is {report.state}, not finished")
        if not ok:
            problems.append("the verification found something")
        if report.attestations != {"ok": self.settings.rounds}:
            problems.append(f"the verifier attested {report.attestations or 'nothing'}, not every global as ok")
        best = max(report.local_accuracy.values())
        if self.settings.hospitals > 1 and report.global_accuracy <= best and self.settings.rounds >= ROUNDS_TO_LEARN:
            problems.append(f"the global model is no better than the best silo alone ({best:.3f})")
        return problems


def mean_accuracy(evaluations: tuple[Evaluation, ...]) -> float | None:
    """Mean of the silos' validation accuracies, weighted by their samples; None when no silo reported one."""
    reported = [(e.num_samples, parse_number(e.metrics["accuracy"])) for e in evaluations if "accuracy" in e.metrics]
    samples = sum(number for number, _ in reported)
    return sum(number * accuracy for number, accuracy in reported) / samples if samples else None
