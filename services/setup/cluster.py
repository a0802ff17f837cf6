"""Secrets of a Kubernetes cluster, through its official client. Calls the API server."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import urllib3.exceptions
from kubernetes import client, config

from services.setup.secrets import Content, SecretsUnavailable


class ClusterSecrets:
    """`Secrets` of a namespace.

    Args:
        api: of the cluster.
        namespace: of the Secrets.
        labels: that Secrets get which are made here.
        timeout_seconds: for the API server to answer.
    """

    def __init__(
        self, api: client.CoreV1Api, namespace: str, *, labels: Mapping[str, str], timeout_seconds: float
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._labels = dict(labels)
        self._timeout_seconds = timeout_seconds

    def read(self, name: str) -> Content | None:
        """See the port."""
        try:
            secret = self._api.read_namespaced_secret(name, self._namespace, _request_timeout=self._timeout_seconds)
        except client.ApiException as error:
            if error.status == 404:
                return None
            raise self._unavailable("get", name, error) from None
        except urllib3.exceptions.HTTPError as error:
            raise _unreachable(error) from None
        return {key: base64.b64decode(value) for key, value in (secret.data or {}).items()}

    def create(self, name: str, content: Content) -> bool:
        """See the port."""
        secret = client.V1Secret(
            metadata=client.V1ObjectMeta(name=name, labels=self._labels),
            type="Opaque",
            data={key: base64.b64encode(value).decode() for key, value in content.items()},
        )
        try:
            self._api.create_namespaced_secret(self._namespace, secret, _request_timeout=self._timeout_seconds)
        except client.ApiException as error:
            if error.status == 409:
                return False
            raise self._unavailable("create", name, error) from None
        except urllib3.exceptions.HTTPError as error:
            raise _unreachable(error) from None
        return True

    def _unavailable(self, verb: str, name: str, error: client.ApiException) -> SecretsUnavailable:
        advice = "its Role must allow it" if error.status in (401, 403) else "see to the API server, or try again"
        # Without the answer's body: it may repeat what was sent.
        message = f"the service account cannot {verb} the Secret {name} in namespace {self._namespace}"
        return SecretsUnavailable(f"{message} ({error.status} {error.reason}): {advice}")


def _unreachable(error: urllib3.exceptions.HTTPError) -> SecretsUnavailable:
    kind = type(getattr(error, "reason", None) or error).__name__
    return SecretsUnavailable(
        f"the API server does not answer ({kind}): if a NetworkPolicy is in the way, let this pod reach it"
    )


def own_cluster() -> client.CoreV1Api:
    """The cluster that this process runs in, as its pod's service account.

    Raises:
        SecretsUnavailable: it runs in no pod that has a service account's token.
    """
    configuration = client.Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except config.ConfigException as error:
        message = f"this is no pod with the token of a service account ({error}): it must run in the cluster"
        raise SecretsUnavailable(message) from None
    configuration.retries = False  # whoever started this process starts it again
    return client.CoreV1Api(client.ApiClient(configuration))
