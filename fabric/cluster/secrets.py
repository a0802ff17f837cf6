"""Secrets of the cluster: the port, and the adapter to its API server through Kubernetes' official client.

The adapter calls the API server, as the pod's service account.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Protocol

import urllib3.exceptions
from kubernetes import client, config

from fabric.errors import NetworkError

Content = Mapping[str, bytes]
"""Of a Secret: key -> bytes."""


class SecretsUnavailable(NetworkError):
    """Secrets cannot be read or written."""


class Secrets(Protocol):
    """The Secrets of one namespace."""

    def read(self, name: str) -> Content | None:
        """What a Secret holds; None when there is none of this name.

        Raises:
            SecretsUnavailable: it cannot be read.
        """
        ...

    def write(self, name: str, content: Content) -> bool:
        """Make a Secret, or replace what one of this name holds by all of this.

        Returns:
            Whether anything has changed.

        Raises:
            SecretsUnavailable: it cannot be written.
        """
        ...


class ClusterSecrets:
    """`Secrets` of a namespace of the cluster that this process runs in.

    Args:
        namespace: their namespace.
        labels: that Secrets get which are made here.
        timeout_seconds: for the API server to answer.

    Raises:
        SecretsUnavailable: the process runs in no pod that has a service account's token.
    """

    def __init__(self, namespace: str, *, labels: Mapping[str, str], timeout_seconds: float) -> None:
        try:
            config.load_incluster_config()  # type: ignore[no-untyped-call]
        except config.ConfigException as error:
            message = f"this is no pod with the token of a service account ({error}): it must run in the cluster"
            raise SecretsUnavailable(message) from None
        self._api = client.CoreV1Api()
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
            raise self._refused("get", name, error) from None
        except urllib3.exceptions.HTTPError as error:
            raise _unreachable(error) from None
        return {key: base64.b64decode(value) for key, value in (secret.data or {}).items()}

    def write(self, name: str, content: Content) -> bool:
        """See the port."""
        there = self.read(name)
        if there == content:
            return False
        secret = client.V1Secret(
            metadata=client.V1ObjectMeta(name=name, labels=self._labels),
            type="Opaque",
            data={key: base64.b64encode(value).decode() for key, value in content.items()},
        )
        verb = "create" if there is None else "update"
        try:
            if there is None:
                self._api.create_namespaced_secret(self._namespace, secret, _request_timeout=self._timeout_seconds)
            else:
                self._api.replace_namespaced_secret(
                    name, self._namespace, secret, _request_timeout=self._timeout_seconds
                )
        except client.ApiException as error:
            raise self._refused(verb, name, error) from None
        except urllib3.exceptions.HTTPError as error:
            raise _unreachable(error) from None
        return True

    def _refused(self, verb: str, name: str, error: client.ApiException) -> SecretsUnavailable:
        advice = "its Role must allow it" if error.status in (401, 403) else "see to the API server, or try again"
        # Without the answer's body: it may repeat what was sent.
        message = f"the service account cannot {verb} the Secret {name} in namespace {self._namespace}"
        return SecretsUnavailable(f"{message} ({error.status} {error.reason}): {advice}")


def _unreachable(error: urllib3.exceptions.HTTPError) -> SecretsUnavailable:
    kind = type(getattr(error, "reason", None) or error).__name__
    return SecretsUnavailable(
        f"the API server does not answer ({kind}): if a NetworkPolicy is in the way, let this pod reach it"
    )
