"""Where Jobs meet their silo: a small HTTP server of its own port, in the client's event loop. Network and file I/O.

What is said is in `consilo.training.job_messages`. A request must bear the token of the Job that its path names;
nothing tells a wrong token from a Job that is not wanted. All sizes are bounded: of a model by the schema, exactly.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import structlog
import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from consilo.hosting.connections import Bounds, problem, protocol_within
from consilo.training.job_messages import MAX_REPLY_BYTES
from consilo.training.messages import REPLIES, EvaluationReply, Failed, Progress, TrainingReply
from services.client.jobs.exchange import Exchange, ExchangeRefused, Exchanges
from services.client.jobs.settings import JobSettings

log = structlog.get_logger(__name__)

_BLOCK_BYTES: Final = 1024 * 1024
_BEARER: Final = "Bearer "
_MAX_TOKEN_CHARACTERS: Final = 128
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_END_SECONDS: Final = 2

Handler = Callable[[Request, Exchange], Awaitable[Response]]


class _Refused(Exception):
    """The request is answered with a problem."""

    def __init__(self, status: HTTPStatus, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail


class _Handlers:
    """What is answered. A model is written and hashed in threads, and passed on in blocks."""

    def __init__(self, exchanges: Exchanges, stall_timeout_seconds: float) -> None:
        self._exchanges = exchanges
        self._stall_timeout_seconds = stall_timeout_seconds

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/jobs/{name}/order", self._for_job(self.order), methods=["GET"]),
                Route("/v1/jobs/{name}/base", self._for_job(self.base), methods=["GET"]),
                Route("/v1/jobs/{name}/update/{sha256}", self._for_job(self.update), methods=["PUT"]),
                Route("/v1/jobs/{name}/replies", self._for_job(self.reply), methods=["POST"]),
            ]
        )

    def _for_job(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            try:
                return await handler(request, self._admit(request))
            except _Refused as error:
                answer = problem(error.status, error.code, error.detail)
                return Response(answer.encode(), answer.status, media_type="application/problem+json")
            except OSError as error:  # a full disk, say; the Job asks again
                log.error("what a Job gave cannot be kept", reason=str(error))  # noqa: TRY400 - it is explained
                answer = problem(HTTPStatus.SERVICE_UNAVAILABLE, "not-kept", "the silo cannot write; ask again")
                return Response(answer.encode(), answer.status, media_type="application/problem+json")
            except ClientDisconnect:
                return Response(status_code=HTTPStatus.BAD_REQUEST)  # nobody reads it

        return handle

    def _admit(self, request: Request) -> Exchange:
        credential = request.headers.get("authorization", "")
        token = credential.removeprefix(_BEARER) if credential.startswith(_BEARER) else ""
        exchange = self._exchanges.get(request.path_params["name"])
        admitted = exchange is not None and exchange.admits(token[:_MAX_TOKEN_CHARACTERS])
        if exchange is None or not admitted:
            raise _Refused(HTTPStatus.UNAUTHORIZED, "job-unknown", "the silo has no such Job, or not with this token")
        if not exchange.is_awaited:
            raise _Refused(
                HTTPStatus.SERVICE_UNAVAILABLE, "job-not-awaited", "the silo has not come to this Job yet; ask again"
            )
        return exchange

    async def order(self, request: Request, exchange: Exchange) -> Response:
        return Response(exchange.order.model_dump_json(), media_type="application/json")

    async def base(self, request: Request, exchange: Exchange) -> Response:
        try:
            file = await asyncio.to_thread(Path(exchange.record.base).open, "rb")
        except OSError:
            raise _Refused(HTTPStatus.GONE, "model-gone", "the silo has no use for this model any more") from None

        async def blocks() -> AsyncIterator[bytes]:
            with file:
                while block := await asyncio.to_thread(file.read, _BLOCK_BYTES):
                    yield block

        size = exchange.order.tensors.artifact_bytes
        return StreamingResponse(blocks(), headers={"content-length": str(size)}, media_type="application/octet-stream")

    async def update(self, request: Request, exchange: Exchange) -> Response:
        sha256 = request.path_params["sha256"]
        if exchange.order.training is None or not _DIGEST.fullmatch(sha256):
            raise _Refused(HTTPStatus.BAD_REQUEST, "not-ordered", "no such update was ordered")
        size = exchange.order.tensors.artifact_bytes
        if request.headers.get("content-length") != str(size):
            raise _Refused(HTTPStatus.BAD_REQUEST, "size-mismatch", f"the update must have exactly {size} bytes")
        trained = exchange.result(TrainingReply)
        given = exchange.given() if trained is None else trained.sha256
        if given is None:
            await self._write(request, exchange, sha256)
        elif given != sha256:
            raise _Refused(HTTPStatus.CONFLICT, "already-given", "another update was given before")
        else:  # the Job did not hear the answer
            async for _ in self._body(request):
                pass
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def _write(self, request: Request, exchange: Exchange, sha256: str) -> None:
        try:
            file = exchange.partial()
        except ExchangeRefused as error:
            raise _Refused(HTTPStatus.SERVICE_UNAVAILABLE, "busy", str(error)) from None
        try:
            with file:
                found = hashlib.sha256()

                def keep(block: bytes) -> None:
                    found.update(block)
                    file.write(block)

                async for block in self._body(request):
                    await asyncio.to_thread(keep, block)
                if found.hexdigest() != sha256:
                    raise _Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "digest-mismatch", "the update came damaged")
                await asyncio.to_thread(exchange.take_update, file, sha256)
        finally:
            exchange.let_go()

    async def reply(self, request: Request, exchange: Exchange) -> Response:
        data = bytearray()
        async for block in self._body(request):
            data += block
            if len(data) > MAX_REPLY_BYTES:
                detail = f"a reply has at most {MAX_REPLY_BYTES} bytes"
                raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", detail)
        try:
            reply = REPLIES.validate_json(bytes(data))
        except ValidationError as error:
            detail = error.errors(include_url=False, include_input=False)[0]["msg"]
            raise _Refused(HTTPStatus.BAD_REQUEST, "malformed", f"this is no reply: {detail}") from None
        with _refusals():
            match reply:
                case Progress():
                    exchange.on_progress(reply)
                case TrainingReply() | EvaluationReply() | Failed():
                    await asyncio.to_thread(exchange.take, reply)
                    exchange.tell()
                case _:
                    raise ExchangeRefused(f"no reply {reply.kind} was ordered")
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def _body(self, request: Request) -> AsyncIterator[bytes]:
        """The request's body in blocks of some size, as long as it does not stall."""
        pieces = aiter(request.stream())
        block = bytearray()
        while True:
            try:
                async with asyncio.timeout(self._stall_timeout_seconds):
                    piece = await anext(pieces)
            except StopAsyncIteration:
                break
            except TimeoutError:
                raise _Refused(HTTPStatus.REQUEST_TIMEOUT, "stalled", "the request's body stalled") from None
            block += piece
            if len(block) >= _BLOCK_BYTES:
                yield bytes(block)
                block.clear()
        yield bytes(block)


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except ExchangeRefused as error:
        raise _Refused(HTTPStatus.CONFLICT, "not-ordered", str(error)) from None


def url_of(address: str, port: int) -> str:
    """Where Jobs reach a listener at an IP address; the Job's name follows."""
    return f"http://{f'[{address}]' if ':' in address else address}:{port}/v1/jobs"


class _Server(uvicorn.Server):
    """Leaves signals to the server that the client's own application runs in."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Listener:
    """Listens for Jobs within the block; the address is taken when it is made.

    Args:
        exchanges: the Jobs that are admitted.
        settings: where, and within which bounds.

    Raises:
        OSError: the address cannot be listened on.
    """

    def __init__(self, exchanges: Exchanges, settings: JobSettings) -> None:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((settings.host, settings.port))
        except OSError:
            self._socket.close()
            raise
        self.url: Final = url_of(settings.pod_address, self._socket.getsockname()[1])
        """Where Jobs reach it; the Job's name follows."""
        bounds = Bounds(settings.max_connections, stall_timeout_seconds=settings.stall_timeout_seconds)
        self._server = _Server(
            uvicorn.Config(
                _Handlers(exchanges, settings.stall_timeout_seconds).app(),
                http=protocol_within(bounds),  # type: ignore[arg-type]
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_END_SECONDS,
            )
        )
        self._serving: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Listen."""
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]), name="listener for Jobs")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Listen no more."""
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving
