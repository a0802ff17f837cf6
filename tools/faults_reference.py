"""docs/reference/faults.md: made from the table of faults that tests bring about. Pure; no I/O."""

from __future__ import annotations

from typing import Final

from tests.faults.table import SECTIONS, Fault
from tools.markdown import bullets, heading, page, paragraph, table

_AT_THE_END: Final = (
    "every run has finished, and each of its rounds has exactly one global that stands, attested as right;",
    "an auditor who saw nothing before verifies all of the run, from the ledger and the stores;",
    "the ledger's file replays without a finding; no transaction and no member's word on the same thing is in it "
    "twice, and each attempt of a round was closed and given a global at most once;",
    "on Fabric: two organisations' auditors verify the run, each at its own gateway; all gateways show the same newest "
    "block, and all peers the same state after it;",
    "all services run, they end with exit code 0 when asked to, and none of the processes seen is left;",
    "every line of every log is a log line, and none has an exception, tells of a defect or is `critical`, but for "
    "those that the test brings about.",
)


def faults_page() -> str:
    """The whole page."""
    parts: list[str] = []
    for title, faults in SECTIONS.items():
        columns = ("fault", "afterwards", "form", "test")
        parts += [heading(2, title), table(columns, [_row(fault) for fault in faults])]
    return page(
        "Faults",
        paragraph(
            "Each line is done, by the test that it names, to a system of two hospitals that has runs, or on Fabric to "
            "one of three: real processes on one machine. `make test-faults` runs the short forms, `make test-fabric` "
            "those on Fabric, `make test-all` the long ones too. What members do meanwhile is in the "
            "[architecture](../architecture.md#what-happens-when-a-process-dies)."
        ),
        paragraph("`afterwards` is what a test checks beside this, which every one of them checks at its end:"),
        bullets(_AT_THE_END),
        paragraph(
            "Random moments and victims come from a seed that the test prints; the same `CONSILO_FAULT_SEED` gives the "
            "same ones. The tests of full disks mount a small file system: without the right to do so they are "
            "skipped, and say `NOT TESTED`."
        ),
        *parts,
    )


def _row(fault: Fault) -> tuple[str, str, str, str]:
    file, _, function = fault.test.partition("::")
    return fault.name, fault.holds, "long" if fault.slow else "short", f"[{function}](../../{file})"
