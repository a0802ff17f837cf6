"""What of a store may be removed: what nobody recorded, and what is past its run's retention. Pure; no I/O.

The ledger says which objects its records name, and which of those may go (`consilo.protocol.retention`). An object that
no record names is an orphan: its upload was given up, or its record refused. It may also be one whose record is still
to come, so an orphan is left alone until it is older than the grace.

Only objects whose keys the gateway made for the organisations in question are judged: a store may hold other things.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from consilo.store.port import StoredObject

__all__ = ["Judgement", "Names", "judge"]

_MADE_KEY = re.compile(r"[^/]+/(?P<msp>[^/]+)/[^/]+/[0-9a-f]{32}", re.ASCII)  # run, organisation, member (`unique_key`)

Judgement = Literal["keep", "expired", "orphan"]
"""`keep`: leave it alone. `expired`: past its run's retention. `orphan`: no record names it, and it is old enough."""


@dataclass(frozen=True, slots=True)
class Names:
    """What the ledger's records name in some organisations' stores.

    Attributes:
        collectable: By key: whether all records that name the object let it go.
        organisations: MSP ids of those organisations.
        as_of: Time up to which the ledger can tell what was recorded; milliseconds since 1970-01-01 UTC.
    """

    collectable: Mapping[str, bool]
    organisations: Collection[str]
    as_of: int


def judge(objects: Iterable[StoredObject], names: Names, *, orphan_grace_seconds: float) -> dict[str, Judgement]:
    """What is to become of each of these objects, by key.

    Args:
        objects: Listed before the names were read: what is newer than the names is not judged by them.
        names: What the ledger names.
        orphan_grace_seconds: Age, as of `names.as_of`, from which on an object that no record names is an orphan.
    """
    owners = {msp.lower() for msp in names.organisations}
    return {stored.key: _judge(stored, names, owners, round(orphan_grace_seconds * 1000)) for stored in objects}


def _judge(stored: StoredObject, names: Names, owners: Collection[str], grace_ms: int) -> Judgement:
    made = _MADE_KEY.fullmatch(stored.key)
    if made is None or made["msp"] not in owners:
        return "keep"
    collectable = names.collectable.get(stored.key)
    if collectable is not None:
        return "expired" if collectable else "keep"
    return "orphan" if stored.modified_at + grace_ms < names.as_of else "keep"
