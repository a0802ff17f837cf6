"""The processes of a network, made from its description: what is run, in which environment. Reads certificates."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from fabric.binaries import Binaries, find_binaries
from fabric.description import Description, port_of
from fabric.errors import Impossible
from fabric.layout import PROJECT, Layout
from fabric.names import ROOT_CERTIFICATE, chaincode_name, peer_name, slot_of
from fabric.node_settings import BUILDER_VARIABLES
from fabric.ports import HOST
from fabric.processes import Part

CHAINCODE_COMMAND: Final = (sys.executable, "-m", "chaincode")

_LOG_FORMAT: Final = "%{time:2006-01-02T15:04:05.000Z07:00} %{level} [%{module}] %{message}"


@dataclass(frozen=True)
class Parts:
    """Makes the parts of a network.

    Attributes:
        layout: where the files are.
        chaincode_command: starts a chaincode server; its options are added.
    """

    layout: Layout
    chaincode_command: Sequence[str] = CHAINCODE_COMMAND

    @cached_property
    def binaries(self) -> Binaries:
        """Fabric's programs, looked for when they are needed: to end a network takes none.

        Raises:
            BinariesMissing: they are not there.
        """
        return find_binaries()

    def make(self, description: Description, name: str) -> Part:
        """The part of this name.

        Raises:
            Impossible: there is none.
        """
        parts = description.parts()
        if name not in parts:
            raise Impossible(f"no part {name}; there are {', '.join(parts)}")
        kind, owner = parts[name]
        if kind == "orderer":
            return self.orderer(owner)
        return self.peer(description, owner) if kind == "peer" else self.chaincode(description, owner)

    def orderer(self, name: str) -> Part:
        """An orderer."""
        environment = {**self._fabric_environment(), "FABRIC_CFG_PATH": str(self.layout.orderer(name).settings)}
        return self._part(name, [str(self.binaries.orderer)], environment)

    def peer(self, description: Description, msp: str) -> Part:
        """An organisation's peer."""
        server = description.organisation(msp).chaincode
        builder = {
            slot_of(description.sequence): server.address,
            slot_of(description.sequence + 1): server.other_address,
            ROOT_CERTIFICATE: self.layout.peer_tls_ca(msp).read_text(),
        }
        environment = {
            **self._fabric_environment(),
            "FABRIC_CFG_PATH": str(self.layout.peer(msp).settings),
            BUILDER_VARIABLES: json.dumps(builder, sort_keys=True),
        }
        return self._part(peer_name(msp), [str(self.binaries.peer), "node", "start"], environment)

    def chaincode(self, description: Description, msp: str) -> Part:
        """An organisation's chaincode server, for the package that the description is of."""
        options = {
            "--host": HOST,
            "--port": str(port_of(description.organisation(msp).chaincode.address)),
            "--package-id": description.package_id,
            "--tls-certificate-file": str(self.layout.chaincode_tls(msp) / "server.crt"),
            "--tls-key-file": str(self.layout.chaincode_tls(msp) / "server.key"),
            "--max-clock-difference-seconds": str(description.max_clock_difference_seconds),
        }
        command = [*self.chaincode_command, *(word for option in options.items() for word in option)]
        path = os.pathsep.join(filter(None, (str(PROJECT), os.environ.get("PYTHONPATH"))))
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": path}
        return self._part(chaincode_name(msp, description.sequence), command, environment)

    def _part(self, name: str, command: Sequence[str], environment: dict[str, str]) -> Part:
        return Part(name, command, environment, self.layout.log(name), self.layout.note(name))

    @staticmethod
    def _fabric_environment() -> dict[str, str]:
        # The builder's scripts need PATH; nothing else of this environment is to change what Fabric does.
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "FABRIC_LOGGING_SPEC": "info",
            "FABRIC_LOGGING_FORMAT": _LOG_FORMAT,
        }
