"""Keys, certificates and the channel's first block, as Secrets: made once, and found again every time after.

What everything follows from is in Secrets that no pod mounts: `<organisation>-crypto` and `orderers-crypto` (with the
keys of the certificate authorities), and `channel`. All others are derived from these each time, so that one that was
lost is there again. Reads and writes Secrets and files, starts processes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from fabric.binaries import Tools
from fabric.cluster.contents import (
    admin_content,
    administrators_files,
    chaincode_content,
    client_content,
    files_below,
    node_content,
    restore_files,
)
from fabric.cluster.network import ClusterNetwork, ClusterOrganisation
from fabric.cluster.secrets import Content, Secrets
from fabric.creation import Progress
from fabric.errors import Impossible
from fabric.files import generate, make_block
from fabric.identities import orderer_organisation, peer_organisations
from fabric.layout import Layout

CHANNEL: Final = "channel"
ADMINISTRATORS: Final = "administrators"
ORDERERS_CRYPTO: Final = "orderers-crypto"
GENESIS_KEY: Final = "genesis.block"
NETWORK_KEY: Final = "network.json"


async def make_material(
    network: ClusterNetwork, secrets: Secrets, tools: Tools, layout: Layout, progress: Progress
) -> None:
    """Have every Secret of the network there.

    Args:
        network: what is wanted.
        secrets: of its namespace.
        tools: Fabric's programs.
        layout: of an empty directory to work in.
        progress: is told what has changed.

    Raises:
        Impossible: the network that is there cannot become what is wanted, or something is missing of it. Nothing has
            changed then.
        NetworkError: Secrets cannot be read or written, or a tool failed.
    """
    await _Material(network, secrets, tools, layout, progress).make()


class _Material:
    def __init__(
        self, network: ClusterNetwork, secrets: Secrets, tools: Tools, layout: Layout, progress: Progress
    ) -> None:
        self._network = network
        self._secrets = secrets
        self._tools = tools
        self._layout = layout
        self._progress = progress

    async def make(self) -> None:
        channel = self._secrets.read(CHANNEL)
        before = _network_in(channel) if channel is not None else None
        differences = self._network.differences(before) if before is not None else []
        if differences:
            raise Impossible(f"the network that is there cannot become what the values say: {'; '.join(differences)}")
        known = {each.msp for each in before.organisations} if before is not None else set()
        await self._authority(
            ORDERERS_CRYPTO,
            self._layout.orderer_organisation,
            orderer_organisation(self._network.orderer_hosts()),
            known=before is not None,
        )
        for organisation in self._network.organisations:
            await self._authority(
                f"{organisation.name}-crypto",
                self._layout.organisation(organisation.msp),
                peer_organisations({organisation.msp: self._network.organisation_hosts(organisation)}),
                known=organisation.msp in known,
            )
        self._derive()
        # Last: what it says of the network is there now.
        await self._channel(channel)

    async def _authority(self, name: str, root: Path, configuration: dict[str, Any], *, known: bool) -> None:
        if not known:  # what an interrupted job has left is used by nothing yet
            await generate(self._tools, self._layout, configuration)
            self._write(name, files_below(root))
            return
        content = self._secrets.read(name)
        if content is None:
            raise Impossible(
                f"the Secret {name} is missing, and what it holds is on the channel: restore it from a backup "
                "(or remove the namespace, and so the network)"
            )
        restore_files(content, root)

    def _derive(self) -> None:
        for name in self._network.orderer_names():
            self._write(name, node_content(self._layout.orderer(name)))
        for organisation in self._network.organisations:
            self._derive_of(organisation)
        self._write(ADMINISTRATORS, administrators_files(self._layout))

    def _derive_of(self, organisation: ClusterOrganisation) -> None:
        msp, name = organisation.msp, organisation.name
        self._write(f"peer-{name}", node_content(self._layout.peer(msp)))
        self._write(f"chaincode-{name}", chaincode_content(self._layout, msp))
        self._write(f"{name}-client", client_content(self._layout, msp))
        self._write(f"{name}-admin", admin_content(self._layout, msp))

    async def _channel(self, there: Content | None) -> None:
        if there is not None:
            block = there[GENESIS_KEY]
        else:
            description = self._network.describe(self._layout)
            await make_block(self._tools, self._layout, description, self._layout.genesis)
            block = self._layout.genesis.read_bytes()
        self._write(CHANNEL, {GENESIS_KEY: block, NETWORK_KEY: self._network.model_dump_json().encode()})

    def _write(self, name: str, content: Content) -> None:
        if self._secrets.write(name, content):
            self._progress(f"Secret {name} written")


def _network_in(channel: Content) -> ClusterNetwork:
    if NETWORK_KEY not in channel:
        raise Impossible(f"the Secret {CHANNEL} does not say which network is there: restore it from a backup")
    return ClusterNetwork.parse(channel[NETWORK_KEY])
