"""Secrets through the official client: what it sends, and what is told when the cluster does not do as it is asked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kubernetes import client

from services.setup.cluster import ClusterSecrets, own_cluster
from services.setup.secrets import SecretsUnavailable
from tests.unit.setup.api_server import ApiServer, api_server

CONTENT = {"key.pem": b"\x00not text", "certificate.pem": b"public"}


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with api_server() as running:
        yield running


def secrets_of(url: str) -> ClusterSecrets:
    configuration = client.Configuration()
    configuration.host = url
    configuration.retries = False
    api = client.CoreV1Api(client.ApiClient(configuration))
    return ClusterSecrets(api, "somewhere", labels={"app.kubernetes.io/name": "consilo"}, timeout_seconds=2.0)


def test_what_was_made_is_read_again(server: ApiServer) -> None:
    secrets = secrets_of(server.url)
    assert secrets.read("silo") is None
    assert secrets.create("silo", CONTENT) is True
    assert secrets.read("silo") == CONTENT


def test_one_that_is_there_is_not_made_again(server: ApiServer) -> None:
    secrets = secrets_of(server.url)
    secrets.create("silo", CONTENT)
    assert secrets.create("silo", {"key.pem": b"other"}) is False
    assert secrets.read("silo") == CONTENT


def test_it_has_its_labels_and_belongs_to_nobody(server: ApiServer) -> None:
    secrets_of(server.url).create("silo", CONTENT)
    metadata = server.secrets["silo"]["metadata"]
    assert metadata["labels"] == {"app.kubernetes.io/name": "consilo"}
    assert "ownerReferences" not in metadata


@pytest.mark.parametrize(("status", "advice"), [(401, "Role"), (403, "Role"), (500, "API server"), (429, "API server")])
def test_a_refusal_says_what_was_refused_and_nothing_of_what_was_sent(
    server: ApiServer, status: int, advice: str
) -> None:
    secrets = secrets_of(server.url)
    server.answer = status
    for verb, call in (("get", lambda: secrets.read("silo")), ("create", lambda: secrets.create("silo", CONTENT))):
        with pytest.raises(SecretsUnavailable) as raised:
            call()
        said = str(raised.value)
        assert f"cannot {verb} the Secret silo in namespace somewhere ({status}" in said
        assert advice in said
        assert "cHVibGlj" not in said, "the server's answer repeats what was sent"


def test_a_server_that_is_not_there_is_told(server: ApiServer) -> None:
    with pytest.raises(SecretsUnavailable, match="does not answer"):
        secrets_of("http://127.0.0.1:1").read("silo")


def test_a_server_that_is_silent_is_given_up(server: ApiServer) -> None:
    server.silent.set()
    configuration = client.Configuration()
    configuration.host, configuration.retries = server.url, False
    api = client.CoreV1Api(client.ApiClient(configuration))
    with pytest.raises(SecretsUnavailable, match="does not answer"):
        ClusterSecrets(api, "somewhere", labels={}, timeout_seconds=0.05).read("silo")


def test_outside_of_a_cluster_it_is_said_where_it_belongs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(SecretsUnavailable, match="must run in the cluster"):
        own_cluster()
