"""Starts the ledger service: `python -m services.ledger --help`."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable

from consilo.embedded.blocks import decode_genesis
from consilo.embedded.errors import EmbeddedLedgerError
from consilo.embedded.ledger import EmbeddedLedger
from consilo.embedded.settings import LedgerSettings as EmbeddedLimits
from consilo.hosting.connections import Bounds
from consilo.hosting.start import CannotStart, run_service
from consilo.hosting.web import serve_web
from consilo.identity.errors import IdentityError
from consilo.identity.identity import Identity
from consilo.protocol.refusals import InvalidInput
from consilo.store.errors import StoreError
from consilo.store.local import LocalObjectStore
from consilo.store.port import ObjectStore
from consilo.store.signing import SigningSecrets
from services.ledger.app import create_app
from services.ledger.embedded import EmbeddedAdapter
from services.ledger.port import Ledger
from services.ledger.settings import EmbeddedSettings, LedgerSettings, S3StoreAccess, StoreAccess


def serve(settings: LedgerSettings) -> None:
    """Run the service until a signal ends it.

    Raises:
        CannotStart: identity, ledger, store's secrets or address cannot be used; the message says which.
    """
    try:
        identity = Identity.load(settings.identity)
        if identity.role != "gateway":
            raise CannotStart(f"{settings.identity} has the role {identity.role}; this service needs a gateway's")
        store = open_store(settings.store)
        open_ledger = prepare_ledger(settings, identity)
    except (IdentityError, StoreError, EmbeddedLedgerError, OSError) as error:
        raise CannotStart(str(error)) from None
    app = create_app(settings, identity=identity, store=store, open_ledger=open_ledger)
    serve_web(
        app,
        host=settings.host,
        port=settings.port,
        shutdown_grace_seconds=settings.shutdown_grace_seconds,
        bounds=Bounds(
            max_connections=settings.max_connections,
            head_timeout_seconds=settings.head_timeout_seconds,
            max_head_bytes=settings.max_head_bytes,
            stall_timeout_seconds=settings.stall_timeout_seconds,
        ),
        on_end=app.state.services.ending.set,
    )


def open_store(access: StoreAccess) -> ObjectStore:
    """The adapter that signs URLs; it connects to nothing.

    Raises:
        CannotStart: what it needs is not installed, or its address is none.
        StoreError: its secrets cannot be used.
    """
    if isinstance(access, S3StoreAccess):
        try:
            # Here, so that a gateway of a local store does without botocore.
            from consilo.store.s3 import S3ObjectStore
        except ModuleNotFoundError as error:
            raise CannotStart(f"a store of kind s3 needs {error.name}: install the extra `s3`") from None
        return S3ObjectStore(access)
    secrets = SigningSecrets.from_file(access.secret_file)
    try:
        return LocalObjectStore(access.url, secrets)
    except ValueError as error:
        raise CannotStart(str(error)) from None


def prepare_ledger(settings: LedgerSettings, identity: Identity) -> Callable[[], Awaitable[Ledger]]:
    """Open the files of the ledger that is set up; what is returned opens the rest, inside the event loop.

    Raises:
        CannotStart: settings contradict each other, or a file or package is missing.
        EmbeddedLedgerError: the embedded ledger cannot be opened.
    """
    if settings.fabric is not None:
        if settings.fabric.msp != identity.msp:
            message = f"the client identity is of MSP {settings.fabric.msp}, the gateway's own of {identity.msp}"
            raise CannotStart(f"{message}: a gateway speaks for one organisation on Fabric")
        if set(settings.organisations) - {identity.msp}:
            message = f"on Fabric, each organisation has a gateway of its own: this is the one of {identity.msp}"
            raise CannotStart(f"{message}; leave out the setting `organisations`")
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its own lines are no log's; its errors come as exceptions
        try:
            # Here, so that a gateway of an embedded ledger does without gRPC.
            from services.ledger.fabric.opening import prepare_fabric
        except ModuleNotFoundError as error:
            raise CannotStart(f"a ledger on Fabric needs {error.name}: install the extra `fabric`") from None
        return prepare_fabric(settings.fabric)
    assert settings.embedded is not None  # noqa: S101 - there is exactly one
    ledger = open_embedded(settings.embedded)

    async def open_ledger() -> EmbeddedAdapter:
        return EmbeddedAdapter(ledger)

    return open_ledger


def open_embedded(settings: EmbeddedSettings) -> EmbeddedLedger:
    """Open the ledger's file, made from its genesis when it is missing.

    Raises:
        CannotStart: it is missing and there is no genesis, or what is named as one is none.
        EmbeddedLedgerError: it cannot be opened.
    """
    limits = EmbeddedLimits(
        max_queued_transactions=settings.max_queued_transactions,
        max_block_transactions=settings.max_block_transactions,
    )
    if not settings.file.exists():
        if settings.genesis_file is None:
            raise CannotStart(f"there is no ledger at {settings.file}: name a genesis file, or the right ledger")
        try:
            genesis = decode_genesis(settings.genesis_file.read_bytes())
        except InvalidInput as error:
            raise CannotStart(f"{settings.genesis_file} is no genesis: {error.message}") from None
        EmbeddedLedger.create(settings.file, genesis)
    return EmbeddedLedger.open(settings.file, settings=limits)


if __name__ == "__main__":
    sys.exit(run_service(LedgerSettings, serve))
