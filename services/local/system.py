"""The services of a consortium on one machine, started in order, and a run of all its members. Starts processes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from consilo.api.party import Party
from consilo.protocol.bodies import ApproveRun, ProposeRun
from consilo.protocol.specification import (
    Artifact,
    SelectAll,
    SiloTerms,
    Specification,
    StrategyReference,
    TaskReference,
    WholeCohort,
)
from consilo.protocol.tensors import TensorSchema
from services.local.consortium import Hospital, found_hospitals, register, write_genesis
from services.local.processes import Services
from services.local.stores import StoreKind, start_store

MAX_SAMPLES: Final = 100_000
GRACE_MS: Final = 5_000
DEADLINE_MS: Final = 60_000


@dataclass
class System:
    """The running system: who takes part, and where the services are."""

    hospitals: list[Hospital]
    services: Services
    gateway: str
    silo_urls: dict[str, str] = field(default_factory=dict)

    @property
    def first(self) -> Hospital:
        """The hospital that proposes the run and whose aggregator makes the globals."""
        return self.hospitals[0]

    @property
    def last(self) -> Hospital:
        """The hospital whose verifier checks them."""
        return self.hospitals[-1]


async def start_ledger(
    hospitals: int,
    directory: Path,
    services: Services,
    *,
    store: StoreKind = "local",
    store_url: str | None = None,
) -> System:
    """Found the hospitals, start store and ledger service, register the hospitals.

    Args:
        hospitals: how many.
        directory: of what they keep.
        services: takes the processes.
        store: kind of the object store.
        store_url: base URL by which the store is reached; default: its own.
    """
    founded = found_hospitals(hospitals, directory / "identities")
    genesis = directory / "genesis.json"
    write_genesis(founded, genesis)
    founded[0].member("gateway", "gateway")
    place = await start_store(store, directory, services, store_url=store_url)
    ledger = await services.start(
        "ledger",
        "services.ledger",
        {
            "port": "0",
            "identity": str(founded[0].path("gateway")),
            "organisations": json.dumps([hospital.msp for hospital in founded]),
            "embedded.file": str(directory / "ledger.sqlite"),
            "embedded.genesis-file": str(genesis),
            **place.ledger_arguments,
        },
    )
    for hospital in founded:
        await register(hospital, gateway=ledger.url, store_host=place.host)
    return System(founded, services, ledger.url)


async def start_members(
    system: System,
    directory: Path,
    *,
    tasks: Mapping[str, str],
    data_of: Callable[[int], Mapping[str, object]],
    evaluate: bool = True,
) -> None:
    """Start aggregator, verifier and silos.

    Args:
        system: with a running ledger.
        directory: of what they keep.
        tasks: `name@version` -> `module:Class`, installed at every silo.
        data_of: what the operator of the silo with this index tells its task about the data.
        evaluate: whether silos evaluate globals.
    """
    system.first.member("aggregator", "aggregator")
    system.last.member("verifier", "verifier")
    services = system.services

    def member(hospital: Hospital, name: str) -> dict[str, str]:
        return {"identity": str(hospital.path(name)), "gateway-url": system.gateway}

    async def silo(index: int, hospital: Hospital) -> None:
        service = await services.start(
            f"silo-{hospital.msp}",
            "services.client",
            {
                **member(hospital, "silo"),
                "port": "0",
                "work-directory": str(directory / "silos" / hospital.msp),
                "tasks": json.dumps(dict(tasks)),
                "data": json.dumps(data_of(index)),
                "evaluate" if evaluate else "no-evaluate": None,
            },
        )
        system.silo_urls[hospital.silo.member] = service.url

    await asyncio.gather(
        services.start(
            "aggregator",
            "services.aggregator",
            {**member(system.first, "aggregator"), "state-directory": str(directory / "aggregator")},
        ),
        services.start(
            "verifier",
            "services.verifier",
            {**member(system.last, "verifier"), "state-directory": str(directory / "verifier")},
        ),
        *(silo(index, hospital) for index, hospital in enumerate(system.hospitals)),
    )


async def propose(system: System, run: str, specification: Specification) -> None:
    """Propose a run at the first hospital, and approve it at all the others."""
    async with Party(system.first.operator, system.gateway) as party:
        await party.metadata_publish(ProposeRun(run=run, specification=specification))
    for hospital in system.hospitals[1:]:
        async with Party(hospital.operator, system.gateway) as party:
            await party.metadata_publish(ApproveRun(run=run, specification=specification.digest()))


def specification(
    system: System, *, task: TaskReference, tensors: TensorSchema, initial: Artifact, rounds: int
) -> Specification:
    """A run of all the hospitals: every silo is waited for, but one may be missing after the grace or deadline."""
    silos = len(system.hospitals)
    return Specification(
        task=task,
        initial=initial,
        tensors=tensors,
        organisations=tuple(hospital.msp for hospital in system.hospitals),
        silos=tuple(SiloTerms(member=h.silo.member, max_samples=MAX_SAMPLES) for h in system.hospitals),
        aggregators=(f"{system.first.msp}/aggregator",),
        verifiers=(f"{system.last.msp}/verifier",),
        update_readers=(f"{system.first.msp}/auditor",),
        rounds=rounds,
        cohort=WholeCohort(kind="all"),
        threshold=silos,
        minimum=max(1, silos - 1),
        grace_ms=GRACE_MS,
        deadline_ms=DEADLINE_MS,
        selection=SelectAll(policy="all"),
        strategy=StrategyReference(name="fedavg", version=1, parameters={}),
        approvals_required=silos,
        attestations_required=0,
        mismatches_to_annul=1,
        retention_rounds=None,
    )
