"""From settings to a ledger on Fabric. Reads files; connects to peers once it is in the event loop.

Whatever can be known to be wrong without a network is found before the service starts. What a network says comes later,
from `check`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC
from pathlib import Path
from typing import Final

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from consilo.api.gateway import now_ms
from consilo.embedded.errors import EmbeddedLedgerError
from consilo.hosting.start import CannotStart
from consilo.identity.errors import IdentityFileError
from consilo.identity.files import encode_certificates, read_certificates, read_key
from services.ledger.fabric.adapter import FabricAdapter
from services.ledger.fabric.client import Deadlines, GatewayClient
from services.ledger.fabric.delivery import BlockClient
from services.ledger.fabric.peers import Peer
from services.ledger.fabric.replica import Replica
from services.ledger.fabric.settings import FabricPeer, FabricSettings
from services.ledger.fabric.signing import ClientIdentity, signer

_OPTIONS: Final = (
    # Fabric's own bound of a message; a block may hold many transactions.
    ("grpc.max_receive_message_length", 100 * 2**20),
    ("grpc.max_send_message_length", 100 * 2**20),
    # The details of an error hold a message of each peer that was asked.
    ("grpc.max_metadata_size", 64 * 2**10),
    ("grpc.absolute_max_metadata_size", 64 * 2**10),
    # No more often than peers allow (`peer.keepalive.minInterval` is a minute).
    ("grpc.keepalive_time_ms", 120_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # A peer that is back is found soon.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # What is tried again is decided in one place, which is not gRPC.
    ("grpc.enable_retries", 0),
)


def prepare_fabric(
    settings: FabricSettings, *, clock: Callable[[], int] = now_ms
) -> Callable[[], Awaitable[FabricAdapter]]:
    """Read all files, and open the replica.

    Args:
        settings: names, files and limits.
        clock: of the time that a transaction claims, milliseconds since 1970-01-01 UTC.

    Returns:
        What opens the ledger, inside the running event loop. It raises nothing.

    Raises:
        CannotStart: a file cannot be used; the message says which, and what to do.
    """
    try:
        identity = load_client_identity(settings.msp, settings.certificate_file, settings.key_file)
        roots = [_roots(peer) for peer in settings.peers]
        replica = Replica(settings.state_file, channel=settings.channel, chaincode=settings.chaincode)
    except (IdentityFileError, EmbeddedLedgerError) as error:
        raise CannotStart(error.message) from None

    async def open_ledger() -> FabricAdapter:
        connections = [connect(peer, pem) for peer, pem in zip(settings.peers, roots, strict=True)]
        peers = [
            _peer(settings, peer, identity, connection)
            for peer, connection in zip(settings.peers, connections, strict=True)
        ]
        return FabricAdapter(settings, identity, replica, peers, connections, clock=clock)

    return open_ledger


def load_client_identity(msp: str, certificate_file: Path, key_file: Path) -> ClientIdentity:
    """Read the identity with which a gateway speaks to peers.

    Raises:
        IdentityFileError: a file cannot be used.
        CannotStart: certificate and key do not belong together, are of another kind than Fabric's, or have expired.
    """
    (der, *_) = read_certificates(certificate_file)
    certificate = x509.load_der_x509_certificate(der)
    key = read_key(key_file)
    if certificate.public_key() != key.public_key():
        raise CannotStart(f"{key_file} is not the key of the certificate in {certificate_file}")
    try:
        sign = signer(key)
    except ValueError as error:
        raise CannotStart(f"{key_file} holds {error}") from None
    ends = certificate.not_valid_after_utc
    identity = ClientIdentity(
        msp=msp,
        certificate=certificate.public_bytes(Encoding.PEM),
        sign=sign,
        expires_at=int(ends.timestamp() * 1000),
    )
    if identity.expires_at <= now_ms():
        raise CannotStart(f"the certificate in {certificate_file} expired at {ends.astimezone(UTC)}: renew it")
    return identity


def connect(peer: FabricPeer, roots: bytes) -> grpc.aio.Channel:
    """A connection to a peer, inside the running event loop; nothing is sent before it is used.

    Args:
        peer: where to.
        roots: PEM of the CAs of its TLS certificate.
    """
    options = list(_OPTIONS)
    if peer.server_name is not None:
        options.append(("grpc.ssl_target_name_override", peer.server_name))  # type: ignore[arg-type]
    return grpc.aio.secure_channel(peer.address, grpc.ssl_channel_credentials(roots), options=options)


def _peer(settings: FabricSettings, peer: FabricPeer, identity: ClientIdentity, connection: grpc.aio.Channel) -> Peer:
    gateway = GatewayClient(
        connection,
        identity,
        channel=settings.channel,
        chaincode=settings.chaincode,
        deadlines=Deadlines(
            evaluate_seconds=settings.evaluate_timeout_seconds,
            endorse_seconds=settings.endorse_timeout_seconds,
            submit_seconds=settings.submit_timeout_seconds,
            commit_status_seconds=settings.commit_timeout_seconds,
        ),
    )
    blocks = BlockClient(
        connection, identity, channel=settings.channel, deadline_seconds=settings.block_timeout_seconds
    )
    return Peer(msp=peer.msp, address=peer.address, gateway=gateway, blocks=blocks)


def _roots(peer: FabricPeer) -> bytes:
    return encode_certificates(read_certificates(peer.tls_ca_file))
