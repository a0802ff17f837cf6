"""`python -m k8s` where nothing can be done."""

import os
import subprocess
import sys
from collections.abc import Mapping

import pytest


def k8s(*arguments: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "k8s", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**{key: value for key, value in os.environ.items() if key != "KUBECONFIG"}, **environment},
    )


@pytest.mark.parametrize("command", ["up", "down"])
def test_without_a_cluster_it_says_what_is_missing(command: str) -> None:
    done = k8s(command, environment={})
    assert done.returncode == 2
    assert done.stderr == "error: KUBECONFIG is not set: it names the cluster to use\n"


def test_without_helm_it_says_so() -> None:
    done = k8s("up", environment={"KUBECONFIG": "somewhere", "PATH": "/nowhere"})
    assert done.returncode == 2
    assert done.stderr == "error: helm is not installed, or not on PATH\n"


def test_the_number_of_rounds_is_looked_at() -> None:
    assert k8s("up", "--rounds", "0", environment={}).returncode == 2
