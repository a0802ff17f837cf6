"""What every route needs of a request: its body within bounds, and who sent it. Reads from the connection."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer

from consilo.api.gateway import now_ms
from consilo.identity.chains import ChainCache
from consilo.identity.identity import Identity
from consilo.identity.tokens import claimed_chain, token_of, verify_request_token
from consilo.protocol.canonical import canonical, parse
from consilo.protocol.certificates import MemberCertificate
from consilo.protocol.model import Record
from consilo.protocol.queries import Certificates, Standing
from consilo.protocol.transaction import certificate_der
from consilo.store.port import ObjectStore
from services.ledger.port import Ledger
from services.ledger.problems import ServiceProblem
from services.ledger.settings import LedgerSettings
from services.ledger.streams import Ending

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Services:
    """What `create_app` wires together for the routes; lives in `app.state.services`.

    Attributes:
        ending: set when the service is told to end.
    """

    settings: LedgerSettings
    identity: Identity
    organisations: tuple[str, ...]
    store: ObjectStore
    chains: ChainCache
    ending: Ending


def services_of(request: Request) -> Services:
    """The application's services."""
    found: Services = request.app.state.services
    return found


def ledger_of(request: Request) -> Ledger:
    """The application's ledger."""
    found: Ledger = request.app.state.ledger
    return found


async def body_of(request: Request) -> bytes:
    """The request's body.

    Raises:
        ServiceProblem: `too-large`, or `timeout` when it does not arrive in time.
    """
    settings = services_of(request).settings
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > settings.max_body_bytes:
        raise _too_large(settings)
    data = bytearray()
    try:
        async with asyncio.timeout(settings.body_timeout_seconds):
            async for chunk in request.stream():
                data += chunk
                if len(data) > settings.max_body_bytes:
                    raise _too_large(settings)
    except TimeoutError:
        raise ServiceProblem(408, "timeout", "the request's body did not arrive in time", retryable=True) from None
    return bytes(data)


def _too_large(settings: LedgerSettings) -> ServiceProblem:
    return ServiceProblem(413, "too-large", f"a request's body has at most {settings.max_body_bytes} bytes")


async def _ledger(request: Request) -> Ledger:
    return ledger_of(request)


async def _services(request: Request) -> Services:
    return services_of(request)


# Asynchronous: FastAPI would call plain functions in a thread, which costs more than most requests do.
LedgerPort = Annotated[Ledger, Depends(_ledger)]
Shared = Annotated[Services, Depends(_services)]
Body = Annotated[bytes, Depends(body_of)]


def read_body(model: type[R], body: bytes, max_bytes: int) -> R:
    """The body as a record.

    Raises:
        InvalidInput: `malformed` or `too-large`.
    """
    return model.decode(canonical(parse(body, max_bytes=max_bytes)))


async def sender_of(request: Request, ledger: LedgerPort, shared: Shared, body: Body) -> MemberCertificate:
    """Who sent the request: a member of a registered organisation, proved by the request's token.

    Raises:
        TokenRefused: the token does not prove it.
    """
    token = token_of(request.headers.get("authorization"))
    msp, serials = claimed_chain(token)
    standing = await ledger.query("standing", Certificates(msp=msp, serials=serials))
    assert isinstance(standing, Standing)  # noqa: S101 - the table of queries says so
    organisation = standing.organisation
    if organisation is None:
        raise ServiceProblem(401, "organisation-unknown", f"{msp} is not registered on this ledger", retryable=True)
    roots = [certificate_der(root) for root in organisation.roots]
    query = request.scope["query_string"].decode("latin-1")  # whatever is no ASCII is refused with the target
    return verify_request_token(
        token,
        audiences=shared.organisations,
        method=request.method,
        target=request.scope["raw_path"].decode("ascii") + (f"?{query}" if query else ""),
        body_sha256=hashlib.sha256(body).digest(),
        roots_of=lambda claimed: roots if claimed == msp else None,
        is_revoked=lambda claimed, serial: claimed != msp or serial in standing.revoked or serial not in serials,
        now=now_ms(),
        leeway_seconds=shared.settings.token_leeway_seconds,
        max_lifetime_seconds=shared.settings.token_lifetime_seconds,
        chains=shared.chains,
    )


_TOKEN: Final = HTTPBearer(
    bearerFormat="consilo-request+jwt",
    scheme_name="request-token",
    description="Made by a member for this one request: see the REST reference.",
    auto_error=False,
)


async def _with_token(
    sender: Annotated[MemberCertificate, Depends(sender_of)], _: Annotated[Any, Security(_TOKEN)]
) -> MemberCertificate:
    """`sender_of`, which OpenAPI then shows to need a token."""
    return sender


Sender = Annotated[MemberCertificate, Depends(_with_token)]
