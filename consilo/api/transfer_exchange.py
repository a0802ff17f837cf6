"""One HTTP request of a bulk transfer, and what its failures mean. Does network I/O; used by `transfers.py` only."""

import contextlib
import http.client
import re
import select
import socket
import ssl
import struct
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from consilo.api.networks import AddressNotAllowed, Networks, connect
from consilo.api.transfer_errors import HostNotAllowed, TransferError, TransferRefused, TransferUnavailable
from consilo.api.transfer_refusals import refusal
from consilo.store.port import SignedRequest, without_query

_DEFAULT_PORTS = {"http": 80, "https": 443}
_SUCCESS = {"GET": frozenset({200}), "PUT": frozenset({200, 201, 204})}
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: on, and wait 0 s
_URL = re.compile(r"[\x21-\x7e]{1,16384}", re.ASCII)


class Exchange:
    """A request to an allowed host: connected, sent, answered, closed.

    Attributes:
        name: The URL without its query, for messages.
    """

    def __init__(
        self,
        request: SignedRequest,
        method: str,
        *,
        allowed_hosts: Collection[str],
        timeout_seconds: float,
        total_timeout_seconds: float | None,
        ca_file: Path | None,
        networks: Networks | None,
    ) -> None:
        """Checks the request; does not connect.

        Raises:
            ValueError: The request was signed for another method.
            HostNotAllowed: Its host is not allowed.
            TransferRefused: Its URL is not one of http or https.
        """
        if request.method != method:
            raise ValueError(f"the request was signed for {request.method}, not for {method}")
        self.name = without_query(request.url)
        self._request = request
        self._total_timeout_seconds = total_timeout_seconds
        self._timer: threading.Timer | None = None
        self._response: http.client.HTTPResponse | None = None
        self._overdue = False
        scheme, host, port, self._target = _split(request.url, self.name)
        names = {f"{host}:{port}", host} if port == _DEFAULT_PORTS[scheme] else {f"{host}:{port}"}
        if names.isdisjoint(allowed_hosts):
            raise HostNotAllowed(f"{host}:{port} is not a registered host of a store: {self.name}")
        self._address, self._port, self._networks = host.strip("[]"), port, networks
        self._timeout_seconds = timeout_seconds
        self._context: ssl.SSLContext | None = None
        self._connection: http.client.HTTPConnection
        if scheme == "https":
            self._context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
            self._connection = http.client.HTTPSConnection(self._address, port, context=self._context)
        else:
            self._connection = http.client.HTTPConnection(self._address, port)

    @property
    def is_encrypted(self) -> bool:
        """Whether the connection is TLS, so that bytes must pass through this process."""
        return isinstance(self._connection.sock, ssl.SSLSocket)

    def start(self, headers: Mapping[str, str]) -> None:
        """Connects and sends the request's head; the signed headers win over `headers`.

        Raises:
            HostNotAllowed: The host lies in a network to which it may not lead; nothing was sent.
            TransferUnavailable: No connection.
            TransferRefused: The server's certificate is not to be trusted, or the signed headers are not headers.
        """
        with self.explained():
            self._connection.sock = self._connect()
            if self._total_timeout_seconds is not None:
                self._timer = threading.Timer(self._total_timeout_seconds, self._cut, [self._connection.sock])
                self._timer.daemon = True
                self._timer.start()
            merged = {name.lower(): value for name, value in {**headers, **self._request.headers}.items()}
            self._connection.putrequest(self._request.method, self._target, skip_accept_encoding=True)
            for name, value in merged.items():
                if name != "host":  # signed too, but http.client sends it already
                    self._connection.putheader(name, value)
            self._connection.endheaders()

    def _connect(self) -> socket.socket:
        # Not by http.client, which would resolve the name once more.
        try:
            plain = connect(self._address, self._port, timeout_seconds=self._timeout_seconds, networks=self._networks)
        except AddressNotAllowed as error:
            raise HostNotAllowed(f"{error}: {self.name}") from None
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._context is None:
            return plain
        try:
            return self._context.wrap_socket(plain, server_hostname=self._address)
        except BaseException:
            plain.close()
            raise

    @contextmanager
    def sending(self) -> Iterator[http.client.HTTPConnection]:
        """For sending a piece of the body: if the store refuses meanwhile, its refusal is raised.

        Raises:
            TransferError: The store answered before the end of the body, or cannot be reached any more.
        """
        # A TLS connection is readable for reasons of its own, so there an early answer shows by a failing send.
        if not self.is_encrypted and select.select([self._connection.sock], [], [], 0)[0]:
            self._raise_early_answer()
        try:
            with self.explained():
                yield self._connection
        except TransferUnavailable:
            if not self._overdue:
                with contextlib.suppress(TransferUnavailable):  # then the first failure says it better
                    self._raise_early_answer()
            raise

    def response(self) -> http.client.HTTPResponse:
        """Waits for the answer and returns it if it is a success.

        Raises:
            TransferError: It is not; which kind says why.
        """
        with self.explained():
            response = self._response = self._connection.getresponse()
        if response.status not in _SUCCESS[self._request.method]:
            raise refusal(response, name=self.name, expires_at=self._request.expires_at)
        return response

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turns what http.client and sockets raise into errors of this package, without the URL's query."""
        try:
            yield
        except TransferError:
            raise
        except ssl.SSLCertVerificationError as error:
            raise TransferRefused(f"{error.verify_message}: {self.name}") from None
        except (OSError, http.client.HTTPException, AttributeError) as error:
            # AttributeError: http.client's way to say that the connection was closed, by another thread or before.
            if self._overdue:
                raise TransferUnavailable(f"took longer than {self._total_timeout_seconds} s: {self.name}") from None
            reason = error.strerror if isinstance(error, OSError) else None
            raise TransferUnavailable(f"{reason or type(error).__name__}: {self.name}") from None
        except ValueError:  # a signed header with a line feed in it
            raise TransferRefused(f"the signed request has headers that cannot be sent: {self.name}") from None

    def was_cut(self) -> TransferUnavailable:
        """The error for a body that ended too early."""
        why = f"took longer than {self._total_timeout_seconds} s" if self._overdue else "cut off before the end"
        return TransferUnavailable(f"{why}: {self.name}")

    def close(self) -> None:
        """Closes the connection, at any time and as often as wanted."""
        if self._timer is not None:
            self._timer.cancel()
        if self._response is not None:  # owns the socket when the store closes after its answer
            self._response.close()
        self._connection.close()

    def reset(self) -> None:
        """Closes the connection so that the peer sees an error, and not the end of a body; as often as wanted."""
        if self._connection.sock is not None:
            with contextlib.suppress(OSError):
                self._connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.close()

    def _cut(self, connection: socket.socket) -> None:
        # Ends any wait of the transferring thread, also one on a store that sends a byte now and then.
        self._overdue = True
        with contextlib.suppress(OSError):
            socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def _raise_early_answer(self) -> None:
        self.response()
        raise TransferRefused(f"the store answered before it had all bytes: {self.name}")


def _split(url: str, name: str) -> tuple[str, str, int, str]:
    # Scheme, host (with brackets if IPv6), port, path and query.
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise TransferRefused("the store's URL is not a URL") from None
    strange = parts.scheme not in _DEFAULT_PORTS or not host or "@" in parts.netloc or "#" in url
    if strange or host is None or _URL.fullmatch(url) is None:
        raise TransferRefused(f"not an http or https URL of a host, path and query: {name}")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    shown = f"[{host}]" if ":" in host else host
    return parts.scheme, shown, _DEFAULT_PORTS[parts.scheme] if port is None else port, target
