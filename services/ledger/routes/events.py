"""The stream of the ledger's events, resumable at any place."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Final

import structlog
from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse

from consilo.api.models import CommittedEvent, Position
from consilo.api.watch import READY
from consilo.protocol.apply import Event
from consilo.protocol.values import NAME_PATTERN
from services.ledger.answers import documented_problems
from services.ledger.port import Ledger, LedgerUnavailable
from services.ledger.problems import ServiceProblem
from services.ledger.requests import LedgerPort, Sender, Shared
from services.ledger.streams import Ending

router = APIRouter(prefix="/v1", tags=["events"])

_PAGE: Final = 256
_SIGN_OF_LIFE: Final = ":\n\n"

log = structlog.get_logger(__name__)


@router.get(
    "/events",
    summary="Server-sent events",
    responses={
        200: {"content": {"text/event-stream": {}}, "description": "An endless stream"},
        **documented_problems(400, 404),
    },
    response_class=StreamingResponse,
)
async def events(
    ledger: LedgerPort,
    shared: Shared,
    _: Sender,
    run: Annotated[str | None, Query(pattern=rf"^{NAME_PATTERN}$", description="only this run's events")] = None,
    after: Annotated[
        str | None, Query(max_length=64, description="cursor to go on after; default: from now on")
    ] = None,
    without: Annotated[
        frozenset[str],
        Query(max_length=64, description="types of transactions that are left out, unless they have effects"),
    ] = frozenset(),
    last_event_id: Annotated[str | None, Header(max_length=64, description="as `after`; what browsers send")] = None,
) -> StreamingResponse:
    """Starts with an event `ready`, whose id is the cursor where the stream starts: from there nothing is missed.

    Then an event `transaction` for each; `data` is its JSON, `id` the cursor with which to resume the stream after it.
    Comments are signs of life. The stream ends when the service does.
    """
    cursor = after or last_event_id
    try:
        start = await ledger.end() if cursor is None else Position.of_cursor(cursor)
    except ValueError:
        raise ServiceProblem(400, "malformed", "the cursor is not one of an event") from None
    if start.height > (await ledger.head()).height and await ledger.hash_at(start.height) is None:
        raise ServiceProblem(
            404, "position-unknown", "the ledger ends before this cursor: it was set back, or is another one"
        )

    def is_chosen(event: Event) -> bool:
        return (run is None or event.run == run) and (bool(event.effects) or event.type not in without)

    stream = _stream(ledger, start, is_chosen, shared.settings.heartbeat_seconds, shared.ending)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"cache-control": "no-store"})


async def _stream(
    ledger: Ledger,
    place: Position,
    is_chosen: Callable[[Event], bool],
    heartbeat_seconds: float,
    ending: Ending,
) -> AsyncIterator[str]:
    yield f"event: {READY}\nid: {place.cursor()}\ndata: {{}}\n\n"
    while not ending.is_set():
        try:
            end = await ledger.end()
            page = await ledger.events(place, _PAGE)
        except LedgerUnavailable as error:  # the answer has begun: all that is left is to end it
            log.warning("event stream ended", code=error.code, reason=error.message)
            return
        chosen = [committed for committed in page if is_chosen(committed.event)]
        if chosen:
            yield "".join(map(_text, chosen))
        if page:
            place = page[-1].position
            continue
        if end.height > place.height:  # by blocks without an event
            place = end
        try:
            async with ending.at_most(heartbeat_seconds):
                await ledger.wait_after(place.height)
        except TimeoutError:
            if not ending.is_set():
                yield _SIGN_OF_LIFE


def _text(committed: CommittedEvent) -> str:
    return f"event: transaction\nid: {committed.position.cursor()}\ndata: {committed.encode().decode()}\n\n"
