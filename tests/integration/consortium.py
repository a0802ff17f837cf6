"""A small consortium of real processes: an embedded ledger's service, a store, and members with real identities.

Three organisations share one ledger service and one store, all on free ports of 127.0.0.1. The tests act for silos and
operators through `Party`; other services are started with `Consortium.service`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from consilo.api.gateway import now_ms
from consilo.api.party import Party
from consilo.api.settings import ApiSettings
from consilo.api.watch import watch
from consilo.embedded.blocks import Genesis
from consilo.identity.authority import Authority
from consilo.identity.identity import Identity
from consilo.protocol.bodies import RegisterOrganisation
from consilo.protocol.certificates import ROLES, roots_digest
from consilo.protocol.values import Role, organisation_of
from consilo.protocol.views import RunStatus

ORGANISATIONS: Final = ("HospitalA", "HospitalB", "HospitalC")
DEADLINE_SECONDS: Final = 30.0
API_SETTINGS: Final = ApiSettings(backoff_longest_seconds=0.5)


@dataclass
class Service:
    """A running service.

    Attributes:
        process: its process.
        facts: what it announced when it was ready.
        log_file: what it writes to standard error; appended to by restarts of the same name.
    """

    process: subprocess.Popen[bytes]
    facts: dict[str, str]
    log_file: Path

    @property
    def url(self) -> str:
        return self.facts["url"]

    def log(self) -> str:
        return self.log_file.read_text()

    def events(self, name: str) -> list[dict[str, object]]:
        """Lines of the log whose event is `name`."""
        lines = (json.loads(line) for line in self.log().splitlines() if line.startswith("{"))
        return [line for line in lines if line["event"] == name]

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """For the block it does nothing; connections to it are accepted by the kernel all the same."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Tell it to end, and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_SECONDS)

    def kill(self) -> None:
        """End it at once, with -9."""
        self.process.kill()
        self.process.wait(DEADLINE_SECONDS)

    def peak_bytes(self) -> int:
        """The most memory that it had so far (VmHWM)."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("the kernel does not tell the peak of memory")


@contextmanager
def service(module: str, environment: dict[str, str], log_file: Path) -> Iterator[Service]:
    """Run `python -m <module>` from its announcement on until the end of the block."""
    with (
        log_file.open("ab") as log,
        subprocess.Popen(
            [sys.executable, "-m", module],
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, **environment},
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, f"{module} did not start: {log_file.read_text()}"
            yield Service(process, json.loads(line), log_file)
        finally:
            if process.poll() is None:
                process.kill()


@dataclass
class Consortium:
    """Everything that runs, and everybody's keys.

    Attributes:
        directory: of all files.
        ledger: the ledger service, gateway of all organisations.
        store: the store service of all organisations.
    """

    directory: Path
    ledger: Service
    store: Service
    authorities: dict[str, Authority]
    _start_ledger: Callable[[str], Service]
    _identities: dict[str, Identity] = field(default_factory=dict)

    @property
    def objects(self) -> Path:
        """The store's directory."""
        return self.directory / "objects"

    def identity(self, member: str) -> Identity:
        """A member's identity, issued when first asked for; also saved to its directory."""
        if member not in self._identities:
            issued = issue(self.authorities, member)
            issued.save(self.identity_directory(member))
            self._identities[member] = issued
        return self._identities[member]

    def identity_directory(self, member: str) -> Path:
        """Where a member's keys are."""
        return self.directory / "identities" / member

    @asynccontextmanager
    async def party(self, member: str, *, registered: bool = True) -> AsyncIterator[Party]:
        """A connected member."""
        identity = self.identity(member)
        async with Party(identity, self.ledger.url, settings=API_SETTINGS, registered=registered) as party:
            yield party

    @contextmanager
    def service(self, name: str, member: str, **settings: object) -> Iterator[Service]:
        """Run a service that is a member: `services.<name>`, with further settings of its own.

        Settings are given by their names (`block_bytes=...`); nested ones with two underscores. `module` names what is
        run instead of the service's own module.
        """
        module = settings.pop("module", f"services.{name}")
        self.identity(member)
        prefix = f"CONSILO_{name.upper()}_"
        values: dict[str, object] = {
            "identity": self.identity_directory(member),
            "gateway_url": self.ledger.url,
            "state_directory": self.directory / "state" / member,
            "log_format": "json",
            "api__backoff_longest_seconds": 0.5,
            **settings,
        }
        environment = {
            prefix + key.upper(): json.dumps(value) if isinstance(value, list | tuple) else str(value)
            for key, value in values.items()
        }
        log_file = self.directory / f"{name}-{member.replace('/', '-')}-{secrets.token_hex(4)}.log"
        with service(str(module), environment, log_file) as running:
            yield running

    def restart_ledger(self) -> None:
        """Kill the ledger service, and start it again at the same address."""
        port = self.ledger.url.rpartition(":")[2]
        self.ledger.kill()
        self.ledger = self._start_ledger(port)

    def object_path(self, key: str) -> Path:
        """The file of an object in the store."""
        found = [path for path in self.objects.rglob("*") if path.is_file() and str(path).endswith(key)]
        assert len(found) == 1, f"{len(found)} files for the object {key}"
        return found[0]


def issue(authorities: dict[str, Authority], member: str) -> Identity:
    """A certificate for a member whose name starts with its role (`silo-2`); any other is a viewer."""
    msp, name = member.split("/", 1)
    word = name.split("-")[0]
    role: Role = word if word in ROLES else "viewer"
    return authorities[msp].issue(role, name, now=now_ms())


@contextmanager
def running_consortium(
    directory: Path, *, registered: Sequence[str] = ORGANISATIONS, **ledger_settings: object
) -> Iterator[Consortium]:
    """A consortium whose organisations are registered (unless said otherwise) and which has no run yet.

    Settings of the ledger service may be given by their names (`heartbeat_seconds=0.2`); nested ones with two
    underscores.
    """
    authorities = {msp: Authority.create(msp, now=now_ms()) for msp in ORGANISATIONS}
    secret = directory / "store-secret"
    secret.write_text(secrets.token_hex(32) + "\n")
    genesis = Genesis(
        ledger="test-ledger",
        organisations={msp: roots_digest(authority.roots) for msp, authority in authorities.items()},
        created_at=now_ms(),
    )
    (directory / "genesis.json").write_bytes(genesis.encode())
    issue(authorities, "HospitalA/gateway").save(directory / "gateway")
    store_environment = {
        "CONSILO_STORE_DIRECTORY": str(directory / "objects"),
        "CONSILO_STORE_SECRET_FILE": str(secret),
        "CONSILO_STORE_PORT": "0",
        "CONSILO_STORE_FSYNC": "false",
    }
    with ExitStack() as stack:
        store = stack.enter_context(service("services.store", store_environment, directory / "store.log"))
        ledger_environment = {
            "CONSILO_LEDGER_IDENTITY": str(directory / "gateway"),
            "CONSILO_LEDGER_ORGANISATIONS": json.dumps(ORGANISATIONS),
            "CONSILO_LEDGER_EMBEDDED__FILE": str(directory / "ledger.sqlite"),
            "CONSILO_LEDGER_EMBEDDED__GENESIS_FILE": str(directory / "genesis.json"),
            "CONSILO_LEDGER_STORE__URL": store.url,
            "CONSILO_LEDGER_STORE__SECRET_FILE": str(secret),
            **{f"CONSILO_LEDGER_{name.upper()}": str(value) for name, value in ledger_settings.items()},
        }

        def start_ledger(port: str) -> Service:
            environment = {**ledger_environment, "CONSILO_LEDGER_PORT": port}
            return stack.enter_context(service("services.ledger", environment, directory / "ledger.log"))

        consortium = Consortium(directory, start_ledger("0"), store, authorities, start_ledger)
        asyncio.run(register(consortium, registered))
        yield consortium


async def register(consortium: Consortium, organisations: Sequence[str]) -> None:
    """Put organisations on the ledger, each by its operator."""
    for msp in organisations:
        async with consortium.party(f"{msp}/operator", registered=False) as operator:
            await operator.metadata_publish(
                RegisterOrganisation(
                    version=1,
                    roots=tuple(base64.b64encode(root).decode() for root in consortium.authorities[msp].roots),
                    gateway=consortium.ledger.url,
                    stores=(consortium.store.url.removeprefix("http://"),),
                )
            )


async def until(
    party: Party, run: str, condition: Callable[[RunStatus], bool], *, seconds: float = DEADLINE_SECONDS
) -> RunStatus:
    """Wait until a run stands so, looking whenever something happened in it; returns where it stands then."""
    async with asyncio.timeout(seconds), aclosing(watch(party, run)) as events:
        async for _ in events:
            status = await party.metadata_get(run)
            if condition(status):
                return status
    raise AssertionError("an event stream does not end")


async def until_true(condition: Callable[[], bool], what: str) -> None:
    """Wait for what another process does and tells nobody."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited {DEADLINE_SECONDS} s for {what}"
        await asyncio.sleep(0.01)


__all__ = [
    "API_SETTINGS",
    "DEADLINE_SECONDS",
    "ORGANISATIONS",
    "Consortium",
    "Service",
    "organisation_of",
    "register",
    "running_consortium",
    "until",
    "until_true",
]
