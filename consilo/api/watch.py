"""The event stream of a ledger, resumed for as long as it is watched. Does network I/O."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection
from typing import Final

import structlog

from consilo.api.errors import AnswerInvalid, GatewayRefused, GatewayUnavailable, LedgerRolledBack
from consilo.api.models import CommittedEvent
from consilo.api.party import Party
from consilo.protocol.refusals import InvalidInput

READY: Final = "ready"
"""Name of the event with which a stream starts: from here on nothing is missed."""

log = structlog.get_logger(__name__)


async def watch(
    party: Party, run: str | None = None, *, after: str | None = None, without: Collection[str] = ()
) -> AsyncGenerator[CommittedEvent | None, None]:
    """The ledger's events, each once and in order, over interruptions of the stream.

    Args:
        party: a connected member.
        run: only the events of this run; None: of all.
        after: cursor to go on from; None: from now on.
        without: types of transactions that are left out, unless they have effects.

    Yields:
        None whenever a stream has been opened: whoever reads the state after that and then acts on each event misses
        nothing. Then the events.

    Raises:
        LedgerRolledBack: after an interruption the ledger lacks blocks that it showed before.
    """
    cursor = after
    while True:
        try:
            async for name, identifier, data in _events(party, cursor, run, without):
                cursor = identifier or cursor
                if name == READY:
                    yield None
                else:
                    yield CommittedEvent.decode(data.encode())
            reason = "the stream ended"
        except GatewayUnavailable as error:
            reason = str(error)
        except GatewayRefused as error:
            if error.code == "position-unknown":
                raise LedgerRolledBack(error.message) from None
            raise
        except InvalidInput as error:
            raise AnswerInvalid(f"an event cannot be read: {error.message}") from None
        log.info("event stream interrupted", because=reason)
        await party.connect()


async def _events(
    party: Party, after: str | None, run: str | None, without: Collection[str]
) -> AsyncIterator[tuple[str, str, str]]:
    async with party.gateway.event_lines(after, run, without) as lines:
        async for event in events_in(lines):
            yield event


async def events_in(lines: AsyncIterator[str]) -> AsyncIterator[tuple[str, str, str]]:
    """Name, id and data of the events in a stream's lines (WHATWG HTML, section 9.2.6)."""
    name, identifier = "", ""
    data: list[str] = []
    async for line in lines:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match field:
            case "" if not line:
                if data:
                    yield name, identifier, "\n".join(data)
                name, data = "", []
            case "event":
                name = value
            case "id":
                identifier = value
            case "data":
                data.append(value)
