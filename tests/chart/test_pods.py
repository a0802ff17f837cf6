"""What must hold of every pod of the charts, whatever it does."""

from __future__ import annotations

import pytest

from tests.chart.charts import Case, Manifest, containers_of, name_of, pods_of, render, shipped_cases

pytestmark = pytest.mark.parametrize("case", shipped_cases(), ids=lambda case: case.name.replace(" ", "-"))


def test_every_pod_is_one_that_a_restricted_namespace_admits(case: Case) -> None:
    for owner, pod in pods_of(render(case)):
        of_pod = pod["spec"].get("securityContext", {})
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod["spec"].keys(), owner
        for container in containers_of(pod):
            of_container = container["securityContext"]
            context = of_pod | of_container
            assert context["runAsNonRoot"] is True, owner
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}, owner
            assert of_container["allowPrivilegeEscalation"] is False, owner
            assert of_container["readOnlyRootFilesystem"] is True, f"{owner}: {container['name']}"
            assert of_container["capabilities"] == {"drop": ["ALL"]}, owner


def test_every_container_says_what_it_needs_and_what_it_may_take(case: Case) -> None:
    for owner, pod in pods_of(render(case)):
        for container in containers_of(pod):
            resources = container["resources"]
            assert {"cpu", "memory"} <= resources["requests"].keys(), f"{owner}: {container['name']}"
            assert "memory" in resources["limits"], f"{owner}: {container['name']}"


def test_a_token_of_the_api_server_is_only_where_a_role_goes_with_it(case: Case) -> None:
    manifests = render(case)
    bound = {
        subject["name"]
        for manifest in manifests
        if manifest["kind"] in {"RoleBinding", "ClusterRoleBinding"}
        for subject in manifest["subjects"]
    }
    for owner, pod in pods_of(manifests):
        if pod["spec"].get("automountServiceAccountToken") is not False:
            assert pod["spec"].get("serviceAccountName") in bound, owner


def test_roles_name_few_verbs_and_are_of_the_namespace(case: Case) -> None:
    for manifest in render(case):
        assert manifest["kind"] not in {"ClusterRole", "ClusterRoleBinding"}, name_of(manifest)
        if manifest["kind"] == "Role":
            for rule in manifest["rules"]:
                assert "*" not in (*rule["verbs"], *rule["resources"], *rule["apiGroups"]), name_of(manifest)


def test_what_runs_all_the_time_is_probed(case: Case) -> None:
    unprobed = {"aggregator", "verifier"}  # they listen on no port; they end when they cannot go on
    for manifest in render(case):
        if manifest["kind"] not in {"Deployment", "StatefulSet"}:
            continue
        for container in manifest["spec"]["template"]["spec"]["containers"]:
            probes = {"livenessProbe", "readinessProbe"} & container.keys()
            assert len(probes) == 2 or component_of(manifest) in unprobed, name_of(manifest)


def test_every_object_carries_the_common_labels(case: Case) -> None:
    for manifest in render(case):
        labels = manifest["metadata"].get("labels", {})
        common = {"name", "instance", "version", "managed-by", "part-of"}
        missing = {f"app.kubernetes.io/{each}" for each in common} - labels.keys()
        assert not missing, f"{name_of(manifest)} lacks {sorted(missing)}"


def test_every_pod_is_under_a_policy_for_what_comes_in_and_goes_out(case: Case) -> None:
    manifests = render(case)
    policies = [manifest["spec"] for manifest in manifests if manifest["kind"] == "NetworkPolicy"]
    for owner, pod in pods_of(manifests):
        labels = pod["metadata"]["labels"]
        directions = {
            direction
            for policy in policies
            if selects(policy["podSelector"], labels)
            for direction in policy["policyTypes"]
        }
        assert directions == {"Ingress", "Egress"}, owner


def test_no_value_of_a_secret_is_in_what_is_rendered(case: Case) -> None:
    assert [name_of(manifest) for manifest in render(case) if manifest["kind"] == "Secret"] == []


def component_of(manifest: Manifest) -> str:
    """What it is for."""
    return str(manifest["metadata"]["labels"].get("app.kubernetes.io/component", ""))


def selects(selector: Manifest, labels: Manifest) -> bool:
    """Whether a selector takes a pod with these labels."""
    wanted: Manifest = selector.get("matchLabels", {})
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    for expression in selector.get("matchExpressions", ()):
        value, values = labels.get(expression["key"]), expression.get("values", ())
        holds = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not holds[expression["operator"]]:
            return False
    return True
