"""The stores that the contract is tried on, each a real one in a process of its own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from consilo.store.local import LocalObjectStore, wall_clock
from consilo.store.port import ObjectStore
from consilo.store.signing import SigningSecrets
from tests.unit.store.running import SECRET, running_store
from tests.unit.store.running_s3 import need_versitygw, running_s3


@dataclass
class StoreUnderTest:
    """A store, and what the tests must know to look behind it."""

    adapter: ObjectStore
    at_time: Callable[[int], ObjectStore]
    """The same store, signing as if it were so many milliseconds later."""
    host: str
    leftovers: Callable[[], set[str]]
    """What lies in the store besides whole objects."""
    keeps_what_was_cut: bool
    """Whether it is a server that may break the last promise of the port: not ours to mend, but to notice."""


@contextmanager
def local_store(base: Path) -> Iterator[StoreUnderTest]:
    with running_store(base, "--max-object-bytes", str(64 << 20)) as service:
        yield StoreUnderTest(
            adapter=service.adapter,
            at_time=lambda later: LocalObjectStore(
                service.url, SigningSecrets([SECRET]), clock=lambda: wall_clock() + later
            ),
            host=service.host,
            leftovers=lambda: {name for name in service.files() if name.startswith(".")},
            keeps_what_was_cut=False,
        )


@contextmanager
def s3_store(base: Path) -> Iterator[StoreUnderTest]:
    need_versitygw()
    with running_s3(base) as server:
        yield StoreUnderTest(
            adapter=server.adapter(),
            at_time=server.adapter,
            host=server.host,
            leftovers=lambda: {name for name in server.files() if not name.startswith("models/of-tests/")},
            keeps_what_was_cut=True,
        )


STORES = {"local": local_store, "s3": s3_store}
