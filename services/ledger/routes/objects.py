"""Signed URLs: places to put artifacts to, and to get them from. The bytes never pass through this service."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Response

from consilo.api.models import DownloadGrant, DownloadRequest, Signed, UploadGrant, UploadRequest
from consilo.protocol.bodies import RecordAccess
from consilo.protocol.canonical import canonical
from consilo.protocol.queries import Permission, Reading
from consilo.protocol.transaction import Transaction
from consilo.store.errors import TooLarge
from consilo.store.keys import unique_key
from services.ledger.answers import answer, documented, documented_body
from services.ledger.problems import ServiceProblem
from services.ledger.requests import Body, LedgerPort, Sender, Shared, read_body
from services.ledger.routes.transactions import committed_answer

router = APIRouter(prefix="/v1", tags=["objects"])

_PUBLISHERS = frozenset({"operator", "aggregator", "silo"})


@router.post(
    "/uploads",
    summary="A place for an artifact",
    responses=documented(UploadGrant, 400, 403),
    openapi_extra=documented_body(UploadRequest),
)
async def upload(shared: Shared, sender: Sender, body: Body) -> Response:
    """A new key in the store of the sender's organisation, and a URL that takes exactly the announced bytes, once.

    For operators, aggregators and silos of the organisations whose gateway this is.
    """
    request = read_body(UploadRequest, body, shared.settings.max_body_bytes)
    if sender.msp not in shared.organisations:
        raise ServiceProblem(403, "organisation-not-served", f"this is not the gateway of {sender.msp}")
    if sender.role not in _PUBLISHERS:
        raise ServiceProblem(403, "role-not-allowed", f"a {sender.role} publishes no artifacts")
    store, key = shared.settings.store, unique_key(request.run, sender.msp, sender.name)
    try:
        # In a thread: some stores have credentials that must be renewed now and then.
        signed = await asyncio.to_thread(shared.store.sign_put, key, request.size_bytes, store.url_lifetime_seconds)
        if request.size_bytes > store.max_object_bytes:
            raise TooLarge(f"this store takes objects of {store.max_object_bytes} bytes at most")
    except TooLarge as error:
        raise ServiceProblem(413, "too-large", str(error)) from None
    return answer(UploadGrant(organisation=sender.msp, key=key, request=Signed.of(signed)))


@router.post(
    "/downloads",
    summary="An artifact",
    responses=documented(DownloadGrant, 400, 403, 404, 409),
    openapi_extra=documented_body(DownloadRequest),
)
async def download(ledger: LedgerPort, shared: Shared, sender: Sender, body: Body) -> Response:
    """A URL that serves one artifact, when the ledger allows it: see `record_access` in the protocol reference.

    The record may come with the request (`access`): when the ledger does not allow it yet, that transaction is handed
    in first, as by `POST /v1/transactions`.
    """
    request = read_body(DownloadRequest, body, shared.settings.max_body_bytes)
    permission = await ledger.query(
        "permission", Reading(run=request.run, reader=sender.member, artifact=request.artifact)
    )
    assert isinstance(permission, Permission)  # noqa: S101 - the table of queries says so
    artifact = permission.artifact
    if artifact is None:
        raise ServiceProblem(404, "artifact-unknown", "the ledger has no such artifact", retryable=True)
    if artifact.organisation not in shared.organisations:
        raise ServiceProblem(403, "organisation-not-served", f"ask the gateway of {artifact.organisation}")
    committed = None
    if not permission.allowed:
        if request.access is None:
            raise ServiceProblem(
                409,
                "access-not-recorded",
                f"{sender.member}'s access is not on the ledger: record it first",
                retryable=True,
            )
        if not _is_record_of(request.access, request, sender.member):
            raise ServiceProblem(400, "malformed", "`access` is no record of the sender's access to this artifact")
        # Once it is on the ledger the artifact may be read: there is nothing to ask again.
        committed = committed_answer(shared, await ledger.submit(request.access))
    lifetime_seconds = shared.settings.store.url_lifetime_seconds
    signed = await asyncio.to_thread(shared.store.sign_get, artifact.key, lifetime_seconds)
    return answer(
        DownloadGrant(
            organisation=artifact.organisation,
            size_bytes=artifact.size_bytes,
            request=Signed.of(signed),
            committed=committed,
        )
    )


def _is_record_of(access: Transaction, request: DownloadRequest, member: str) -> bool:
    """Whether a transaction, once applied, allows the member what it asks for."""
    if (access.payload.type, access.payload.member) != ("record_access", member):
        return False
    recorded = RecordAccess.decode(canonical(access.payload.body))
    return recorded.run == request.run and request.artifact in recorded.artifacts
