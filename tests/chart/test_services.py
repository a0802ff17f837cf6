"""What the chart consilo says to the services is what they understand, and nothing of it is misspelled."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any, Final

import pytest
import typer
from pydantic_settings import BaseSettings

from consilo.cli.main import app as command_line
from k8s.organisations import ORGANISATIONS
from services.ledger.settings import LedgerSettings, LocalStoreAccess, S3StoreAccess
from services.setup.settings import SetupSettings
from tests.chart.charts import Case, Manifest, containers_of, pods_of, render
from tools.cli_reference import walk
from tools.configuration_reference import settings_of

SILO: Final = {
    "name": "silo",
    "tasks": {"digits_linear@1": "consilo.tasks.digits_linear:DigitsLinear"},
    "data": {"silo": 0, "silos": 3, "alpha": "0.5"},
    "dataVolume": {"existingClaim": "images"},
}
JOBS: Final = {"mode": "job", "job": {"gpus": 1, "nodeSelector": {"gpu": "yes"}, "settings": {"PRIORITY_CLASS": "low"}}}
CASES: Final = [
    Case("demo", "consilo", given={"demo": {"enabled": True}}),
    Case("a silo with Jobs", "consilo", given={"silos": [{**SILO, "trainer": JOBS}]}),
    Case("versitygw", "consilo", given={"store": {"kind": "versitygw"}}),
    Case(
        "a bucket",
        "consilo",
        given={"store": {"kind": "s3", "s3": {"publicEndpointUrl": "https://s3.example", "existingSecret": "account"}}},
    ),
    Case(
        "further settings",
        "consilo",
        given={
            "silos": [{**SILO, "settings": {"MAX_TRAININGS": 2, "RETRIES__TRIES": 5, "EVALUATE": False}}],
            "gateway": {"settings": {"COLLECT_EVERY_SECONDS": 0, "MAX_BODY_BYTES": 8388608}},
            "store": {"settings": {"MAX_OBJECT_BYTES": 68719476736}},
            "aggregator": {"settings": {"STANDBY_SECONDS": 12.5, "RUNS": ["digits-1"]}},
            "verifier": {"settings": {"FETCH_GLOBALS": True}},
            "privateNetworks": ["10.96.0.0/16"],
        },
    ),
    *(Case(f"of {each.name}", "consilo", (each.values_file,)) for each in ORGANISATIONS),
]

cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))


def services_of(case: Case) -> Iterator[tuple[str, dict[str, str]]]:
    """Each container that runs a service: its module, and its environment."""
    for _, pod in pods_of(render(case)):
        for container in containers_of(pod):
            match container.get("command"):
                case ["python", "-m", str(module)]:
                    yield module, environment_of(container)


def environment_of(container: Manifest) -> dict[str, str]:
    """The project's variables of a container; what comes of its pod is a word."""
    variables = [each for each in container.get("env", ()) if each["name"].startswith("CONSILO_")]
    found = {each["name"]: each.get("value", "10.0.0.1") for each in variables}
    assert all(isinstance(value, str) for value in found.values())
    return found


def settings_class(module: str) -> type[BaseSettings]:
    """The settings of a service."""
    found = vars(importlib.import_module(f"{module}.settings")).values()
    (kind,) = [
        each
        for each in found
        if isinstance(each, type) and issubclass(each, BaseSettings) and each.__module__ == f"{module}.settings"
    ]
    return kind


def read(module: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """A service's settings, as it reads them."""
    with monkeypatch.context() as patched:
        for name, value in environment.items():
            patched.setenv(name, value)
        return settings_class(module)()


@cases
def test_every_service_reads_its_settings(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    modules = set()
    for module, environment in services_of(case):
        read(module, environment, monkeypatch)
        modules.add(module)
    assert {"services.ledger", "services.setup", "services.check"} <= modules


@cases
def test_every_variable_is_one_that_the_service_has(case: Case) -> None:
    for module, environment in services_of(case):
        known = {setting.variable for setting in settings_of(settings_class(module))}
        whole = {name.rsplit("__", 1)[0] for name in known}  # an object may be given as a whole, too
        assert environment.keys() <= known | whole, module


@cases
def test_every_command_line_is_one_that_consilo_has(case: Case) -> None:
    options = {
        tuple(path.split()): {option for parameter in command.params for option in parameter.opts}
        for path, command in walk(typer.main.get_command(command_line), "consilo")
    }
    for _, pod in pods_of(render(case)):
        for container in containers_of(pod):
            words = container.get("command", ())
            if "consilo" in words[:1]:
                path = tuple(word for word in words if not word.startswith("--"))
                assert {word.split("=")[0] for word in words if word.startswith("--")} <= options[path]


def test_what_is_set_arrives_as_it_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    found = dict(services_of(CASES[4]))
    client = read("services.client", found["services.client"], monkeypatch)
    assert (client.max_trainings, client.retries.tries, client.evaluate) == (2, 5, False)
    assert client.data == SILO["data"]
    assert client.api.private_networks == ("10.96.0.0/16",)
    aggregator = read("services.aggregator", found["services.aggregator"], monkeypatch)
    assert (aggregator.standby_seconds, aggregator.runs) == (12.5, ("digits-1",))
    assert read("services.store", found["services.store"], monkeypatch).max_object_bytes == 64 * 2**30
    assert read("services.verifier", found["services.verifier"], monkeypatch).fetch_globals is True


def test_a_silo_that_trains_in_jobs_is_told_all_about_them(monkeypatch: pytest.MonkeyPatch) -> None:
    found = dict(services_of(CASES[1]))
    job = read("services.client", found["services.client"], monkeypatch).trainer.job
    assert (job.gpus, job.node_selector, job.priority_class) == (1, {"gpu": "yes"}, "low")
    assert job.volumes[0]["persistentVolumeClaim"] == {"claimName": "images", "readOnly": True}
    assert job.mounts == [{"name": "data", "mountPath": "/data", "readOnly": True}]
    assert job.labels["consilo/trains-for"] == "silo"


@pytest.mark.parametrize(
    ("number", "kind"),
    [(0, LocalStoreAccess), (2, S3StoreAccess), (3, S3StoreAccess)],
    ids=["local", "versitygw", "s3"],
)
def test_the_gateway_signs_for_the_store_that_was_chosen(
    number: int, kind: type[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = read("services.ledger", dict(services_of(CASES[number]))["services.ledger"], monkeypatch)
    assert isinstance(settings, LedgerSettings)
    assert isinstance(settings.store, kind)


def test_the_setup_is_asked_for_all_who_have_a_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    manifests = render(CASES[0])
    setup = read("services.setup", dict(services_of(CASES[0]))["services.setup"], monkeypatch)
    assert isinstance(setup, SetupSettings)
    made = {member.secret for plan in setup.organisations for member in plan.members}
    made |= {plan.roots_secret for plan in setup.organisations}
    assert setup.genesis is not None
    made |= {setup.genesis.secret, str(setup.store_secret)}
    mounted = {
        volume["secret"]["secretName"]
        for _, pod in pods_of(manifests)
        for volume in pod["spec"].get("volumes", ())
        if "secret" in volume
    }
    assert mounted == made
    assert not {plan.ca_secret for plan in setup.organisations} & mounted, "a CA's key is mounted nowhere"
