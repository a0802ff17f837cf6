"""An object store of a demonstration: the store service, or versitygw. Starts a process, writes secrets."""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from services.local import s3_server
from services.local.consortium import write_secret
from services.local.processes import ProgramMissing, Services

StoreKind = Literal["local", "s3"]

BUCKET: Final = "consilo"


@dataclass(frozen=True)
class StorePlace:
    """A running store.

    Attributes:
        host: `host:port` by which it is reached, for the ledger's registrations.
        ledger_arguments: what the ledger service must be told to sign for it.
    """

    host: str
    ledger_arguments: dict[str, str | None]


async def start_store(
    kind: StoreKind, name: str, directory: Path, services: Services, *, store_url: str | None = None
) -> StorePlace:
    """Start a store, with new secrets.

    Args:
        kind: of store.
        name: of its service.
        directory: for objects and secrets.
        services: takes the process.
        store_url: base URL by which it is reached; default: its own.

    Raises:
        ProgramMissing: it is not installed.
        ServiceFailed: it did not start.
    """
    start = _start_s3 if kind == "s3" else _start_local
    own_url, arguments, option = await start(name, directory, services)
    url = store_url or own_url
    return StorePlace(urlsplit(url).netloc, {**arguments, option: url})


async def _start_local(name: str, directory: Path, services: Services) -> tuple[str, dict[str, str | None], str]:
    secret = directory / "store.secret"
    write_secret(secret)
    store = await services.start(
        name,
        "services.store",
        {"port": "0", "directory": str(directory / "objects"), "secret-file": str(secret)},
    )
    return store.url, {"store.secret-file": str(secret)}, "store.url"


async def _start_s3(name: str, directory: Path, services: Services) -> tuple[str, dict[str, str | None], str]:
    if shutil.which(s3_server.PROGRAM) is None:
        raise ProgramMissing(f"an S3 store needs {s3_server.PROGRAM}; {s3_server.MISSING}")
    access_key, secret_key = directory / "s3.access-key", directory / "s3.secret-key"
    for path in (access_key, secret_key):
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(16) + "\n", encoding="ascii")
    files = {"access-key-file": str(access_key), "secret-key-file": str(secret_key)}
    store = await services.start(
        name,
        "services.local.s3_server",
        {"port": "0", "directory": str(directory / "objects"), "bucket": BUCKET, **files},
    )
    arguments: dict[str, str | None] = {f"store.{option}": value for option, value in files.items()}
    return store.url, {"store.kind": "s3", "store.bucket": BUCKET, **arguments}, "store.public-endpoint-url"
