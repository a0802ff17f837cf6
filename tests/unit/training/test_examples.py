"""The examples in the texts of the modules are whole tasks: they pass the check as they stand there."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import numpy as np
import pytest

import consilo.training.task as task_module
from consilo.training.check import check_task
from consilo.training.worker_process import WorkerSettings
from tests.unit.training.conftest import ROOT

NUMPY_IMPORTS = """
import numpy as np
from consilo.training.task import Evaluation, TrainingResult
"""
TORCH_IMPORTS = """
import numpy as np
import torch
from torch import nn
from torch.utils.data import TensorDataset, random_split
from consilo.training.torch_task import TorchTask, seeded
"""


def example_in(text: str | None) -> str:
    """The indented block of a text that defines a class."""
    match = re.search(r"^    class .*\n(?:    .*\n|\n)+", text or "", re.MULTILINE)
    assert match
    return textwrap.dedent(match.group()).strip() + "\n"


def failures_of(source: str, name: str, table: np.ndarray, directory: Path) -> list[str]:
    (directory / "example_of_a_text.py").write_text(source)
    np.savetxt(directory / "table.txt", table)
    settings = WorkerSettings(environment={"PYTHONPATH": f"{directory}:{ROOT}"})
    data = {"file": str(directory / "table.txt")}
    findings = check_task(f"example_of_a_text:{name}", {}, data, settings=settings)
    return [finding.sentence for finding in findings if not finding.ok]


def test_the_example_in_numpy_is_a_good_task_of_some_twenty_lines(tmp_path: Path) -> None:
    example = example_in(task_module.__doc__)
    assert len(example.splitlines()) <= 22
    assert failures_of(NUMPY_IMPORTS + example, "Mean", np.arange(20.0), tmp_path) == []


@pytest.mark.torch
@pytest.mark.slow
def test_the_example_in_torch_is_a_good_task_of_ten_lines(tmp_path: Path) -> None:
    torch_task = pytest.importorskip("consilo.training.torch_task")
    example = example_in(torch_task.__doc__)
    assert len(example.splitlines()) <= 10
    table = np.random.default_rng(1).normal(size=(50, 13))
    table[:, 12] = table[:, 0] > 0
    assert failures_of(TORCH_IMPORTS + example, "Wards", table, tmp_path) == []
