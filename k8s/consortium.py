"""The consortium in a cluster: Fabric, each organisation's deployment, an operator's console. Starts processes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from types import MappingProxyType
from typing import Any, Final

from k8s.cluster import Cluster, Manifest
from k8s.commands import CommandFailed
from k8s.organisations import (
    CHARTS,
    CONSILO,
    CONSOLE,
    CONSOLE_FILE,
    FABRIC,
    FABRIC_VALUES_FILE,
    NAMESPACES_FILE,
    ORGANISATIONS,
    Organisation,
)
from services.local.together import together

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})

Note = Callable[[str], None]
"""Hears what is being done now."""


@dataclass(frozen=True)
class Image:
    """Where the cluster finds the image of Consilo, and when it looks for a newer one; None: as the charts say."""

    repository: str | None = None
    tag: str | None = None
    pull_policy: str | None = None

    def values(self) -> dict[str, Any]:
        """For both charts."""
        given = {"repository": self.repository, "tag": self.tag, "pullPolicy": self.pull_policy}
        return {"image": {key: value for key, value in given.items() if value is not None}}


@dataclass(frozen=True)
class Installed:
    """How long it took until all was ready, in seconds.

    Attributes:
        fabric: helm/fabric, with its channel and its chaincode.
        organisations: helm/consilo of all organisations at once.
    """

    fabric: float
    organisations: float


async def install(cluster: Cluster, image: Image, note: Note, *, orderers: int | None = None) -> Installed:
    """Install what is missing, upgrade what is there; return when all is ready.

    Raises:
        CommandFailed: something did not become ready.
    """
    note("making the namespaces")
    await cluster.apply_file(NAMESPACES_FILE)
    note("installing helm/fabric")
    started = monotonic()
    await install_fabric(cluster, image, {} if orderers is None else {"orderers": orderers})
    fabric = monotonic() - started
    note("copying each organisation's Fabric client into its namespace")
    await together(copy_client(cluster, organisation) for organisation in ORGANISATIONS)
    note("installing helm/consilo for " + ", ".join(organisation.msp for organisation in ORGANISATIONS))
    started = monotonic()
    await together(install_organisation(cluster, organisation, image) for organisation in ORGANISATIONS)
    seconds = monotonic() - started
    note("starting the operators' consoles")
    await together(install_console(cluster, organisation) for organisation in ORGANISATIONS)
    return Installed(fabric, seconds)


async def install_fabric(cluster: Cluster, image: Image, further: Mapping[str, Any] = NOTHING) -> None:
    """The network: orderers, peers, chaincode.

    Args:
        cluster: that it goes into.
        image: of Consilo, which the chaincode's servers run.
        further: values.

    Raises:
        CommandFailed: it did not become ready.
    """
    given = {**image.values(), **further}
    await cluster.install(FABRIC, CHARTS / "fabric", namespace=FABRIC, values=[FABRIC_VALUES_FILE], given=given)


async def copy_client(cluster: Cluster, organisation: Organisation) -> None:
    """Give an organisation what its gateway needs to come to its peer.

    The network of the demonstration makes it for all; elsewhere an organisation has it from its own CA.

    Raises:
        CommandFailed: the network has not made it.
    """
    name = organisation.client_secret
    made = await cluster.get("secret", name, namespace=FABRIC)
    if made is None:
        raise CommandFailed(f"namespace {FABRIC} has no Secret {name}: helm/fabric has not made it")
    metadata = {"name": name, "namespace": organisation.namespace}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": made["data"]}
    await cluster.apply(secret)


async def install_organisation(
    cluster: Cluster, organisation: Organisation, image: Image, further: Mapping[str, Any] = NOTHING
) -> None:
    """An organisation's gateway, store and members.

    Args:
        cluster: that it goes into.
        organisation: whose it is.
        image: of Consilo.
        further: values.

    Raises:
        CommandFailed: they did not become ready.
    """
    await cluster.install(
        CONSILO,
        CHARTS / "consilo",
        namespace=organisation.namespace,
        values=[organisation.values_file],
        given={**image.values(), **further},
    )


async def install_console(cluster: Cluster, organisation: Organisation) -> None:
    """A pod in which the operator's commands run, with the image of the organisation's gateway.

    Raises:
        CommandFailed: it did not become ready.
    """
    namespace = organisation.namespace
    text = await cluster.kubectl("create", f"--filename={CONSOLE_FILE}", "--dry-run=client", "--output=json")
    console: Manifest = json.loads(text)
    console["metadata"]["namespace"] = namespace
    (container,) = console["spec"]["template"]["spec"]["containers"]
    container |= await _image_of_gateway(cluster, namespace)
    await cluster.apply(console, namespace=namespace)
    await cluster.rolled_out(CONSOLE, namespace=namespace)


async def _image_of_gateway(cluster: Cluster, namespace: str) -> dict[str, str]:
    selector = f"app.kubernetes.io/instance={CONSILO},app.kubernetes.io/component=gateway"
    pods = await cluster.list("pods", namespace=namespace, selector=selector)
    if not pods:
        raise CommandFailed(f"namespace {namespace} has no pod of a gateway")
    container = pods[0]["spec"]["containers"][0]
    return {key: container[key] for key in ("image", "imagePullPolicy")}


async def remove(cluster: Cluster, note: Note, organisations: Sequence[Organisation] = ORGANISATIONS) -> None:
    """Remove the releases and the namespaces, with all that is in them: ledgers, keys, models.

    Raises:
        CommandFailed: something cannot be removed.
    """
    note("removing helm/consilo")
    await together(cluster.uninstall(CONSILO, namespace=organisation.namespace) for organisation in organisations)
    note("removing helm/fabric")
    await cluster.uninstall(FABRIC, namespace=FABRIC)
    note("removing the namespaces")
    names = [*(organisation.namespace for organisation in organisations), FABRIC]
    await cluster.kubectl(
        *("delete", "namespace", *names, "--ignore-not-found", "--wait"),
        timeout_seconds=cluster.timeout_seconds,
    )
