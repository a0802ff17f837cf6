"""The charts for tests: rendered, refused, looked through."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from k8s.organisations import CHARTS, FABRIC_VALUES_FILE, HERE, ORGANISATIONS

REQUIRED: Final = "CONSILO_REQUIRE_KUBERNETES"
"""Environment variable: with `1`, tests that need helm or a cluster fail where it is not, instead of being skipped."""

COMMAND_SECONDS: Final = 60.0
EXAMPLES: Final = HERE / "examples"
NAMESPACE: Final = "somewhere"

Manifest = dict[str, Any]

POD_TEMPLATES: Final = ("Deployment", "StatefulSet", "DaemonSet", "Job")


@dataclass(frozen=True)
class Case:
    """A chart with values under which it is to be installed.

    Attributes:
        name: for people.
        chart: its directory's name.
        files: of values.
        given: further values.
    """

    name: str
    chart: str
    files: tuple[Path, ...] = ()
    given: Mapping[str, Any] | None = None


def need(missing: str | None) -> None:
    """Skip the test loudly when something is missing, or fail it where it is required."""
    if missing is None:
        return
    untested = f"NOT TESTED ON KUBERNETES: {missing}"
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{untested} ({REQUIRED}=1)")
    pytest.skip(untested)


def missing_helm() -> str | None:
    """Why charts cannot be rendered, or None."""
    return None if shutil.which("helm") else "helm is not on PATH"


def missing_cluster() -> str | None:
    """Why no API server can be asked, or None."""
    if shutil.which("kubectl") is None:
        return "kubectl is not on PATH"
    return None if os.environ.get("KUBECONFIG") else "KUBECONFIG is not set"


def command(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run(arguments, input=given, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)


def render(case: Case, *, namespace: str = NAMESPACE) -> list[Manifest]:
    """The objects that helm makes, hooks too."""
    done = _template(case.chart, case.files, case.given or {}, namespace)
    assert done.returncode == 0, f"{case.name}: {done.stderr}"
    return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]


def refusal(chart: str, given: Mapping[str, Any], files: Sequence[Path] = ()) -> str:
    """What helm says to values that it must not take."""
    done = _template(chart, files, given, NAMESPACE)
    assert done.returncode != 0, f"{chart} takes {json.dumps(given)}"
    return done.stderr


def _template(
    chart: str, files: Sequence[Path], given: Mapping[str, Any], namespace: str
) -> subprocess.CompletedProcess[str]:
    values = [argument for file in files for argument in ("--values", str(file))]
    return command(
        *("helm", "template", chart, str(CHARTS / chart), "--namespace", namespace, *values, "--values", "-"),
        given=json.dumps(given),
    )


def shipped_cases() -> list[Case]:
    """Both charts with their defaults, with the values of the demonstration, and in the ways that change most."""
    silo = {"name": "silo", "tasks": {"digits_linear@1": "consilo.tasks.digits_linear:DigitsLinear"}}
    in_jobs = {**silo, "trainer": {"mode": "job"}, "dataVolume": {"existingClaim": "data"}}
    s3 = {"kind": "s3", "s3": {"publicEndpointUrl": "https://s3.example", "existingSecret": "account"}}
    return [
        Case("consilo with its demo", "consilo", given={"demo": {"enabled": True}}),
        Case("consilo with jobs", "consilo", given={"silos": [in_jobs]}),
        Case("consilo with versitygw", "consilo", given={"store": {"kind": "versitygw"}}),
        Case("consilo with s3", "consilo", (EXAMPLES / "external-s3.yaml",)),
        Case(
            "consilo on an existing fabric",
            "consilo",
            (ORGANISATIONS[0].values_file, EXAMPLES / "existing-fabric.yaml"),
        ),
        Case("consilo with torch", "consilo", given={"silos": [{**silo, "torch": True}], "store": s3}),
        Case("fabric with one orderer", "fabric", given={"orderers": 1}),
        Case("consilo", "consilo"),
        Case("fabric", "fabric"),
        Case("fabric of the demonstration", "fabric", (FABRIC_VALUES_FILE,)),
        *(
            Case(f"consilo of {organisation.name}", "consilo", (organisation.values_file,))
            for organisation in ORGANISATIONS
        ),
    ]


def name_of(manifest: Manifest) -> str:
    """`Kind/name`."""
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def pods_of(manifests: Sequence[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Every pod that comes of the objects: `Kind/name` of whom it belongs to, and the pod's template."""
    for manifest in manifests:
        match manifest["kind"]:
            case "Pod":
                yield name_of(manifest), manifest
            case "CronJob":
                yield name_of(manifest), manifest["spec"]["jobTemplate"]["spec"]["template"]
            case kind if kind in POD_TEMPLATES:
                yield name_of(manifest), manifest["spec"]["template"]


def containers_of(pod: Manifest) -> list[Manifest]:
    """All containers of a pod, those that prepare it too."""
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]
