"""Asking another organisation's gateway for an artifact, which may see the ledger later than the own gateway does.

Does network I/O.
"""

from __future__ import annotations

from consilo.api.errors import GatewayRefused, GatewayUnavailable
from consilo.api.gateway import Gateway
from consilo.api.models import DownloadGrant, DownloadRequest


async def ask_for_grant(gateway: Gateway, request: DownloadRequest, *, own: Gateway) -> DownloadGrant:
    """A signed request for an artifact. One attempt.

    What the member knows, it knows from its own gateway. A refusal for want of a record stands only once the other
    gateway has come as far as that one.

    Args:
        gateway: of the artifact's owner.
        request: for the artifact.
        own: the gateway of the member.

    Raises:
        GatewayUnavailable: it refuses for want of a record, and has not seen all that the own gateway has.
        GatewayRefused: it refuses all the same.
    """
    try:
        return await gateway.download(request)
    except GatewayRefused as error:
        if gateway is own or not error.retryable:
            raise
    seen = (await own.head()).head
    try:
        height = (await gateway.head()).head.height
    except GatewayRefused as error:
        if not error.retryable:
            raise
        height = -1  # it does not even know the member's organisation
    if height < seen.height:
        raise GatewayUnavailable(f"{gateway.url} has not come to block {seen.height} yet")
    return await gateway.download(request)
