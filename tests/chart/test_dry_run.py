"""What a real API server says to the charts, to the namespaces and to the console: everything but to do it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator

import pytest
import yaml

from k8s.organisations import CONSOLE_FILE, NAMESPACES_FILE
from tests.chart.charts import Case, Manifest, command, missing_cluster, name_of, need, render, shipped_cases

RESTRICTED = "pod-security.kubernetes.io"


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    """A restricted namespace of its own, as those of the demonstration are; removed at the end."""
    need(missing_cluster())
    name = f"consilo-chart-{secrets.token_hex(4)}"
    labels = {f"{RESTRICTED}/{mode}": "restricted" for mode in ("enforce", "warn")}
    made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    accepted(made, dry_run=False)
    yield name
    command("kubectl", "delete", "namespace", name, "--wait=false")


@pytest.mark.parametrize("case", shipped_cases(), ids=lambda case: case.name.replace(" ", "-"))
def test_the_api_server_takes_every_object_and_warns_of_none(case: Case, namespace: str) -> None:
    manifests = render(case, namespace=namespace)
    # A pod is refused whose service account is not there, so that these are really made.
    accepted(*(each for each in manifests if each["kind"] == "ServiceAccount"), dry_run=False)
    accepted(*manifests)


def test_the_api_server_takes_the_namespaces_and_the_console(namespace: str) -> None:
    made = yaml.safe_load_all(NAMESPACES_FILE.read_text())
    accepted(*(manifest for manifest in made if manifest["kind"] == "Namespace"))
    inside = yaml.safe_load_all(NAMESPACES_FILE.read_text())
    accepted(*(moved(manifest, namespace) for manifest in inside if manifest["kind"] != "Namespace"))
    accepted(moved(yaml.safe_load(CONSOLE_FILE.read_text()), namespace))


def moved(manifest: Manifest, namespace: str) -> Manifest:
    """The object, in another namespace."""
    return {**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}}


def accepted(*manifests: Manifest, dry_run: bool = True) -> None:
    """The API server takes these, and says nothing to them."""
    done = command(
        *("kubectl", "apply", "--server-side", "--filename", "-", "--validate=strict"),
        *(["--dry-run=server"] if dry_run else []),
        given=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)}),
    )
    said = f"{[name_of(manifest) for manifest in manifests]}\n{done.stderr}"
    assert done.returncode == 0, said
    assert not done.stderr.strip(), said
