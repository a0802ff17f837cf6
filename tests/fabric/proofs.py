"""What must hold of a consortium on Fabric after any fault, beside `tests.faults.proofs`: of ledgers and logs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from consilo.api.party import Party
from consilo.fabric.blocks import FabricBlock, decode_block
from consilo.fabric.lines import decode_line
from consilo.protocol.apply import Event
from tests.faults.proofs import check_nothing_is_twice

SAME_SECONDS: Final = 20.0
_PAGE: Final = 100
_ALARMS: Final = ("panic", "PANI", "FATA", "Traceback")


async def check_all_show_the_same(parties: Sequence[Party]) -> None:
    """Every gateway comes to the same newest block, and every peer to the same state after it."""
    async with asyncio.timeout(SAME_SECONDS):
        while True:
            heads = [(await party.gateway.head()).head for party in parties]
            if len(set(heads)) == 1:
                break
            await asyncio.sleep(0.02)
    newest = [decode_block(decode_line((await party.gateway.blocks(heads[0].height, 1))[0])) for party in parties]
    assert {block.hash for block in newest} == {heads[0].hash}
    (commit_hash,) = {block.commit_hash for block in newest}
    assert commit_hash is not None


async def check_first_attempts(party: Party, run: str, rounds: int) -> None:
    """Each round of a run had one attempt, and so no update was excluded."""
    summaries = [await party.gateway.round(run, number) for number in range(rounds)]
    assert [summary.opening.attempt for summary in summaries] == [1] * rounds


async def all_blocks(party: Party) -> list[FabricBlock]:
    """All blocks that a gateway shows."""
    height = (await party.gateway.head()).head.height
    found: list[FabricBlock] = []
    while len(found) <= height:
        lines = await party.gateway.blocks(len(found), _PAGE)
        found += map(decode_block, map(decode_line, lines))
    return found


async def check_nothing_is_on_the_ledger_twice(party: Party) -> None:
    """No transaction that counts, and no member's word on the same thing, is there twice."""
    blocks = await all_blocks(party)
    transactions = [each for block in blocks for each in block.transactions if each.valid and each.event is not None]
    check_nothing_is_twice([Event.decode(each.event) for each in transactions if each.event is not None])
    ids = [each.id for each in transactions]
    assert len(ids) == len(set(ids))


def check_network_logs(directory: Path, expected: Sequence[str]) -> None:
    """No process of the network panicked, and no chaincode server met a defect."""
    bad = [
        f"{file.name}: {line[:1000]}"
        for file in sorted(directory.iterdir())
        for line in file.read_text(errors="replace").splitlines()
        if _is_alarm(file, line) and not any(text in line for text in expected)
    ]
    assert not bad, f"{len(bad)} lines, the first:\n" + "\n".join(bad[:5])


def _is_alarm(file: Path, line: str) -> bool:
    if not file.name.startswith("chaincode"):
        return any(word in line for word in _ALARMS)
    try:
        entry = json.loads(line)
    except ValueError:
        return bool(line)
    return entry.get("level") in ("error", "critical") or "exception" in entry
