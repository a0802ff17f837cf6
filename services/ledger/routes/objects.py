"""Signed URLs: places to put artifacts to, and to get them from. The bytes never pass through this service."""

from __future__ import annotations

from fastapi import APIRouter, Response

from consilo.api.models import DownloadGrant, DownloadRequest, Signed, UploadGrant, UploadRequest
from consilo.protocol.queries import Permission, Reading
from consilo.store.keys import unique_key
from services.ledger.answers import answer, documented, documented_body
from services.ledger.problems import ServiceProblem
from services.ledger.requests import Body, LedgerPort, Sender, Shared, read_body

router = APIRouter(prefix="/v1", tags=["objects"])

_PUBLISHERS = frozenset({"operator", "aggregator", "silo"})


@router.post(
    "/uploads",
    summary="A place for an artifact",
    responses=documented(UploadGrant, 400, 401, 403, 413),
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
    limit = shared.settings.store.max_object_bytes
    if request.size_bytes > limit:
        raise ServiceProblem(413, "too-large", f"this store takes objects of {limit} bytes at most")
    key = unique_key(request.run, sender.msp, sender.name)
    signed = shared.store.sign_put(key, request.size_bytes, shared.settings.store.url_lifetime_seconds)
    return answer(UploadGrant(organisation=sender.msp, key=key, request=Signed.of(signed)))


@router.post(
    "/downloads",
    summary="An artifact",
    responses=documented(DownloadGrant, 400, 401, 403, 404, 409),
    openapi_extra=documented_body(DownloadRequest),
)
async def download(ledger: LedgerPort, shared: Shared, sender: Sender, body: Body) -> Response:
    """A URL that serves one artifact, when the ledger allows it: see `record_access` in the protocol reference."""
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
    if not permission.allowed:
        raise ServiceProblem(
            409,
            "access-not-recorded",
            f"{sender.member}'s access is not on the ledger: record it first",
            retryable=True,
        )
    signed = shared.store.sign_get(artifact.key, shared.settings.store.url_lifetime_seconds)
    return answer(
        DownloadGrant(organisation=artifact.organisation, size_bytes=artifact.size_bytes, request=Signed.of(signed))
    )
