"""The demonstration on Kubernetes, from an empty cluster to a verified run. Starts processes."""

from __future__ import annotations

from dataclasses import dataclass

from k8s.cluster import Cluster
from k8s.consortium import Image, install
from k8s.organisations import ORGANISATIONS
from k8s.progress import Progress
from k8s.runs import Agreement, agree, follow, verify


@dataclass(frozen=True)
class Demo:
    """What is asked for.

    Attributes:
        image: of Consilo.
        agreement: the run.
        orderers: of the Fabric network; None: as its values say.
    """

    image: Image
    agreement: Agreement
    orderers: int | None = None


async def demonstrate(cluster: Cluster, demo: Demo, progress: Progress) -> bool:
    """Install the consortium, train, verify. What was done before is left as it is.

    Returns:
        Whether the run has finished and everything about it holds.

    Raises:
        CommandFailed: something could not be done.
    """
    run, last = demo.agreement.name, ORGANISATIONS[-1]
    progress.note(f"Kubernetes {await cluster.check()}")
    installed = await install(cluster, demo.image, progress.note, orderers=demo.orderers)
    await agree(cluster, run, demo.agreement.form(), progress.note)
    progress.note(f"{last.operator} follows run {run}")
    status = await follow(cluster, run, last, progress.change)
    progress.note(f"run {run} is {status['state']}")
    progress.note(f"{last.operator} verifies it")
    report = await verify(cluster, run, last)
    progress.verification(report)
    progress.note(f"helm/fabric was ready after {installed.fabric:.1f} s, helm/consilo of all organisations")
    progress.note(f"after {installed.organisations:.1f} s more")
    if progress.rounds.median_seconds is not None:
        progress.note(f"a round took {progress.rounds.median_seconds:.2f} s (median)")
    return bool(report["ok"]) and status["state"] == "finished"
