"""The services of a consortium on one machine, started in order, and a run of all its members. Starts processes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from consilo.api.errors import GatewayUnavailable
from consilo.api.models import Head
from consilo.api.party import Party
from consilo.api.patience import Patience
from consilo.api.settings import ApiSettings
from consilo.identity.identity import Identity
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
from services.local.consortium import Hospital, found_hospitals, register
from services.local.embedded_foundation import EmbeddedFoundation
from services.local.fabric_foundation import FabricFoundation
from services.local.foundations import Foundation, LedgerKind, Note, Site
from services.local.processes import Service, Services
from services.local.stores import StoreKind, StorePlace, start_store
from services.local.together import together

MAX_SAMPLES: Final = 100_000
GRACE_MS: Final = 5_000
DEADLINE_MS: Final = 60_000
CATCH_UP_SECONDS: Final = 60.0
"""How long a gateway may take to see what another one has seen."""


@dataclass
class System:
    """The running system: who takes part, and where the services are.

    Attributes:
        hospitals: in the order of their names.
        services: the processes of Consilo.
        foundation: the ledger below them.
        gateways: base URL of each hospital's gateway, by its MSP id.
        silo_urls: of each silo's status page, by its member.
    """

    hospitals: list[Hospital]
    services: Services
    foundation: Foundation
    gateways: dict[str, str]
    silo_urls: dict[str, str] = field(default_factory=dict)

    @property
    def first(self) -> Hospital:
        """The hospital that proposes the run and whose aggregator makes the globals."""
        return self.hospitals[0]

    @property
    def last(self) -> Hospital:
        """The hospital whose verifier checks them."""
        return self.hospitals[-1]

    @property
    def gateway(self) -> str:
        """The first hospital's gateway."""
        return self.gateways[self.first.msp]

    def party(self, identity: Identity) -> Party:
        """A member, at the gateway of its organisation."""
        return Party(identity, self.gateways[identity.msp])

    async def all_see(self, head: Head) -> None:
        """Return when every gateway has come as far as this block.

        Raises:
            GatewayUnavailable: one has not.
        """
        patience = Patience(ApiSettings(), CATCH_UP_SECONDS)

        async def wait(hospital: Hospital) -> None:
            async with self.party(hospital.operator) as party:
                await patience("see the newest block", lambda: look(party))

        async def look(party: Party) -> None:
            if (await party.gateway.head()).head.height < head.height:
                raise GatewayUnavailable(f"{party.gateway.url} has not seen block {head.height} yet")

        one_of_each_gateway = {self.gateways[hospital.msp]: hospital for hospital in self.hospitals}
        await together(map(wait, one_of_each_gateway.values()))


async def start_ledger(
    hospitals: int,
    directory: Path,
    services: Services,
    *,
    ledger: LedgerKind = "embedded",
    network_options: Sequence[str] = (),
    store: StoreKind = "local",
    store_url: str | None = None,
    note: Note = lambda _: None,
) -> System:
    """Found the hospitals, make the ledger, start gateways and stores, register the hospitals.

    Args:
        hospitals: how many.
        directory: of what they keep.
        services: takes the processes, and ends what they stand on.
        ledger: kind of the ledger. A Fabric network is in `directory / "network"`.
        network_options: further options of `python -m fabric up`, e.g. `("--orderers", "3")`.
        store: kind of the object stores.
        store_url: base URL by which the store is reached, where there is one for all; default: its own.
        note: hears what is being done.

    Raises:
        ServiceFailed: something did not start.
    """
    founded = found_hospitals(hospitals, directory / "identities")
    foundation: Foundation = (
        FabricFoundation(directory, services, network_options) if ledger == "fabric" else EmbeddedFoundation(directory)
    )
    system = System(founded, services, foundation, {})
    sites = await foundation.lay(founded, note)
    places = await together(start_site(system, site, store, store_url) for site in sites)
    note("registering the hospitals")
    registered = await together(
        register(hospital, gateway=system.gateways[hospital.msp], store_host=place.host)
        for site, place in zip(sites, places, strict=True)
        for hospital in site.hospitals
    )
    await system.all_see(max(registered, key=lambda head: head.height))
    return system


async def start_site(system: System, site: Site, store: StoreKind, store_url: str | None) -> StorePlace:
    """Start the store and the gateway of a site."""
    hospital = site.hospitals[0]
    hospital.member("gateway", "gateway")
    place = await start_store(store, site.service("store"), site.directory, system.services, store_url=store_url)
    gateway = await system.services.start(
        site.service("ledger"),
        "services.ledger",
        {
            "port": "0",
            "identity": str(hospital.path("gateway")),
            "organisations": json.dumps([served.msp for served in site.hospitals]),
            **site.ledger_arguments,
            **place.ledger_arguments,
        },
    )
    system.gateways |= {served.msp: gateway.url for served in site.hospitals}
    return place


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
    starting = [
        services.start(
            "aggregator",
            "services.aggregator",
            {**_member(system, system.first, "aggregator"), "state-directory": str(directory / "aggregator")},
        ),
        services.start(
            "verifier",
            "services.verifier",
            {**_member(system, system.last, "verifier"), "state-directory": str(directory / "verifier")},
        ),
        *(
            start_silo(system, directory, hospital, tasks=tasks, data=data_of(index), evaluate=evaluate)
            for index, hospital in enumerate(system.hospitals)
        ),
    ]
    await together(starting)


async def start_silo(
    system: System,
    directory: Path,
    hospital: Hospital,
    *,
    tasks: Mapping[str, str],
    data: Mapping[str, object],
    evaluate: bool = True,
) -> Service:
    """Start a hospital's silo.

    Args:
        system: with a running gateway of the hospital.
        directory: of what silos keep.
        hospital: whose silo it is.
        tasks: `name@version` -> `module:Class`, installed there.
        data: what its operator tells its task about the data.
        evaluate: whether it evaluates globals.
    """
    service = await system.services.start(
        f"silo-{hospital.msp}",
        "services.client",
        {
            **_member(system, hospital, "silo"),
            "port": "0",
            "work-directory": str(directory / "silos" / hospital.msp),
            "tasks": json.dumps(dict(tasks)),
            "data": json.dumps(data),
            "evaluate" if evaluate else "no-evaluate": None,
        },
    )
    system.silo_urls[hospital.silo.member] = service.url
    return service


def _member(system: System, hospital: Hospital, name: str) -> dict[str, str | None]:
    return {"identity": str(hospital.path(name)), "gateway-url": system.gateways[hospital.msp]}


async def propose(system: System, run: str, specification: Specification) -> None:
    """Propose a run and have it approved by all at once, without waiting for any silo."""
    await propose_run(system, run, specification)
    await approve_run(system, run, specification)


async def propose_run(system: System, run: str, specification: Specification) -> None:
    """Propose a run at the first hospital. It is active once the others have approved it."""
    async with system.party(system.first.operator) as party:
        proposed = await party.metadata_publish(ProposeRun(run=run, specification=specification))
    await system.all_see(proposed.head.head)


async def approve_run(system: System, run: str, specification: Specification) -> None:
    """Approve a proposed run at all the other hospitals."""
    for hospital in system.hospitals[1:]:
        async with system.party(hospital.operator) as party:
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
