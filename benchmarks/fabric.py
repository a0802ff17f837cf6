"""What a Fabric ledger adds to a round, how many transactions it takes, what its processes use. Starts processes."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Final

from benchmarks.memory import resident_megabytes
from benchmarks.submits import SUBMITTERS, measure, ms
from benchmarks.tables import Section
from services.local.processes import Services
from services.local.system import System, start_ledger

HOSPITALS: Final = 3
TRANSACTIONS: Final = 320


async def fabric_section(seconds_fabric: float, seconds_embedded: float) -> Section:
    """The table.

    Args:
        seconds_fabric: per round at 1 MB and 2 silos.
        seconds_embedded: the same on the embedded ledger, in the same session.
    """
    with tempfile.TemporaryDirectory(prefix="consilo-bench-") as name:
        directory = Path(name)
        (directory / "logs").mkdir()
        services = Services(directory / "logs", 60.0)
        try:
            system = await start_ledger(HOSPITALS, directory, services, ledger="fabric")
            found = await measure(system, TRANSACTIONS)
            memory = processes(system)
        finally:
            await services.stop()
    added = seconds_fabric - seconds_embedded
    rows: list[tuple[str, ...]] = [
        ("added to a round of 1 MB with 2 silos", f"{added:.3f} s"),
        ("from submitting to the commit, median", ms(found.alone.median)),
        ("from submitting to the commit, 95 %", ms(found.alone.p95)),
        (f"transactions a second, {SUBMITTERS} submitters", f"{found.per_second:.0f}"),
        *((f"memory of {name}", f"{megabytes:.0f} MB") for name, megabytes in memory.items()),
    ]
    return Section(
        title="What Fabric costs",
        text=f"Against the embedded ledger ({seconds_embedded:.3f} s a round), measured in the same session. Then a "
        f"network of {HOSPITALS} organisations, each with a peer, a chaincode server, a gateway and a store, and one "
        "orderer: transactions through the REST API of the gateways in turn, and the peak resident memory of each "
        "process after them.",
        columns=("", "Fabric"),
        rows=rows,
        left=1,
        figures={"added_seconds": added, "submits": asdict(found), "peak_megabytes": memory},
    )


def processes(system: System) -> dict[str, float]:
    """Peak memory of the ledger's own processes and of the gateways and stores, in megabytes by name."""
    found = {node.name: resident_megabytes(node.pid) for node in system.foundation.nodes()}
    for name, service in system.services.running.items():
        if service.pid is not None:
            kind, _, organisation = name.partition("-")
            found[f"{'gateway' if kind == 'ledger' else kind} of {organisation}"] = resident_megabytes(service.pid)
    return found
