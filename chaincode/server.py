"""The gRPC server that peers connect to. Listens on a socket; asyncio.

For chaincode as a service the roles are turned round: the peer dials, and calls `protos.Chaincode/Connect`; on the
stream that it opens, the chaincode registers and then serves the peer's transactions.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import Any, Final

import grpc
import structlog

from chaincode.errors import ProtocolViolation
from chaincode.functions import Functions
from chaincode.package_id import package_id_of
from chaincode.settings import ChaincodeSettings
from chaincode.stream import PeerStream
from chaincode.transaction import run_transaction
from consilo.hosting.start import CannotStart

log = structlog.get_logger(__name__)

_SHORTEST_PING_MS: Final = 30_000

Context = grpc.aio.ServicerContext[bytes, bytes]


class _Wire:
    """A stream of gRPC as the frames of a `PeerStream`."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def read(self) -> bytes | None:
        frame: object = await self._context.read()
        return frame if isinstance(frame, bytes) else None  # else it is `grpc.aio.EOF`

    async def write(self, frame: bytes) -> None:
        await self._context.write(frame)


class ChaincodeServer:
    """Serves peers. Make, start and stop it in one event loop.

    Args:
        settings: limits, address, secrets' files.
        functions: the chaincode's.
    """

    def __init__(self, settings: ChaincodeSettings, functions: Functions) -> None:
        self._settings = settings
        self._functions = functions
        self._streams: set[PeerStream] = set()
        self._executor = ThreadPoolExecutor(settings.max_running_transactions, thread_name_prefix="transaction")
        self._server = grpc.aio.server(options=_options(settings), maximum_concurrent_rpcs=settings.max_peers)
        connect: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(self._connect)
        service = grpc.method_handlers_generic_handler("protos.Chaincode", {"Connect": connect})
        self._server.add_generic_rpc_handlers((service,))
        self._ending = False
        self.package_id = ""
        self.port = 0

    async def start(self) -> None:
        """Listen; `port` is then the one taken, and `package_id` the one under which it registers.

        Raises:
            CannotStart: a certificate cannot be used, or the address not be listened on.
        """
        self.package_id = package_id_of(self._settings)
        host = self._settings.host
        address = f"[{host}]:{self._settings.port}" if ":" in host else f"{host}:{self._settings.port}"
        credentials = _credentials(self._settings.tls_certificate_file, self._settings.tls_key_file)
        try:
            if credentials is None:
                self.port = self._server.add_insecure_port(address)
            else:
                self.port = self._server.add_secure_port(address, credentials)
        except RuntimeError:
            raise CannotStart(f"cannot listen on {address}: is it in use?") from None
        await self._server.start()

    async def stop(self) -> None:
        """End: running transactions get their answers, within the grace, and no others begin."""
        self._ending = True
        for stream in self._streams:
            stream.end()
        await self._server.stop(self._settings.shutdown_grace_seconds)
        # Their streams are gone, so no transaction waits for anything any more.
        await asyncio.to_thread(self._executor.shutdown)

    async def _connect(self, _: object, context: Context) -> None:
        peer, start = context.peer(), monotonic()
        stream = PeerStream(
            _Wire(context),
            package_id=self.package_id,
            run=functools.partial(run_transaction, functions=self._functions),
            executor=self._executor,
            answer_timeout_seconds=self._settings.answer_timeout_seconds,
            registration_timeout_seconds=self._settings.registration_timeout_seconds,
        )
        self._streams.add(stream)
        if self._ending:  # it was accepted in the last moment
            stream.end()
        reason = "the connection is gone"
        with structlog.contextvars.bound_contextvars(peer=peer):
            log.info("a peer has connected")
            try:
                await stream.serve()
                reason = "ended in order"
            except ProtocolViolation as error:
                reason = str(error)
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, reason)
            finally:
                self._streams.discard(stream)
                seconds = round(monotonic() - start, 3)
                log.info("a peer has gone", reason=reason, seconds=seconds, transactions=stream.transactions)


def _options(settings: ChaincodeSettings) -> list[tuple[str, Any]]:
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        # Peers send signs of life on idle connections; a server that minds them drops the connection after minutes.
        ("grpc.http2.min_ping_interval_without_data_ms", _SHORTEST_PING_MS),
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.keepalive_time_ms", round(settings.keepalive_seconds * 1000)),
        ("grpc.keepalive_timeout_ms", round(settings.keepalive_timeout_seconds * 1000)),
        ("grpc.http2.max_pings_without_data", 0),
        # A second server on the same port must fail, not take half of the peers.
        ("grpc.so_reuseport", 0),
    ]


def _credentials(certificate_file: Path | None, key_file: Path | None) -> grpc.ServerCredentials | None:
    if certificate_file is None or key_file is None:
        return None
    try:
        # gRPC takes anything and fails every handshake afterwards, so look first. An empty password: it must not ask.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate_file, key_file, password=b"")
        return grpc.ssl_server_credentials([(key_file.read_bytes(), certificate_file.read_bytes())])
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise CannotStart(f"cannot serve TLS with {certificate_file} and {key_file}: {error}") from None
