"""Who takes part in the demonstration, and the names under which all of it is found in the cluster. Pure; no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
CHARTS: Final = HERE.parent / "helm"
NAMESPACES_FILE: Final = HERE / "namespaces.yaml"
FABRIC_VALUES_FILE: Final = HERE / "values-fabric.yaml"
CONSOLE_FILE: Final = HERE / "console.yaml"

FABRIC: Final = "fabric"
"""Namespace and release of the Fabric network."""

CONSILO: Final = "consilo"
"""Release of each organisation's deployment, in its own namespace."""

CONSOLE: Final = "deployment/console"
"""Where each organisation's operator types commands."""


@dataclass(frozen=True)
class Organisation:
    """One of the consortium.

    Attributes:
        msp: its MSP id.
        name: in the values of both charts; also its namespace.
    """

    msp: str
    name: str

    @property
    def namespace(self) -> str:
        """Where its deployment is."""
        return self.name

    @property
    def client_secret(self) -> str:
        """Name of the Secret with which its gateway comes to its peer: made by the network, copied by the demo."""
        return f"{self.name}-client"

    @property
    def values_file(self) -> Path:
        """Its values for helm/consilo."""
        return HERE / f"values-{self.name}.yaml"

    @property
    def silo(self) -> str:
        """Member id of its silo."""
        return f"{self.msp}/silo"

    @property
    def operator(self) -> str:
        """Member id of its operator."""
        return f"{self.msp}/operator"


ORGANISATIONS: Final = (
    Organisation("HospitalA", "hospital-a"),
    Organisation("HospitalB", "hospital-b"),
    Organisation("HospitalC", "hospital-c"),
)
AGGREGATOR: Final = "HospitalA/aggregator"
VERIFIER: Final = "HospitalC/verifier"
