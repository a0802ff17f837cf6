"""The cache of chains answers as the verification does, at every time, and stays small."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from consilo.identity.chains import ChainCache
from consilo.protocol.certificates import CertificateError, verify_chain
from tests.unit.identity.factory import DAY, NOW, make_issuer, make_leaf

ROOT = make_issuer()
LEAF = make_leaf(ROOT, end=NOW + DAY)


def test_a_remembered_chain_is_the_same_as_a_verified_one() -> None:
    cache = ChainCache()
    first = cache.verify([LEAF], [ROOT.der], NOW)
    assert first == verify_chain([LEAF], [ROOT.der], NOW)
    assert cache.verify([LEAF], [ROOT.der], NOW + 1) is first
    assert len(cache) == 1


@pytest.mark.parametrize("time", [NOW - DAY - 1, NOW + DAY + 1])
def test_a_remembered_chain_still_expires(time: int) -> None:
    cache = ChainCache()
    cache.verify([LEAF], [ROOT.der], NOW)
    with pytest.raises(CertificateError) as caught:
        cache.verify([LEAF], [ROOT.der], time)
    assert caught.value.code == "certificate-expired"


def test_a_remembered_chain_ends_with_its_root() -> None:
    root = make_issuer(end=NOW + 1000)
    cache, leaf = ChainCache(), make_leaf(root)
    cache.verify([leaf], [root.der], NOW)
    with pytest.raises(CertificateError) as caught:
        cache.verify([leaf], [root.der], NOW + 2000)
    assert caught.value.code == "certificate-expired"


def test_a_chain_is_remembered_for_its_roots_alone() -> None:
    cache = ChainCache()
    cache.verify([LEAF], [ROOT.der], NOW)
    with pytest.raises(CertificateError) as caught:
        cache.verify([LEAF], [make_issuer().der], NOW)
    assert caught.value.code == "certificate-untrusted"


def test_more_certificates_are_another_chain() -> None:
    cache = ChainCache()
    cache.verify([LEAF], [ROOT.der], NOW)
    with pytest.raises(CertificateError):
        cache.verify([LEAF, ROOT.der], [ROOT.der], NOW)


def test_failures_are_not_remembered() -> None:
    cache = ChainCache()
    for _ in range(3):
        with pytest.raises(CertificateError):
            cache.verify([make_leaf(make_issuer("other"))], [ROOT.der], NOW)
    assert len(cache) == 0


def test_the_chains_used_least_recently_are_forgotten() -> None:
    cache = ChainCache(max_chains=2)
    leaves = [make_leaf(ROOT) for _ in range(3)]
    first = cache.verify([leaves[0]], [ROOT.der], NOW)
    cache.verify([leaves[1]], [ROOT.der], NOW)
    cache.verify([leaves[0]], [ROOT.der], NOW)
    cache.verify([leaves[2]], [ROOT.der], NOW)
    assert len(cache) == 2
    assert cache.verify([leaves[0]], [ROOT.der], NOW) is first


def test_a_cache_of_size_0_keeps_nothing() -> None:
    cache = ChainCache(max_chains=0)
    cache.verify([LEAF], [ROOT.der], NOW)
    assert len(cache) == 0


def test_threads_share_a_cache() -> None:
    cache = ChainCache(max_chains=3)
    leaves = [make_leaf(ROOT) for _ in range(6)]
    with ThreadPoolExecutor(4) as pool:
        chains = list(pool.map(lambda number: cache.verify([leaves[number % 6]], [ROOT.der], NOW), range(120)))
    assert [chain.member.serial for chain in chains[:6]] * 20 == [chain.member.serial for chain in chains]
    assert len(cache) == 3
