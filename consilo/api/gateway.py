"""The async client of one ledger service: one method per operation of its REST API. Does network I/O (httpx).

Each call is one request: no retries here (party.py and watch.py wait and try again). Every request carries a token that
is good for it alone.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import NoReturn, TypeVar
from urllib.parse import urlencode, urlsplit

import httpx

from consilo.api.checked_transport import CheckedTransport
from consilo.api.errors import AnswerInvalid, GatewayRefused, GatewayUnavailable
from consilo.api.models import (
    Committed,
    DownloadGrant,
    DownloadRequest,
    Head,
    LedgerInfo,
    Problem,
    SignedHead,
    UploadGrant,
    UploadRequest,
)
from consilo.api.networks import Networks
from consilo.api.settings import ApiSettings
from consilo.identity.identity import Identity
from consilo.identity.tokens import request_token
from consilo.protocol.model import Record
from consilo.protocol.queries import Organisations, Records, RunNames
from consilo.protocol.records import Organisation
from consilo.protocol.refusals import InvalidInput
from consilo.protocol.transaction import Transaction
from consilo.protocol.views import RoundSummary, RunStatus

R = TypeVar("R", bound=Record)

_UNAVAILABLE = frozenset({502, 503, 504})
_CLOCKS_DIFFER = "token-expired"
"""Tokens are made anew for each request: it is a clock that is wrong, here or there, until somebody sets it right."""


def now_ms() -> int:
    """The clock, in milliseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1_000_000


class Gateway:
    """The ledger service of one organisation.

    Args:
        url: its base URL.
        audience: MSP id of its organisation.
        identity: who asks.
        http: client to share; closed by whoever made it.
        settings: limits.

    Raises:
        AnswerInvalid: the URL is none.
    """

    def __init__(
        self, url: str, *, audience: str, identity: Identity, http: httpx.AsyncClient, settings: ApiSettings
    ) -> None:
        self.url = url.rstrip("/")
        self.audience = audience
        try:  # the ledger's form of URLs admits ports that there are not
            parts = urlsplit(self.url)
            self._path, _ = parts.path, parts.port
        except ValueError:
            raise AnswerInvalid(f"{url[:200]!r} is no URL of a gateway") from None
        self._identity = identity
        self._http = http
        self._settings = settings

    @staticmethod
    def http_client(settings: ApiSettings, *, networks: Networks | None = None) -> httpx.AsyncClient:
        """An HTTP client for gateways: no redirects, no proxies, bounded waits.

        Args:
            settings: limits.
            networks: to which the gateways must lead; None: to any.
        """
        verify = ssl.create_default_context(cafile=settings.ca_file)
        limits = httpx.Limits(
            max_connections=settings.max_connections, max_keepalive_connections=None if networks is None else 0
        )
        transport: httpx.AsyncBaseTransport = httpx.AsyncHTTPTransport(verify=verify, limits=limits, trust_env=False)
        if networks is not None:
            transport = CheckedTransport(networks, transport)
        return httpx.AsyncClient(
            timeout=httpx.Timeout(settings.request_timeout_seconds, connect=settings.connect_timeout_seconds),
            transport=transport,
            follow_redirects=False,
            trust_env=False,
        )

    async def info(self) -> LedgerInfo:
        """Name and kind of the ledger, and whose gateway this is. Needs no token."""
        return await self._call(LedgerInfo, "GET", "/v1/ledger", token=False)

    async def submit(self, transaction: Transaction) -> Committed:
        """Hand in a signed transaction, and wait until it is on the ledger."""
        return await self._call(Committed, "POST", "/v1/transactions", body=transaction, token=False)

    async def head(self) -> SignedHead:
        """The newest block that the service knows."""
        return await self._call(SignedHead, "GET", "/v1/head")

    async def hash_at(self, height: int) -> str | None:
        """Hash of the block of this height, or None when there is none."""
        try:
            return (await self._call(Head, "GET", f"/v1/blocks/{height}/head")).hash
        except GatewayRefused as error:
            if error.code == "block-unknown":
                return None
            raise

    async def blocks(self, start: int, limit: int) -> list[bytes]:
        """Canonical bytes of up to `limit` blocks from height `start` on."""
        data = await self._fetch("GET", f"/v1/blocks?{urlencode({'start': start, 'limit': limit})}")
        return data.splitlines()

    async def organisations(self) -> tuple[Organisation, ...]:
        """All organisations, each as its latest registration says."""
        return (await self._call(Organisations, "GET", "/v1/organisations")).organisations

    async def organisation(self, msp: str) -> Organisation:
        """One organisation, as its latest registration says."""
        return await self._call(Organisation, "GET", f"/v1/organisations/{msp}")

    async def run_names(self) -> tuple[str, ...]:
        """Names of all runs."""
        return (await self._call(RunNames, "GET", "/v1/runs")).runs

    async def run_status(self, run: str) -> RunStatus:
        """Where a run stands."""
        return await self._call(RunStatus, "GET", f"/v1/runs/{run}")

    async def round(self, run: str, round_number: int) -> RoundSummary:
        """One round of a run."""
        return await self._call(RoundSummary, "GET", f"/v1/runs/{run}/rounds/{round_number}")

    async def records(self, prefix: str, *, after: str = "", limit: int = 1000) -> Records:
        """A page of the ledger's records: those after a key that start with a prefix (which ends in a slash)."""
        query = urlencode({"prefix": prefix, "after": after, "limit": limit})
        return await self._call(Records, "GET", f"/v1/records?{query}")

    async def upload(self, request: UploadRequest) -> UploadGrant:
        """A place for an artifact in the store of the sender's organisation."""
        return await self._call(UploadGrant, "POST", "/v1/uploads", body=request)

    async def download(self, request: DownloadRequest) -> DownloadGrant:
        """A signed request for an artifact in the store of the gateway's organisation, which may be another one.

        So the answer must be whole in time, and not only its next byte.
        """
        try:
            async with asyncio.timeout(self._settings.request_timeout_seconds):
                return await self._call(DownloadGrant, "POST", "/v1/downloads", body=request)
        except TimeoutError:
            raise GatewayUnavailable(f"{self.url}: the answer takes too long") from None

    @asynccontextmanager
    async def event_lines(
        self, after: str | None, run: str | None, without: Collection[str] = ()
    ) -> AsyncIterator[AsyncIterator[str]]:
        """The lines of the event stream after a cursor (None: from now on), of one run or of all.

        Transactions of the types `without` are left out, unless they have effects.
        """
        chosen = [(name, value) for name, value in (("after", after), ("run", run)) if value is not None]
        query = urlencode([*chosen, *(("without", kind) for kind in sorted(without))])
        target = "/v1/events" + (f"?{query}" if query else "")
        timeout = httpx.Timeout(self._settings.event_silence_seconds, connect=self._settings.connect_timeout_seconds)
        headers = self._headers("GET", target, b"", token=True)
        try:
            async with self._http.stream("GET", self.url + target, headers=headers, timeout=timeout) as response:
                if response.status_code != httpx.codes.OK:
                    _raise_problem(response.status_code, await response.aread())
                yield response.aiter_lines()
        except httpx.HTTPError as error:
            raise self._unavailable(error) from None

    async def _call(
        self, answer: type[R], method: str, target: str, *, body: Record | None = None, token: bool = True
    ) -> R:
        data = await self._fetch(method, target, body=body, token=token)
        try:
            return answer.decode(data)
        except InvalidInput as error:
            raise AnswerInvalid(f"{method} {self.url}{urlsplit(target).path}: {error.message}") from None

    async def _fetch(self, method: str, target: str, *, body: Record | None = None, token: bool = True) -> bytes:
        content = b"" if body is None else body.encode()
        headers = self._headers(method, target, content, token=token)
        if body is not None:
            headers["content-type"] = "application/json"
        try:
            async with self._http.stream(method, self.url + target, content=content, headers=headers) as response:
                data = bytearray()
                async for chunk in response.aiter_bytes():
                    data += chunk
                    if len(data) > self._settings.max_answer_bytes:
                        raise AnswerInvalid(f"the answer is larger than {self._settings.max_answer_bytes} bytes")
        except httpx.HTTPError as error:
            raise self._unavailable(error) from None
        if response.status_code != httpx.codes.OK:
            _raise_problem(response.status_code, bytes(data))
        return bytes(data)

    def _headers(self, method: str, target: str, body: bytes, *, token: bool) -> dict[str, str]:
        if not token:
            return {}
        value = request_token(
            self._identity,
            audience=self.audience,
            method=method,
            target=self._path + target,
            body=body,
            now=now_ms(),
        )
        return {"authorization": f"Bearer {value}"}

    def _unavailable(self, error: httpx.HTTPError) -> GatewayUnavailable:
        return GatewayUnavailable(f"{self.url}: {type(error).__name__}: {error}")


def _raise_problem(status: int, data: bytes) -> NoReturn:
    try:
        problem = Problem.decode(data)
    except InvalidInput:
        if status in _UNAVAILABLE:
            raise GatewayUnavailable(f"HTTP status {status}") from None
        raise AnswerInvalid(f"HTTP status {status} without a problem that says why") from None
    if status in _UNAVAILABLE or problem.code == _CLOCKS_DIFFER:
        raise GatewayUnavailable(problem.detail, problem.code)
    raise GatewayRefused(problem.code, problem.detail, status=status, retryable=problem.retryable)


__all__ = ["Gateway", "now_ms"]
