"""Starts the ledger service: `python -m services.ledger --help`."""

from __future__ import annotations

import sys

from consilo.embedded.blocks import decode_genesis
from consilo.embedded.errors import EmbeddedLedgerError
from consilo.embedded.ledger import EmbeddedLedger
from consilo.embedded.settings import LedgerSettings as EmbeddedLimits
from consilo.hosting.start import CannotStart, run_service
from consilo.hosting.web import serve_web
from consilo.identity.errors import IdentityError
from consilo.identity.identity import Identity
from consilo.store.errors import StoreError
from consilo.store.local import LocalObjectStore
from consilo.store.signing import SigningSecrets
from services.ledger.app import create_app
from services.ledger.embedded import EmbeddedAdapter
from services.ledger.settings import EmbeddedSettings, LedgerSettings


def serve(settings: LedgerSettings) -> None:
    """Run the service until a signal ends it.

    Raises:
        CannotStart: identity, ledger, store secret or address cannot be used; the message says which.
    """
    try:
        identity = Identity.load(settings.identity)
        secrets = SigningSecrets.from_file(settings.store.secret_file)
        ledger = open_embedded(settings.embedded)
    except (IdentityError, StoreError, EmbeddedLedgerError, OSError) as error:
        raise CannotStart(str(error)) from None

    async def open_ledger() -> EmbeddedAdapter:
        return EmbeddedAdapter(ledger)

    app = create_app(
        settings, identity=identity, store=LocalObjectStore(settings.store.url, secrets), open_ledger=open_ledger
    )
    serve_web(
        app,
        host=settings.host,
        port=settings.port,
        shutdown_grace_seconds=settings.shutdown_grace_seconds,
        max_connections=settings.max_connections,
    )


def open_embedded(settings: EmbeddedSettings) -> EmbeddedLedger:
    """Open the ledger's file, made from its genesis when it is missing.

    Raises:
        CannotStart: it is missing and there is no genesis.
        EmbeddedLedgerError: it cannot be opened.
    """
    limits = EmbeddedLimits(
        max_queued_transactions=settings.max_queued_transactions,
        max_block_transactions=settings.max_block_transactions,
    )
    if not settings.file.exists():
        if settings.genesis_file is None:
            raise CannotStart(f"there is no ledger at {settings.file}: name a genesis file, or the right ledger")
        EmbeddedLedger.create(settings.file, decode_genesis(settings.genesis_file.read_bytes()))
    return EmbeddedLedger.open(settings.file, settings=limits)


if __name__ == "__main__":
    sys.exit(run_service(LedgerSettings, serve))
