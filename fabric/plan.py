"""The plan of a network, and its layout before anything is started: names, files, ports. Chooses ports."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from consilo.fabric.package import Package, placeholder, service_package
from consilo.protocol.values import MSP_PATTERN
from fabric.channel import ORDERER_MSP
from fabric.description import Admin, ChaincodeServer, Client, Description, OrdererNode, Organisation, PeerNode
from fabric.errors import Impossible
from fabric.layout import Layout
from fabric.names import ROOT_CERTIFICATE, chaincode_name, peer_name, slot_of
from fabric.ports import HOST, PortLocks

CHAINCODE: Final = "consilo"
"""Name of the chaincode, and so of the state's namespace."""

_CHANNEL: Final = re.compile(r"[a-z0-9][a-z0-9.\-]{0,248}")

MAX_ORDERERS: Final = 9
DEFAULT_ORGANISATIONS: Final = ("HospitalA", "HospitalB", "HospitalC")


@dataclass(frozen=True)
class Wanted:
    """What network is wanted; None: as it is, and of a new one the default.

    Attributes:
        organisations: their MSP ids; of a network that there is, it has these and perhaps more.
        orderers: how many; Raft bears the loss of fewer than half.
        channel: its name, and so the ledger's.
        batch_timeout_ms: how long an orderer waits for more transactions before it cuts a block.
        max_clock_difference_seconds: how far a transaction's time may be from a chaincode server's clock.

    Raises:
        Impossible: there can be no such network.
    """

    organisations: Sequence[str] | None = None
    orderers: int | None = None
    channel: str | None = None
    batch_timeout_ms: int | None = None
    max_clock_difference_seconds: float | None = None

    def __post_init__(self) -> None:
        for msp in self.organisations or ():
            check_msp(msp)
        if self.organisations is not None and len(set(self.organisations)) != len(self.organisations):
            raise Impossible(f"an organisation is named twice: {', '.join(self.organisations)}")
        if self.organisations is not None and not self.organisations:
            raise Impossible("a network needs an organisation")
        if self.orderers is not None and not 1 <= self.orderers <= MAX_ORDERERS:
            raise Impossible(f"a network has 1 to {MAX_ORDERERS} orderers, not {self.orderers}")
        if self.channel is not None and not _CHANNEL.fullmatch(self.channel):
            raise Impossible(f"{self.channel!r} cannot be a channel: small letters, digits, dots and dashes")
        if self.batch_timeout_ms is not None and self.batch_timeout_ms < 1:
            raise Impossible("batch_timeout_ms must be at least 1")
        if self.max_clock_difference_seconds is not None and not 0 < self.max_clock_difference_seconds < math.inf:
            raise Impossible("max_clock_difference_seconds must be a number above 0")

    def differences(self, description: Description) -> list[str]:
        """In which respects a network is not as wanted, each as a sentence."""
        there = [organisation.msp for organisation in description.organisations]
        missing = [msp for msp in self.organisations or () if msp not in there]
        found = [f"its organisations are {', '.join(there)}, without {', '.join(missing)}"] if missing else []
        for name, wanted, actual in (
            ("orderers", self.orderers, len(description.orderers)),
            ("channel", self.channel, description.channel),
            ("batch_timeout_ms", self.batch_timeout_ms, description.batch_timeout_ms),
            (
                "max_clock_difference_seconds",
                self.max_clock_difference_seconds,
                description.max_clock_difference_seconds,
            ),
        ):
            if wanted is not None and wanted != actual:
                found.append(f"{name} is {actual}, not {wanted}")
        return found


def check_msp(msp: str) -> None:
    """Check that an organisation can have this MSP id.

    Raises:
        Impossible: it cannot.
    """
    if not re.fullmatch(MSP_PATTERN, msp):
        raise Impossible(f"{msp!r} cannot be an MSP id: letters, digits, dots and dashes, at most 64")
    if msp == ORDERER_MSP:
        raise Impossible(f"{ORDERER_MSP} is the MSP id of the orderers' organisation: choose another")


def describe(wanted: Wanted, layout: Layout, locks: PortLocks) -> Description:
    """Lay out the network: names, files, and ports that are free; no process has started."""

    def address() -> str:
        return f"{HOST}:{locks.choose()}"

    names = [f"orderer{index}" for index in range(wanted.orderers or 1)]
    orderers = tuple(
        OrdererNode(
            name=name,
            address=address(),
            admin_address=address(),
            operations_url=f"http://{address()}",
            pid=0,
            log=layout.log(name),
        )
        for name in names
    )
    return Description(
        channel=wanted.channel or "consilo",
        chaincode=CHAINCODE,
        package_id=package_of(CHAINCODE, 1).id,
        sequence=1,
        batch_timeout_ms=wanted.batch_timeout_ms or 20,
        max_clock_difference_seconds=wanted.max_clock_difference_seconds or 60.0,
        orderers=orderers,
        organisations=tuple(
            describe_organisation(msp, 1, layout, locks) for msp in wanted.organisations or DEFAULT_ORGANISATIONS
        ),
    )


def describe_organisation(msp: str, sequence: int, layout: Layout, locks: PortLocks) -> Organisation:
    """Lay out an organisation, with ports that are free."""

    def address() -> str:
        return f"{HOST}:{locks.choose()}"

    client = layout.client(msp)
    return Organisation(
        msp=msp,
        peer=PeerNode(
            address=address(),
            chaincode_listen_address=address(),
            tls_ca_file=layout.peer_tls_ca(msp),
            operations_url=f"http://{address()}",
            pid=0,
            log=layout.log(peer_name(msp)),
        ),
        chaincode=ChaincodeServer(
            address=address(),
            other_address=address(),
            pid=0,
            log=layout.log(chaincode_name(msp, sequence)),
        ),
        client=Client(certificate_file=client.certificate, key_file=client.key),
        admin=Admin(msp_directory=layout.admin(msp).msp),
    )


def package_of(chaincode: str, sequence: int) -> Package:
    """The package that is deployed under a sequence: one for all peers, each of which knows its own server."""
    return service_package(f"{chaincode}_{sequence}", placeholder(slot_of(sequence)), placeholder(ROOT_CERTIFICATE))
