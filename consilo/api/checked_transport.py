"""The HTTP transport to other organisations' gateways: connects only where `Networks` admits. Does network I/O (httpx).

httpx resolves names itself. So a request's host is replaced by the address that was resolved and admitted here; `Host`
and the name that TLS asks for and checks stay those of the URL.
"""

from __future__ import annotations

import asyncio
import socket

import httpx

from consilo.api.errors import GatewayNotAllowed
from consilo.api.networks import AddressNotAllowed, Networks


class CheckedTransport(httpx.AsyncBaseTransport):
    """Sends requests to admitted addresses only.

    Args:
        networks: where hosts may lie.
        inner: sends them. It must keep no connections: it would know them by address, not by name.
    """

    def __init__(self, networks: Networks, inner: httpx.AsyncBaseTransport) -> None:
        self._networks = networks
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """See httpx.

        Raises:
            GatewayNotAllowed: the host lies elsewhere; nothing was sent.
            httpx.HTTPError: as the inner transport does.
        """
        host = request.url.host
        try:
            entries = await asyncio.get_running_loop().getaddrinfo(host, request.url.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpx.ConnectError(error.strerror or type(error).__name__, request=request) from None
        try:
            addresses = self._networks.choose(host, [str(entry[4][0]) for entry in entries])
        except AddressNotAllowed as error:
            raise GatewayNotAllowed(str(error)) from None
        failure: httpx.HTTPError | None = None
        for address in addresses:
            directed = httpx.Request(
                request.method,
                request.url.copy_with(host=address),
                headers=request.headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": host},
            )
            try:
                return await self._inner.handle_async_request(directed)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:  # nothing was sent yet
                failure = error
        raise failure or httpx.ConnectError("the host has no address", request=request)

    async def aclose(self) -> None:
        """Let go of everything."""
        await self._inner.aclose()
