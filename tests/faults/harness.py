"""A whole system of real processes for a test that does harm to it: started, given runs, waited for, ended.

    async with running_system(directory) as trial:
        await trial.begin("run", rounds=6)
        ...                                  # kill, freeze, fill
        await trial.until_finished("run")
        await trial.prove("run", rounds=6)   # see proofs.py

Whatever a process prints on its way is looked at when the system ends: a traceback or a text that is no log line fails
the test, as does a process that is still there.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import random
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

import numpy as np

from benchmarks.memory import children
from consilo.aggregation import schema_of, write_artifact
from consilo.api.party import Party
from consilo.api.settings import ApiSettings
from consilo.api.watch import watch
from consilo.identity.identity import Identity
from consilo.protocol.specification import Specification, TaskReference
from consilo.protocol.tensors import TensorSchema
from consilo.protocol.views import RunStatus
from services.local.processes import Service, Services
from services.local.system import System, propose, specification, start_ledger, start_members
from tests.faults import proofs
from tests.faults.paced import FLOATS

START_SECONDS: Final = 60.0
RUN_SECONDS: Final = 80.0
SILOS: Final = 2
TASK: Final = "tests.faults.paced:Paced"
MEMBERS: Final = ("silo-HospitalA", "silo-HospitalB")
API: Final = ApiSettings(backoff_longest_seconds=0.5)

Options = Mapping[str, Mapping[str, str | None]]


@dataclass
class Trial:
    """A running system.

    Attributes:
        directory: of all that it keeps.
        system: its members and addresses.
        pids: of every process that was ever seen to belong to it.
        expected: texts of log lines that the test brings about; others of their kind fail it.
    """

    directory: Path
    services: Services
    system: System
    auditor: Identity
    tensors: TensorSchema
    stack: AsyncExitStack
    options: Options
    pids: set[int] = field(default_factory=set)
    expected: list[str] = field(default_factory=list)
    runs: dict[str, int] = field(default_factory=dict)

    @property
    def ledger_file(self) -> Path:
        """The ledger's file."""
        return Path(self.options.get("ledger", {}).get("embedded.file") or self.directory / "ledger.sqlite")

    def service(self, name: str) -> Service:
        """A service: `ledger`, `store`, `aggregator`, `verifier`, `silo-HospitalA`, ..."""
        return self.services.running[name]

    def worker(self, silo: str) -> int | None:
        """Process id of a silo's training worker, if it has one."""
        self.see()
        pid = self.service(silo).pid
        return next(iter(children(pid)), None) if pid is not None else None

    def see(self) -> None:
        """Remember which processes there are."""
        for service in self.services.running.values():
            if service.pid is not None:
                self.pids.update({service.pid, *_children(service.pid)})

    async def restart(self, name: str) -> None:
        """Start a service again."""
        await self.service(name).restart(START_SECONDS)
        self.see()

    async def party(self, identity: Identity | None = None) -> Party:
        """A member, connected until the end: the auditor, unless another is given."""
        party = Party(identity or self.auditor, self.system.gateway, settings=API)
        return await self.stack.enter_async_context(party)

    async def begin(
        self,
        run: str,
        *,
        rounds: int,
        milliseconds: int = 150,
        change: Callable[[Specification], Specification] | None = None,
    ) -> None:
        """Agree on a run of all silos, in which each training takes so long."""
        initial = self.directory / f"{run}.safetensors"
        write_artifact(initial, self.tensors, {"weights": np.zeros(FLOATS, np.float32)})
        async with Party(self.system.first.operator, self.system.gateway, settings=API) as party:
            artifact = await party.data_put(run, initial)
        task = TaskReference(name="paced", version="1", parameters={"milliseconds": milliseconds})
        agreed = specification(self.system, task=task, tensors=self.tensors, initial=artifact, rounds=rounds)
        self.runs[run] = rounds
        await propose(self.system, run, agreed if change is None else change(agreed))

    async def until(
        self, run: str, condition: Callable[[RunStatus], bool], *, seconds: float = RUN_SECONDS
    ) -> RunStatus:
        """Wait until the run stands so, whatever happens to the ledger service meanwhile."""
        status: RunStatus | None = None
        party = Party(self.auditor, self.system.gateway, settings=API)
        try:
            async with asyncio.timeout(seconds), party, aclosing(watch(party)) as events:
                async for _ in events:
                    status = await party.metadata_get(run)
                    if condition(status):
                        return status
        except TimeoutError:
            raise AssertionError(f"after {seconds:.0f} s run {run} stands so: {status}\n{self.logs()}") from None
        raise AssertionError("the event stream ended")

    async def until_finished(self, run: str, *, seconds: float = RUN_SECONDS) -> RunStatus:
        """Wait until the run has ended by itself."""
        return await self.until(run, lambda status: status.state == "finished", seconds=seconds)

    async def until_global(self, run: str, round_number: int) -> RunStatus:
        """Wait until there is this global."""
        return await self.until(run, lambda status: status.latest is not None and status.latest.round >= round_number)

    async def prove(self, run: str) -> None:
        """A finished run is whole, by the word of ledger, store and verifier: see `proofs.prove_run`."""
        await self.until_finished(run)
        await proofs.prove_run(self.auditor, self.system.gateway, run, self.runs[run])

    async def status_of(self, silo: str) -> dict[str, Any]:
        """What a silo's page says that it is doing in its newest run; empty when it is in none."""

        def read() -> dict[str, Any]:
            with urlopen(self.service(silo).url + "/v1/status", timeout=5) as answer:
                runs: list[dict[str, Any]] = json.load(answer)["runs"]
            return runs[-1] if runs else {}

        return await asyncio.to_thread(read)

    async def until_silo(self, silo: str, phase: str, *, seconds: float = 30.0) -> None:
        """Wait until a silo is in this phase of its newest run."""
        deadline = time.monotonic() + seconds
        while (await self.status_of(silo)).get("phase") != phase:
            assert time.monotonic() < deadline, f"{silo} is not {phase}\n{self.logs()}"
            await asyncio.sleep(0.02)

    def logs(self, characters: int = 2500) -> str:
        """The end of every log."""
        files = sorted((self.directory / "logs").iterdir())
        return "\n".join(f"--- {file.name}\n{file.read_text(errors='replace')[-characters:]}" for file in files)

    def check_processes(self, *, but: str | None = None) -> None:
        """All services run, but one that the test has ended."""
        self.see()
        ended = [name for name, service in self.services.running.items() if service.pid is None and name != but]
        assert not ended, f"ended by themselves: {ended}\n{self.logs()}"


class _Services(Services):
    """Services of which some run another module."""

    modules: Mapping[str, str]

    async def start(self, name: str, module: str, arguments: Mapping[str, str | None]) -> Service:
        return await super().start(name, self.modules.get(module, module), arguments)


@asynccontextmanager
async def running_system(
    directory: Path,
    *,
    options: Options | None = None,
    modules: Mapping[str, str] | None = None,
    store_url: str | None = None,
) -> AsyncIterator[Trial]:
    """A system of two hospitals, each with a silo; at its end what it leaves behind is checked.

    Args:
        directory: of all that it keeps.
        options: for `Services`.
        modules: what is run instead of a service's own module, by that.
        store_url: where the store is reached; default: its own address.
    """
    (directory / "logs").mkdir()
    given = options or {}
    with_ports = {name: {"port": str(free_port()), **given.get(name, {})} for name in ("store", "ledger", *MEMBERS)}
    services = _Services(directory / "logs", START_SECONDS, {**given, **with_ports})
    services.modules = modules or {}
    async with AsyncExitStack() as stack:
        stack.push_async_callback(services.stop)
        system = await start_ledger(SILOS, directory, services, store_url=store_url)
        await start_members(system, directory, tasks={"paced@1": TASK}, data_of=lambda index: {"samples": 100 + index})
        auditor = system.first.member("viewer", "auditor")
        tensors = schema_of({"weights": np.zeros(FLOATS, np.float32)})
        trial = Trial(directory, services, system, auditor, tensors, stack, given)
        trial.see()
        yield trial
        trial.check_processes()
        names = dict(services.running)
        await stack.aclose()
        codes = {name: service.exit_code for name, service in names.items()}
        assert set(codes.values()) == {0}, f"exit codes {codes}\n{trial.logs()}"
        proofs.check_nothing_is_left(trial.pids)
        proofs.check_logs(directory / "logs", trial.expected)
        proofs.check_ledger_file(trial.ledger_file, trial.runs)


def free_port() -> int:
    """A port that nobody listens on, and that the kernel gives to no client.

    One from the kernel's own range would not do: while its service is down, a client that connects to it again and
    again can be given that very port, and then talks to itself. No port is given twice, not even to another process
    of tests: each is locked until the process that got it ends.
    """
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    generator = random.SystemRandom()
    locks = Path(tempfile.gettempdir()) / "consilo-test-ports"
    locks.mkdir(exist_ok=True)
    for _ in range(1000):
        port = generator.randrange(10_000, lowest)
        lock = os.open(locks / str(port), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as trying:
                trying.bind(("127.0.0.1", port))
        except OSError:
            os.close(lock)
            continue
        return port
    raise AssertionError("no free port")


async def wait_for(condition: Callable[[], bool], what: str, *, seconds: float = 30.0) -> None:
    """Wait for what no event tells of."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain for {what}"
        await asyncio.sleep(0.02)


def _children(pid: int) -> list[int]:
    try:
        return children(pid)
    except OSError:  # it has just ended
        return []
