"""Faults at random moments, from a seed: the same seed gives the same victims and waits. Set CONSILO_FAULT_SEED."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from tests.faults.harness import MEMBERS, Trial

WORKER: Final = "worker of "
SERVICES: Final = ("ledger", "store", "aggregator", "verifier", *MEMBERS)
ROUND_SECONDS: Final = 15.0
VICTIMS: Final = (*SERVICES, *(WORKER + silo for silo in MEMBERS))


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        victim: of `VICTIMS`.
        after_seconds: since the fault before.
        for_seconds: until the victim is started again or goes on.
    """

    victim: str
    after_seconds: float
    for_seconds: float


def new_seed() -> int:
    """The seed that is asked for, else a new one; printed, so that a failure can be had again."""
    asked = os.environ.get("CONSILO_FAULT_SEED")
    seed = random.SystemRandom().randrange(2**32) if asked is None else int(asked)
    print(f"CONSILO_FAULT_SEED={seed}")
    return seed


def schedule(
    seed: int, *, victims: Sequence[str], after_seconds: float, for_seconds: tuple[float, float]
) -> Iterator[Fault]:
    """Faults without end: every victim once in a random order, then again.

    Args:
        seed: of all that is random.
        victims: to choose from.
        after_seconds: longest wait between two faults.
        for_seconds: shortest and longest time that one lasts.
    """
    generator = random.Random(seed)
    while True:
        for victim in generator.sample(victims, len(victims)):
            yield Fault(victim, generator.uniform(0, after_seconds), generator.uniform(*for_seconds))


@dataclass
class Injector:
    """Brings faults about while runs go on, several at the same time.

    Attributes:
        injected: how often, by victim.
    """

    trial: Trial
    faults: Iterator[Fault]
    injected: Counter[str] = field(default_factory=Counter)
    _ending: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def until_finished(self, run: str, count: int, bring_about: Callable[[Fault], Awaitable[str]]) -> None:
        """Bring faults about until the run has finished, or there were `count` in all; then wait for the run."""
        seconds = ROUND_SECONDS * self.trial.runs[run]
        finished = asyncio.create_task(self.trial.until_finished(run, seconds=seconds))
        try:
            while self.injected.total() < count:
                fault = next(self.faults)
                done, _ = await asyncio.wait([finished], timeout=fault.after_seconds)
                if done:
                    break
                await self._recovered(fault.victim.removeprefix(WORKER))
                self.injected[await bring_about(fault)] += 1
            await finished
            await asyncio.gather(*self._ending.values())
        finally:
            for task in (finished, *self._ending.values()):
                task.cancel()
            await asyncio.gather(finished, *self._ending.values(), return_exceptions=True)

    async def kill(self, fault: Fault) -> str:
        """Kill with -9; services are started again, workers are their silo's business. Returns who was killed."""
        if fault.victim.startswith(WORKER):
            silo = fault.victim.removeprefix(WORKER)
            pid = self.trial.worker(silo)
            if pid is not None:
                _signal(pid, signal.SIGKILL)
                return fault.victim
            fault = Fault(silo, fault.after_seconds, fault.for_seconds)
        self.trial.see()
        await self.trial.service(fault.victim).kill()
        victim = fault.victim
        self._later(fault, lambda: self.trial.restart(victim))
        return victim

    async def freeze(self, fault: Fault) -> str:
        """Stop a process where it is (SIGSTOP), for a while. Returns which."""
        name = fault.victim.removeprefix(WORKER)
        pid = self.trial.worker(name) if fault.victim.startswith(WORKER) else None
        if pid is None:
            pid = self.trial.service(name).pid
            fault = Fault(name, fault.after_seconds, fault.for_seconds)
        assert pid is not None, f"{name} has ended by itself\n{self.trial.logs()}"
        _signal(pid, signal.SIGSTOP)

        async def thaw() -> None:
            _signal(pid, signal.SIGCONT)

        self._later(fault, thaw)
        return fault.victim

    def _later(self, fault: Fault, recovery: Callable[[], Awaitable[None]]) -> None:
        async def recover() -> None:
            await asyncio.sleep(fault.for_seconds)
            await recovery()

        self._ending[fault.victim.removeprefix(WORKER)] = asyncio.create_task(recover())

    async def _recovered(self, victim: str) -> None:
        """Return when the victim's last fault is over."""
        if victim in self._ending:
            await self._ending[victim]


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # a worker that has just ended
        os.kill(pid, number)


async def run_with_faults(
    trial: Trial, injector: Injector, bring_about: Callable[[Fault], Awaitable[str]], *, count: int, rounds: int
) -> None:
    """Runs of so many rounds, one after the other, until there were so many faults; each must end whole."""
    number = 0
    while injector.injected.total() < count:
        number += 1
        await trial.begin(f"faulty-{number}", rounds=rounds)
        await injector.until_finished(f"faulty-{number}", count, bring_about)
        await trial.prove(f"faulty-{number}")
        print(f"run {number} is whole; faults so far: {dict(sorted(injector.injected.items()))}", flush=True)
