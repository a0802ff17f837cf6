"""Where Fabric's programs are: in the directory that `FABRIC_BIN` names, else on PATH. Reads the environment."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fabric.errors import BinariesMissing

TOOLS: Final = ("configtxgen", "cryptogen", "osnadmin", "peer")
"""What making and changing a network needs, wherever its nodes run."""

PROGRAMS: Final = tuple(sorted((*TOOLS, "orderer")))
"""What a network on this machine needs; all of them are in Fabric's release archive."""


@dataclass(frozen=True)
class Tools:
    """Paths of the programs that a network is made and changed with."""

    configtxgen: Path
    cryptogen: Path
    osnadmin: Path
    peer: Path


@dataclass(frozen=True)
class Binaries(Tools):
    """Paths of all programs, those of the nodes too."""

    orderer: Path


def find_tools(environment: Mapping[str, str] | None = None) -> Tools:
    """Find the programs but those of the nodes: see `find_binaries`."""
    return Tools(**_found(TOOLS, environment))


def find_binaries(environment: Mapping[str, str] | None = None) -> Binaries:
    """Find the programs.

    Args:
        environment: with `FABRIC_BIN` (a directory) or `PATH`; default: the process's.

    Raises:
        BinariesMissing: some are not there; the message says where one gets them.
    """
    return Binaries(**_found(PROGRAMS, environment))


def _found(programs: Sequence[str], environment: Mapping[str, str] | None) -> dict[str, Path]:
    given = os.environ if environment is None else environment
    search = given.get("FABRIC_BIN") or given.get("PATH", "")
    found = {name: shutil.which(name, path=search) for name in programs}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        where = f"FABRIC_BIN ({search})" if given.get("FABRIC_BIN") else "PATH"
        raise BinariesMissing(
            f"{', '.join(missing)} of Hyperledger Fabric not found on {where}: unpack Fabric's release archive "
            "(hyperledger-fabric-<system>-<version>.tar.gz of 2.5 or later, on its GitHub releases page; the images "
            "hyperledger/fabric-peer, -orderer and -tools hold the same programs) and put its bin directory on PATH, "
            "or name it in FABRIC_BIN."
        )
    return {name: Path(path).absolute() for name, path in found.items() if path is not None}
