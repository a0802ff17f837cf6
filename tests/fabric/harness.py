"""A consortium on a Fabric network, of real processes, for a test that does harm to it. See `tests.faults.harness`.

    async with running_consortium(directory) as trial:
        await trial.begin("run", rounds=6)
        ...                                  # kill, freeze, lie
        await trial.prove("run")

To start one takes some seconds, so that tests share one as long as each leaves it as it found it: see `Shared`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from consilo.aggregation import schema_of
from consilo.api.gateway import now_ms
from consilo.api.party import Party
from consilo.api.watch import watch
from consilo.identity.identity import Identity
from consilo.protocol.specification import Specification
from fabric.network import Network
from services.local.consortium import found_hospital, register
from services.local.fabric_foundation import gateway_arguments
from services.local.foundations import Site
from services.local.network import Description
from services.local.processes import Service, Services
from services.local.system import start_ledger, start_members, start_silo, start_site
from tests.fabric import proofs
from tests.faults.harness import API, START_SECONDS, TASK, Options, Trial, free_port, wait_for
from tests.faults.paced import FLOATS
from tests.faults.proofs import check_logs, check_nothing_is_left, log_lines, prove_run

ORGANISATIONS: Final = ("HospitalA", "HospitalB", "HospitalC")
VERIFIER: Final = f"{ORGANISATIONS[-1]}/verifier"
NEWCOMER: Final = "HospitalD"
TASKS: Final = {"paced@1": TASK}
TOLD: Final = "tests.fabric.told_gateway"
SETTLE_SECONDS: Final = 30.0
GATEWAYS: Final = tuple(f"ledger-{msp}" for msp in ORGANISATIONS)


class ReplaceableServices(Services):
    """Services of which each can be started again as another module; gateways do what they are told."""

    def __init__(self, logs: Path, start_timeout_seconds: float, options: Options) -> None:
        super().__init__(logs, start_timeout_seconds, options)
        self._started: dict[str, tuple[str, Mapping[str, str | None]]] = {}

    async def start(self, name: str, module: str, arguments: Mapping[str, str | None]) -> Service:
        module = TOLD if module == "services.ledger" else module
        self._started[name] = (module, arguments)
        return await super().start(name, module, arguments)

    async def start_as(self, name: str, module: str | None = None) -> Service:
        """Start a service that has ended, on its old port, as another module; None: as itself."""
        own, arguments = self._started[name]
        return await super().start(name, module or own, arguments)


@dataclass
class FabricTrial(Trial):
    """A running consortium: an aggregator at HospitalA, a verifier at HospitalC, a silo at each.

    Attributes:
        auditors: of each organisation: may read everything of the runs that `begin` begins.
        network: below it.
        readers: MSP ids of those whose auditors may read all of a run, by the run.
    """

    services: ReplaceableServices
    auditors: dict[str, Identity] = field(default_factory=dict)
    network: Network = None  # type: ignore[assignment]
    readers: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def see(self) -> None:
        """Remember which processes there are."""
        super().see()
        of = self.network.description
        self.pids.update(orderer.pid for orderer in of.orderers)
        self.pids.update(pid for each in of.organisations for pid in (each.peer.pid, each.chaincode.pid))

    @staticmethod
    def now() -> int:
        """The clock, in milliseconds since 1970-01-01 UTC."""
        return now_ms()

    async def party_of(self, msp: str) -> Party:
        """The auditor of an organisation, at its own gateway; connected until the end."""
        party = Party(self.auditors[msp], self.system.gateways[msp], settings=API)
        return await self.stack.enter_async_context(party)

    async def begin(
        self,
        run: str,
        *,
        rounds: int,
        milliseconds: int = 150,
        change: Callable[[Specification], Specification] | None = None,
    ) -> None:
        """Agree on a run of all silos whose updates all auditors may read."""
        readers = tuple(sorted(identity.member for identity in self.auditors.values()))
        self.readers[run] = tuple(self.auditors)

        def changed(agreed: Specification) -> Specification:
            agreed = agreed.model_copy(update={"update_readers": readers, "verifiers": (VERIFIER,)})
            return agreed if change is None else change(agreed)

        await super().begin(run, rounds=rounds, milliseconds=milliseconds, change=changed)

    async def prove(self, run: str) -> None:
        """A finished run is whole, by the word of each of two organisations' ledgers; all gateways show the same.

        Each of its rounds ended in its first attempt: nobody's update was excluded for an organisation that was away.
        """
        await self.until_finished(run)
        first, *_, last = self.readers[run]
        for msp in (first, last):
            await prove_run(self.auditors[msp], self.system.gateways[msp], run, self.runs[run])
        async with AsyncExitStack() as stack:
            parties = [
                await stack.enter_async_context(Party(identity, self.system.gateways[msp], settings=API))
                for msp, identity in self.auditors.items()
            ]
            await proofs.check_all_show_the_same(parties)
            await proofs.check_first_attempts(parties[-1], run, self.runs[run])
            await proofs.check_nothing_is_on_the_ledger_twice(parties[-1])

    @asynccontextmanager
    async def replaced(self, name: str, module: str, **environment: str) -> AsyncIterator[None]:
        """A service is another module for a while, with more in its environment."""
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in environment.items():
                patch.setenv(variable, value)
            await self.service(name).stop()
            await self.services.start_as(name, module)
        self.see()
        try:
            yield
        finally:
            await self.service(name).stop()
            await self.services.start_as(name)
            self.see()

    def tell_at_next_accepted(self, msp: str, kind: str, *victims: int | str) -> None:
        """Have an organisation's gateway kill, as soon as the orderers have accepted its next transaction of a kind."""
        new = self.directory / f"{msp}.new"
        new.write_text(json.dumps({"type": kind, "kill": victims}))
        new.rename(new.with_suffix(".told"))

    async def accepted(self, msp: str) -> dict[str, str]:
        """Of which transaction that was: `id` is Fabric's, `transaction` the protocol's, and its `type`."""
        file = self.directory / f"{msp}.accepted"
        await wait_for(file.exists, f"the gateway of {msp} to hand in a transaction")
        found: dict[str, str] = json.loads(file.read_text())
        file.unlink()
        return found

    async def kill(self, name: str) -> None:
        """Kill a service or a part of the network with -9."""
        await (self.service(name).kill() if name in self.services.running else self.network.kill(name))

    async def start(self, name: str) -> None:
        """Start a service or a part of the network again."""
        await (self.restart(name) if name in self.services.running else self.network.start(name))
        self.see()

    async def until_ended(self, name: str) -> None:
        """Wait until a service that was killed has ended."""
        await wait_for(lambda: self.service(name).pid is None, f"{name} to end")

    async def settled_height(self) -> int:
        """Height of the newest block that any peer has, once HospitalA's gateway shows it; nothing may be ordered."""
        async with Party(self.auditor, self.system.gateway, settings=API) as party:
            async with asyncio.timeout(SETTLE_SECONDS):
                while True:
                    status = await self.network.status()
                    height = max(part.height for part in status.parts if part.height is not None) - 1
                    if (await party.gateway.head()).head.height == height:
                        return height

    async def until_higher_than(self, height: int) -> None:
        """Wait until HospitalA's gateway shows another block."""
        party = Party(self.auditor, self.system.gateway, settings=API)
        async with asyncio.timeout(SETTLE_SECONDS), party, aclosing(watch(party)) as events:
            async for _ in events:
                if (await party.gateway.head()).head.height > height:
                    return

    def lines(self, service: str, event: str) -> list[dict[str, Any]]:
        """The lines of a service's log that tell of one kind of event."""
        return [line for line in log_lines(self.service(service).log) if line["event"] == event]

    async def until_logged(self, services: Sequence[str], event: str, *, since: int) -> None:
        """Wait until these services' logs tell more often of a kind of event than `since` times."""
        await wait_for(
            lambda: sum(len(self.lines(service, event)) for service in services) > since,
            f"{event!r} in the logs of {', '.join(services)}",
        )

    async def until_own_peer_is_followed(self, msp: str) -> None:
        """Wait until an organisation's gateway has its blocks from its own peer."""
        own = f"the peer of {msp} "
        await wait_for(
            lambda: str(self.lines(f"ledger-{msp}", "following")[-1]["peer"]).startswith(own),
            f"the gateway of {msp} to follow its own peer",
        )

    async def join(self, msp: str) -> None:
        """Have an organisation that is on the channel take part: gateway, store, registration, silo."""
        hospital = found_hospital(msp, self.directory / "identities")
        place = self.directory / "sites" / msp
        place.mkdir(parents=True)
        described = Description.model_validate_json(self.network.file.read_bytes())
        site = Site(msp, [hospital], place, gateway_arguments(described, msp, place))
        store = await start_site(self.system, site, "local", None)
        head = await register(hospital, gateway=self.system.gateways[msp], store_host=store.host)
        self.system.hospitals.append(hospital)
        await self.system.all_see(head)
        self.auditors[msp] = hospital.member("viewer", "auditor")
        data = {"samples": 100 + len(self.system.hospitals)}
        await start_silo(self.system, self.directory, hospital, tasks=TASKS, data=data)

    async def check_idle(self) -> None:
        """Everything runs: no test has left its harm behind."""
        self.check_processes()
        status = await self.network.status()
        assert {part.name: part.state for part in status.parts if part.state != "running"} == {}


@asynccontextmanager
async def running_consortium(directory: Path) -> AsyncIterator[FabricTrial]:
    """A consortium of three hospitals; at its end what it leaves behind is checked."""
    (directory / "logs").mkdir()
    names = [f"{kind}-{msp}" for kind in ("ledger", "store", "silo") for msp in (*ORGANISATIONS, NEWCOMER)]
    options: Options = {name: {"port": str(free_port())} for name in names}
    services = ReplaceableServices(directory / "logs", START_SECONDS, options)
    async with AsyncExitStack() as stack:
        environment = stack.enter_context(pytest.MonkeyPatch.context())
        environment.setenv("TOLD_DIRECTORY", str(directory))
        stack.push_async_callback(services.stop)
        system = await start_ledger(len(ORGANISATIONS), directory, services, ledger="fabric")
        auditors = {hospital.msp: hospital.member("viewer", "auditor") for hospital in system.hospitals}
        await start_members(system, directory, tasks=TASKS, data_of=lambda index: {"samples": 100 + index})
        tensors = schema_of({"weights": np.zeros(FLOATS, np.float32)})
        network = Network.load(directory / "network")
        trial = FabricTrial(
            directory,
            services,
            system,
            auditors[ORGANISATIONS[0]],
            tensors,
            stack,
            options,
            auditors=auditors,
            network=network,
        )
        trial.see()
        yield trial
        await trial.check_idle()
        running = dict(services.running)
        await stack.aclose()
        codes = {name: service.exit_code for name, service in running.items()}
        assert set(codes.values()) == {0}, f"exit codes {codes}\n{trial.logs()}"
        check_nothing_is_left(trial.pids)
        check_logs(directory / "logs", trial.expected)
        proofs.check_network_logs(directory / "network" / "logs", trial.expected)


def report(what: str, seconds: float) -> None:
    """Say how long something took, for those who read the output."""
    print(f"RECOVERY {what}: {seconds:.1f} s", flush=True)
