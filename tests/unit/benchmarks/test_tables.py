"""What benchmarks found, on a page."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from benchmarks.page import main, page
from benchmarks.rounds import parse_case
from benchmarks.submits import of
from benchmarks.tables import Section

SECTION = Section(
    title="A round",
    text="How long it takes. " * 10,
    columns=("what", "seconds"),
    rows=[("one", "0.1"), ("two", "0.2")],
    left=1,
    figures=[{"seconds": 0.1234}],
)


def test_a_section_is_read_as_it_was_written(tmp_path: Path) -> None:
    SECTION.save(tmp_path / "reports" / "a.json")
    assert Section.load(tmp_path / "reports" / "a.json") == SECTION


def test_a_section_is_a_table_in_markdown() -> None:
    lines = SECTION.markdown().splitlines()
    assert lines[0] == "## A round"
    assert max(map(len, lines)) <= 120
    assert lines[-4:] == ["| what | seconds |", "| --- | ---: |", "| one | 0.1 |", "| two | 0.2 |"]


def test_a_page_says_where_it_was_measured() -> None:
    assert page([SECTION, SECTION]).count(SECTION.machine) == 1
    elsewhere = Section(**{**vars(SECTION), "machine": "another machine"})
    assert page([SECTION, elsewhere]).count("another machine") == 2


def test_a_page_holds_what_there_are_reports_of(tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match="no reports"):
        main(tmp_path, tmp_path / "page.md")
    SECTION.save(tmp_path / "digits.json")
    main(tmp_path, tmp_path / "page.md")
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == page([SECTION])


@pytest.mark.parametrize("text", ["", "1", "x2", "1x", "0x2", "1x0", "-1x2", "1x2x3", "1.5x2"])
def test_what_is_no_case_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="MEGABYTESxSILOS"):
        parse_case(text)


def test_latencies_are_median_and_95th_percentile() -> None:
    found = of([float(number) for number in range(1, 101)])
    assert found.median == 50.5
    assert 95 <= found.p95 <= 96
