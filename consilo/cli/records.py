"""A ledger's records, page by page. Network I/O."""

from __future__ import annotations

from collections.abc import AsyncIterator

from consilo.api.party import Party
from consilo.protocol.queries import KeyedRecord, Records
from consilo.protocol.state import DictState


async def records_of(party: Party, prefix: str) -> AsyncIterator[KeyedRecord]:
    """All records whose keys start with a prefix (which ends in a slash), in key order."""
    after: str | None = ""
    while after is not None:
        cursor = after

        async def page(cursor: str = cursor) -> Records:
            return await party.gateway.records(prefix, after=cursor)

        found = await party.patience("read the ledger", page)
        for record in found.records:
            yield record
        after = found.after


async def state_of(party: Party, *prefixes: str) -> DictState:
    """The part of a ledger's state under some prefixes, for the protocol's own functions to read."""
    state = DictState(party.ledger)
    for prefix in prefixes:
        state.commit({record.key: record.record.encode() async for record in records_of(party, prefix)})
    return state
