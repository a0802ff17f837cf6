"""A network in a cluster to test with, and Secrets that are kept in memory."""

from __future__ import annotations

from collections.abc import Mapping

from fabric.cluster.network import ClusterNetwork, ClusterOrganisation
from fabric.cluster.secrets import Content

HOSPITAL_A = ClusterOrganisation(msp="HospitalA", name="hospital-a")
HOSPITAL_B = ClusterOrganisation(msp="HospitalB", name="hospital-b")


def network(*organisations: ClusterOrganisation, **changes: object) -> ClusterNetwork:
    """A network with these organisations; default: two."""
    given = {
        "namespace": "ledger",
        "channel": "consilo",
        "orderers": 1,
        "batch_timeout_ms": 20,
        "sequence": 1,
        "organisations": organisations or (HOSPITAL_A, HOSPITAL_B),
    }
    return ClusterNetwork.model_validate({**given, **changes})


class MemorySecrets:
    """`Secrets` of a namespace that is nowhere."""

    def __init__(self) -> None:
        self.contents: dict[str, dict[str, bytes]] = {}

    def read(self, name: str) -> Content | None:
        """See the port."""
        return self.contents.get(name)

    def write(self, name: str, content: Mapping[str, bytes]) -> bool:
        """See the port."""
        changed = self.contents.get(name) != content
        self.contents[name] = dict(content)
        return changed
