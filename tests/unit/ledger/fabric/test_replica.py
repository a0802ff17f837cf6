"""The replica is what the channel's valid transactions made, whatever ends it, and of no other channel."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2

from consilo.api.models import Position
from consilo.embedded.errors import EmbeddedLedgerError, LedgerClosed, LedgerFileError, PositionUnknown
from consilo.fabric.blocks import decode_block
from consilo.fabric.errors import FabricBlockError
from consilo.protocol import keys
from consilo.protocol.queries import NoArguments, Organisations, answer
from services.ledger.fabric.errors import ChainDiffers
from services.ledger.fabric.replica import Replica
from services.ledger.fabric.replica_file import Tip
from tests.fabric_blocks import CHANNEL, FabricChannel, changed
from tests.simulated_members import START_MS
from tests.unit.ledger.fabric.channels import add, registration, revocation

BEGINNING = Position(height=0, index=0)
MVCC_READ_CONFLICT, PHANTOM_READ_CONFLICT, ENDORSEMENT_POLICY_FAILURE = 11, 12, 10

Open = Callable[..., Replica]


@pytest.fixture
def channel() -> FabricChannel:
    """With HospitalA registered, in block 2."""
    made = FabricChannel()
    add(made, registration(made))
    return made


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Opens the replica; closes what is open in the end."""
    replicas: list[Replica] = []

    def open_(channel: str = CHANNEL, chaincode: str = "consilo") -> Replica:
        for replica in replicas:
            replica.close()
        replicas.append(Replica(tmp_path / "state.db", channel=channel, chaincode=chaincode))
        return replicas[-1]

    yield open_
    for replica in replicas:
        replica.close()


def tip_of(block: bytes) -> Tip:
    decoded = decode_block(block)
    return Tip(decoded.number, decoded.hash)


def state_of(replica: Replica) -> dict[str, bytes]:
    with replica.snapshot() as state:
        return dict(state.range("", "\U0010ffff"))


def events_of(replica: Replica, after: Position = BEGINNING, limit: int = 1000) -> list[tuple[int, int, int, str]]:
    with replica.snapshot() as state:
        found = state.events(after, limit)
    return [(each.position.height, each.position.index, each.time, each.event.transaction) for each in found]


def test_it_has_the_state_the_events_the_hashes_and_the_positions(channel: FabricChannel, opened: Open) -> None:
    one, two = revocation(channel, 1), revocation(channel, 2)
    add(channel, one, two)
    replica = opened()
    assert replica.tip is None
    replica.append(channel.blocks)
    assert replica.tip == tip_of(channel.blocks[3])
    assert state_of(replica) == channel.state.records
    assert events_of(replica)[1:] == [(3, 0, START_MS + 3, one.id), (3, 1, START_MS + 3, two.id)]
    with replica.snapshot() as state:
        assert state.ledger == CHANNEL
        assert [state.hash_at(height) for height in range(-1, 5)] == [
            None,
            *(tip_of(block).hash for block in channel.blocks),
            None,
        ]
        assert state.hash_at(2**70) is None
        assert state.position_of(two.id) == Position(height=3, index=1)
        assert state.position_of("0" * 64) is None
        found = answer(state, "organisations", NoArguments())
    assert isinstance(found, Organisations)
    assert [each.msp for each in found.organisations] == ["HospitalA"]


def test_a_snapshot_stays_what_it_was_while_blocks_come(channel: FabricChannel, opened: Open) -> None:
    replica = opened()
    replica.append(channel.blocks)
    one = revocation(channel, 1)
    with replica.snapshot() as before:
        assert before.get(keys.transaction(one.id)) is None
        replica.append([add(channel, one)])
        assert before.get(keys.transaction(one.id)) is None
        assert before.events(Position(height=2, index=9), 10) == []
    assert events_of(replica)[-1][3] == one.id


def test_events_come_in_pages_after_any_place(channel: FabricChannel, opened: Open) -> None:
    transactions = [revocation(channel, number) for number in range(4)]
    add(channel, *transactions[:2])
    channel.add(channel.endorsed(registration(channel, "HospitalB"), time=START_MS))
    add(channel, *transactions[2:])
    replica = opened()
    replica.append(channel.blocks)
    everything = events_of(replica)
    assert [each[:2] for each in everything] == [(2, 0), (3, 0), (3, 1), (4, 0), (5, 0), (5, 1)]
    for place in range(len(everything)):
        height, index = everything[place][:2]
        assert events_of(replica, Position(height=height, index=index), 2) == everything[place + 1 : place + 3]
    assert events_of(replica, limit=0) == []
    assert events_of(replica, Position(height=5, index=2**31 - 1)) == []
    with replica.snapshot() as state, pytest.raises(PositionUnknown):
        state.events(Position(height=6, index=0), 1)


# -- What counts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [MVCC_READ_CONFLICT, PHANTOM_READ_CONFLICT, ENDORSEMENT_POLICY_FAILURE, 254, 255])
def test_a_transaction_that_is_not_valid_leaves_nothing(channel: FabricChannel, opened: Open, code: int) -> None:
    one, two = revocation(channel, 1), revocation(channel, 2)
    add(channel, one, two, codes=(code, 0))
    replica = opened()
    replica.append(channel.blocks)
    assert replica.tip == tip_of(channel.blocks[3])
    assert state_of(replica) == channel.state.records
    assert events_of(replica)[1:] == [(3, 1, START_MS + 3, two.id)]
    with replica.snapshot() as state:
        assert state.get(keys.transaction(one.id)) is None
        assert state.position_of(one.id) is None


def test_a_transaction_that_was_repeated_stands_where_it_was_applied(channel: FabricChannel, opened: Open) -> None:
    one = revocation(channel, 1)
    add(channel, one)
    channel.add(channel.endorsed(one, time=START_MS + 50))  # valid, and without writes or event
    replica = opened()
    replica.append(channel.blocks)
    assert replica.tip == tip_of(channel.blocks[4])
    assert [each for each in events_of(replica) if each[3] == one.id] == [(3, 0, START_MS + 3, one.id)]
    assert state_of(replica) == channel.state.records


def test_what_other_chaincodes_write_is_not_of_this_ledger(channel: FabricChannel, opened: Open) -> None:
    writes = kv_rwset_pb2.KVRWSet()
    writes.writes.add(key="run/foreign/proposal", value=b"{}")
    channel.add(channel.called("other", (b"put",), {"other": writes}, event=b"{}"))
    replica = opened()
    replica.append(channel.blocks)
    assert state_of(replica) == channel.state.records
    assert len(events_of(replica)) == 1


def test_an_event_that_cannot_be_read_does_not_stop_the_replica(channel: FabricChannel, opened: Open) -> None:
    channel.add(channel.called("consilo", (b"submit", b"{}"), {}, event=b"no event"))
    one = revocation(channel, 1)
    add(channel, one)
    replica = opened()
    replica.append(channel.blocks)
    assert events_of(replica)[1:] == [(4, 0, START_MS + 4, one.id)]


# -- The chain ---------------------------------------------------------------------------------------------------------


def test_blocks_that_come_again_are_passed_over(channel: FabricChannel, opened: Open) -> None:
    replica = opened()
    replica.append(channel.blocks)
    replica.append(channel.blocks[1:])
    replica.append([channel.blocks[-1], add(channel, revocation(channel, 1))])
    assert replica.tip == tip_of(channel.blocks[3])
    assert len(events_of(replica)) == 2


def test_a_block_that_is_missing_is_noticed(channel: FabricChannel, opened: Open) -> None:
    replica = opened()
    with pytest.raises(ChainDiffers, match="block 1 came, but the newest before is none"):
        replica.append(channel.blocks[1:])
    replica.append(channel.blocks[:1])
    with pytest.raises(ChainDiffers, match="block 2 came, but the newest before is block 0"):
        replica.append(channel.blocks[2:])
    replica.append(channel.blocks)
    assert state_of(replica) == channel.state.records


def _other_previous(block: Any) -> None:
    block.header.previous_hash = bytes(32)


def _other_data(block: Any) -> None:
    block.data.data.append(block.data.data[0])
    block.metadata.metadata[2] += b"\0"


@pytest.mark.parametrize(
    ("change", "words"),
    [(_other_previous, "does not follow on the block before"), (_other_data, "are not those of its header")],
    ids=["previous", "data"],
)
def test_a_block_that_does_not_fit_is_refused_and_leaves_nothing(
    channel: FabricChannel, opened: Open, change: Callable[[Any], None], words: str
) -> None:
    replica = opened()
    replica.append(channel.blocks[:2])
    before = replica.tip, state_of(replica)
    with pytest.raises(ChainDiffers, match=words):
        replica.append([changed(channel.blocks[2], change)])
    assert (replica.tip, state_of(replica)) == before
    replica.append(channel.blocks[2:])
    assert state_of(replica) == channel.state.records


def test_another_chain_is_noticed_at_a_block_that_is_there(channel: FabricChannel, opened: Open) -> None:
    other = FabricChannel()
    add(other, registration(other, "HospitalB"))
    replica = opened()
    replica.append(channel.blocks)
    for blocks in (other.blocks[2:], other.blocks[1:]):
        with pytest.raises(ChainDiffers, match="is not the one that the replica has"):
            replica.append(blocks)
    assert state_of(replica) == channel.state.records


def test_of_a_batch_with_a_bad_block_nothing_is_kept(channel: FabricChannel, opened: Open) -> None:
    replica = opened()
    with pytest.raises(FabricBlockError):
        replica.append([*channel.blocks, b"\xff"])
    assert replica.tip is None
    with pytest.raises(ChainDiffers):
        replica.append([*channel.blocks[:2], changed(channel.blocks[2], _other_previous)])
    assert replica.tip is None
    assert state_of(replica) == {}


# -- The file ----------------------------------------------------------------------------------------------------------


def test_it_goes_on_where_it_was_after_every_block(channel: FabricChannel, opened: Open) -> None:
    for number in range(3):
        add(channel, revocation(channel, number))
    for height, block in enumerate(channel.blocks):
        replica = opened()
        assert (-1 if replica.tip is None else replica.tip.height) == height - 1
        replica.append([block])
    assert state_of(opened()) == channel.state.records


_KILLED = """
import os, signal, sys
from pathlib import Path
from services.ledger.fabric import replica, replica_file
blocks = [bytes.fromhex(line) for line in sys.stdin.read().split()]
opened = replica.Replica(Path(sys.argv[1]), channel="test", chaincode="consilo")
opened.append(blocks[:int(sys.argv[2])])
insert = replica.insert_block
def killed(*arguments, **more):
    insert(*arguments, **more)
    os.kill(os.getpid(), signal.SIGKILL)
replica.insert_block = killed
opened.append(blocks[int(sys.argv[2]):])
"""


@pytest.mark.parametrize("height", [0, 1, 3])
def test_killed_within_a_block_it_has_the_blocks_before_and_nothing_of_it(
    channel: FabricChannel, tmp_path: Path, opened: Open, height: int
) -> None:
    add(channel, revocation(channel, 1), revocation(channel, 2))
    lines = "\n".join(block.hex() for block in channel.blocks)
    ended = subprocess.run(
        [sys.executable, "-c", _KILLED, str(tmp_path / "state.db"), str(height)],
        input=lines,
        text=True,
        check=False,
        timeout=60,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])},
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    replica = opened()
    assert (-1 if replica.tip is None else replica.tip.height) == height - 1
    replica.append(channel.blocks[max(height - 1, 0) :])
    assert state_of(replica) == channel.state.records
    assert len(events_of(replica)) == 3


def test_a_file_of_another_channel_or_chaincode_is_refused_by_name(opened: Open) -> None:
    opened()
    with pytest.raises(LedgerFileError, match="replica of chaincode consilo on channel test, not of consilo on other"):
        opened(channel="other")
    with pytest.raises(LedgerFileError, match="not of mine on test: name another file, or remove it"):
        opened(chaincode="mine")


def test_what_is_no_replica_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"something else " * 100)
    with pytest.raises(LedgerFileError, match="is no replica"):
        Replica(path, channel=CHANNEL, chaincode="consilo")
    assert path.read_bytes() == b"something else " * 100
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE other (a)")
    connection.close()
    with pytest.raises(LedgerFileError, match="is no replica"):
        Replica(path, channel=CHANNEL, chaincode="consilo")


def test_a_file_of_another_version_is_told_to_be_removed(opened: Open, tmp_path: Path) -> None:
    opened().close()
    connection = sqlite3.connect(tmp_path / "state.db")
    connection.execute("PRAGMA user_version=7")
    connection.close()
    with pytest.raises(LedgerFileError, match=r"has format 7.*remove it, it is built anew"):
        opened()


def test_one_process_at_a_time_has_it(opened: Open, tmp_path: Path) -> None:
    opened()
    with pytest.raises(LedgerFileError) as refused:
        Replica(tmp_path / "state.db", channel=CHANNEL, chaincode="consilo")
    assert refused.value.code == "ledger-locked"


def test_a_directory_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(LedgerFileError, match=r"missing/state\.db\.lock cannot be made: No such file or directory"):
        Replica(tmp_path / "missing" / "state.db", channel=CHANNEL, chaincode="consilo")


def test_a_closed_replica_says_so(channel: FabricChannel, opened: Open) -> None:
    replica = opened()
    replica.close()
    with pytest.raises(LedgerClosed):
        replica.append(channel.blocks)
    with pytest.raises(LedgerClosed), replica.snapshot():
        pass


def test_a_write_that_failed_is_made_good_by_the_next(channel: FabricChannel, opened: Open, tmp_path: Path) -> None:
    replica = opened()
    replica.append(channel.blocks[:2])
    other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    other.execute("CREATE TRIGGER broken BEFORE INSERT ON blocks BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(EmbeddedLedgerError):
        replica.append(channel.blocks[2:])
    assert replica.tip == tip_of(channel.blocks[1])
    other.execute("DROP TRIGGER broken")
    other.close()
    replica.append(channel.blocks[2:])
    assert state_of(replica) == channel.state.records
