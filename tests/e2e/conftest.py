"""The consortium that all tests here share: installed before the first, removed after the last."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from k8s.cluster import Cluster
from k8s.consortium import install, remove
from tests.chart.charts import missing_cluster, missing_helm, need
from tests.e2e.figures import Figures
from tests.e2e.harness import Trial, image_from_environment

INSTALL_SECONDS = 600.0
_FIGURES = pytest.StashKey[Figures]()


@pytest.fixture(scope="session")
def figures(pytestconfig: pytest.Config) -> Figures:
    """What is measured; printed at the end."""
    return pytestconfig.stash.setdefault(_FIGURES, Figures())


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def trial(figures: Figures) -> AsyncIterator[Trial]:
    """The consortium, on the cluster that KUBECONFIG names; CONSILO_E2E_KEEP=1 leaves it there."""
    need(missing_helm() or missing_cluster())
    cluster, image = Cluster(INSTALL_SECONDS), image_from_environment()
    await cluster.check()
    keep = os.environ.get("CONSILO_E2E_KEEP", "") not in {"", "0"}
    try:
        installed = await install(cluster, image, lambda text: print(text, flush=True))
        figures.note("From helm install to ready", "helm/fabric", f"{installed.fabric:.1f} s")
        figures.note("From helm install to ready", "helm/consilo x 3", f"{installed.organisations:.1f} s")
        yield Trial(cluster, image, figures)
    finally:
        if not keep:
            await remove(cluster, lambda text: print(text, flush=True))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what was measured, and write it to a file."""
    figures = config.stash.get(_FIGURES, None)
    if figures is None or not figures.sections:
        return
    figures.save()
    terminalreporter.section("figures")
    for line in figures.table():
        terminalreporter.write_line(line)
