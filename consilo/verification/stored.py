"""What the stores hold, compared with the ledger's digests. Does network I/O; nothing touches the disk.

Memory is one block, whatever the size of the object.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from consilo.api.errors import ApiError, GatewayUnavailable, LedgerRolledBack
from consilo.api.party import Party, Place
from consilo.api.patience import is_away
from consilo.api.transfer_errors import ObjectMissing, SizeMismatch, TransferError, TransferUnavailable
from consilo.api.transfers import open_download
from consilo.protocol.bodies import ArtifactReference
from consilo.protocol.specification import Artifact
from consilo.verification.threads import in_own_thread

_BLOCK_BYTES: Final = 1024 * 1024

Condition = Literal["ok", "wrong", "missing", "unavailable", "refused"]


@dataclass(frozen=True)
class Stored:
    """What became of one object.

    Attributes:
        condition: `ok`: its digest is the ledger's. `wrong`: the store serves other bytes. `missing`: the store does
            not have it. `unavailable`: its store or gateway is away. `refused`: they say no.
        detail: in words; holds no URL with a signature.
    """

    condition: Condition
    detail: str


async def check_stored(party: Party, run: str, reference: ArtifactReference, artifact: Artifact) -> Stored:
    """Fetch an object and compare its digest. Waits for who is away as long as the party's patience lasts.

    Args:
        party: who reads; its access is recorded where the run's policy demands it.
        run: name of the run.
        reference: of the object.
        artifact: what the ledger has about it.

    Raises:
        LedgerRolledBack: the ledger lost blocks.
    """

    async def attempt() -> str:
        place = await party.place_to_get(run, reference, artifact.organisation)
        stop = threading.Event()
        try:
            return await in_own_thread(lambda: _digest(party, place, artifact.size_bytes, stop), "check an object")
        except asyncio.CancelledError:
            stop.set()
            raise

    try:
        found = await party.patience("fetch an artifact", attempt)
    except ObjectMissing:
        return Stored("missing", f"missing at {artifact.organisation}")
    except SizeMismatch as error:
        return Stored("wrong", f"{artifact.organisation} serves an object of another size: {error}")
    except LedgerRolledBack:
        raise
    except GatewayUnavailable as error:
        return Stored("unavailable", f"the gateway of {artifact.organisation} is away: {error.message}")
    except ApiError as error:
        return Stored("refused", f"the gateway of {artifact.organisation} says {error}")
    except TransferError as error:
        condition: Condition = "unavailable" if is_away(error) else "refused"
        return Stored(condition, f"the store of {artifact.organisation}: {error}")
    if found != artifact.sha256:
        return Stored("wrong", f"{artifact.organisation} serves an object with SHA-256 {found}")
    return Stored("ok", "")


def _digest(party: Party, place: Place, size_bytes: int, stop: threading.Event) -> str:
    """SHA-256 of an object of the size that the ledger has, whatever the gateway says."""
    settings = party.settings
    digest = hashlib.sha256()
    block = memoryview(bytearray(min(_BLOCK_BYTES, size_bytes)))
    with open_download(
        place.request,
        expected_bytes=size_bytes,
        allowed_hosts=place.allowed_hosts,
        timeout_seconds=settings.transfer_timeout_seconds,
        ca_file=None if settings.ca_file is None else Path(settings.ca_file),
        networks=place.networks,
        pace=settings.pace,
    ) as download:
        while count := download.readinto(block):
            if stop.is_set():
                raise TransferUnavailable("given up")
            digest.update(block[:count])
    return digest.hexdigest()
