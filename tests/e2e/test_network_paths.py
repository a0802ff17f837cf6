"""Network paths that must not be there, tried from real pods, each beside ones that must be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import pytest
import pytest_asyncio

from k8s.organisations import FABRIC
from tests.e2e.harness import ROLE, Trial
from tests.e2e.paths import OUTSIDE, OUTSIDE_PORT, outsider, reachable, remove_outsider

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300, func_only=True)]

OUT_THERE: Final = f"outside.{OUTSIDE}:{OUTSIDE_PORT}"
API_SERVER: Final = "kubernetes.default:443"
ORDERER: Final = "orderer-0.fabric:7050"


def gateway(letter: str) -> str:
    return f"consilo-gateway.hospital-{letter}:8080"


def store(letter: str) -> str:
    return f"consilo-store.hospital-{letter}:8090"


def silo(letter: str) -> str:
    return f"consilo-silo-silo.hospital-{letter}:8070"


def peer(letter: str) -> str:
    return f"peer-hospital-{letter}.{FABRIC}:7051"


def chaincode(letter: str) -> str:
    return f"chaincode-hospital-{letter}.{FABRIC}:9999"


@dataclass(frozen=True)
class Paths:
    """From a pod: where it has to come to, and where it must not."""

    namespace: str
    role: str
    open: tuple[str, ...]
    closed: tuple[str, ...]


PATHS = [
    Paths(
        "hospital-a",
        "gateway",
        (peer("a"), store("a")),
        (peer("b"), ORDERER, chaincode("a"), silo("a"), silo("b"), API_SERVER, OUT_THERE),
    ),
    Paths(
        "hospital-b",
        "silo",
        (gateway("b"), store("a"), store("b")),
        (silo("a"), peer("b"), peer("a"), ORDERER, chaincode("b"), API_SERVER, OUT_THERE),
    ),
    Paths(
        "hospital-a",
        "aggregator",
        (gateway("a"), gateway("b"), store("a"), store("b"), store("c")),
        (silo("a"), silo("b"), peer("a"), ORDERER, chaincode("a"), API_SERVER, OUT_THERE),
    ),
    Paths(
        "hospital-c",
        "verifier",
        (gateway("c"), store("a"), store("b"), store("c")),
        (silo("a"), silo("c"), peer("c"), ORDERER, chaincode("c"), API_SERVER, OUT_THERE),
    ),
    Paths(
        "hospital-b",
        "store",
        (),
        (gateway("b"), silo("b"), store("a"), peer("b"), ORDERER, API_SERVER, OUT_THERE),
    ),
    Paths(
        FABRIC,
        "chaincode",
        (),
        (peer("a"), peer("b"), gateway("a"), store("a"), silo("a"), ORDERER, API_SERVER, OUT_THERE),
    ),
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def outside(trial: Trial) -> AsyncIterator[None]:
    """Somebody outside the consortium, who listens."""
    (pod,) = (await trial.pods("hospital-a", f"{ROLE}=aggregator"))[:1]
    container = pod["spec"]["containers"][0]
    try:
        await trial.cluster.apply(*outsider(container["image"], container["imagePullPolicy"]))
        await trial.cluster.kubectl(
            "wait", "--for=condition=Ready", "pod/outside", "--timeout=60s", namespace=OUTSIDE, timeout_seconds=90
        )
        yield
    finally:
        await remove_outsider(trial.cluster)


@pytest.mark.parametrize("paths", PATHS, ids=lambda paths: f"{paths.namespace}-{paths.role}")
@pytest.mark.usefixtures("outside")
async def test_a_pod_comes_where_it_has_to_and_nowhere_else(trial: Trial, paths: Paths) -> None:
    selector = f"{ROLE}={paths.role}"
    found = await reachable(trial, paths.namespace, selector, [*paths.open, *paths.closed])
    assert found == dict.fromkeys(paths.open, True) | dict.fromkeys(paths.closed, False)


@pytest.mark.usefixtures("outside")
async def test_who_is_outside_comes_to_nobody_of_the_consortium(trial: Trial) -> None:
    closed = [each(letter) for each in (gateway, store, silo, peer, chaincode) for letter in "abc"] + [ORDERER]
    found = await reachable(trial, OUTSIDE, "app=outside", [OUT_THERE, API_SERVER, *closed])
    assert found == {OUT_THERE: True, API_SERVER: True} | dict.fromkeys(closed, False)
