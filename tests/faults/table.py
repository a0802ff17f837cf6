"""The faults: what is done to a running system, what must hold afterwards, and the test that does it. Pure; no I/O.

docs/reference/faults.md is made from here, and a test checks that there is one row for each case of each test of
tests/faults and tests/fabric/test_faults_*.py, in the order of its cases.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        name: what is done.
        holds: what must hold afterwards, beside what every test checks at its end.
        test: `file::function`.
        slow: whether it is a long form, which only `make test-all` runs.
    """

    name: str
    holds: str
    test: str
    slow: bool = False


_KILLS: Final = "tests/faults/test_kills.py::"
_ANY_KILLED: Final = f"{_KILLS}test_runs_end_whole_when_any_process_is_killed_at_any_moment"
_MANY_KILLED: Final = f"{_KILLS}test_runs_end_whole_when_two_hundred_processes_are_killed"
_ANY_FROZEN: Final = f"{_KILLS}test_runs_end_whole_when_any_process_stands_still_for_five_seconds"
_MANY_FROZEN: Final = f"{_KILLS}test_runs_end_whole_when_processes_stand_still_sixty_times"

_MOMENTS: Final = "tests/faults/test_moments.py::"
_UPLOADED: Final = (
    f"{_MOMENTS}test_a_process_killed_between_its_upload_and_the_record_of_it_records_it_once_when_it_is_back"
)
_TRAINING: Final = f"{_MOMENTS}test_a_training_that_is_killed_in_its_middle_is_done_again_in_the_same_attempt"
_AWAY: Final = f"{_MOMENTS}test_a_gateway_that_is_away_for_twenty_seconds_is_waited_for"

_STORE: Final = "tests/faults/test_store_misbehaves.py::"
_BAD_STORE: Final = f"{_STORE}test_a_run_ends_whole_in_first_attempts_when_the_store"
_SPOILED_UPDATE: Final = f"{_STORE}test_an_update_that_the_store_spoils_is_replaced_in_the_next_attempt"
_SPOILED_GLOBAL: Final = f"{_STORE}test_a_global_that_the_store_spoils_for_a_silo_is_fetched_again"

_DISK: Final = "tests/faults/test_full_disk.py::"
_LEDGER_FULL: Final = f"{_DISK}test_on_a_full_disk_the_ledger_says_so_and_goes_on_when_there_is_room"
_KILLED_FULL: Final = f"{_DISK}test_a_ledger_that_is_killed_on_a_full_disk_starts_there_and_goes_on_when_there_is_room"
_STORE_FULL: Final = f"{_DISK}test_on_a_full_disk_the_store_says_so_and_goes_on_when_there_is_room"

_CLOCK: Final = "tests/faults/test_clock.py::"
_JUMPS: Final = f"{_CLOCK}test_when_the_ledgers_clock_jumps_members_say_so_and_go_on_when_it_is_right_again"
_AHEAD: Final = f"{_CLOCK}test_records_made_while_the_clock_was_a_day_ahead_do_not_hold_up_the_run"
_BEHIND: Final = f"{_CLOCK}test_a_ledger_that_starts_with_a_clock_behind_its_last_record_goes_on_from_there"

_OLD_BACKUP: Final = (
    "tests/faults/test_rollback.py::"
    "test_members_end_when_the_ledger_is_an_old_backup_and_go_on_when_the_right_one_is_back"
)

_NODES: Final = "tests/fabric/test_faults_nodes.py::"
_PEER_KILLED: Final = f"{_NODES}test_a_run_goes_on_while_a_peer_is_dead_and_ends_whole"
_ACCEPTED: Final = "tests/fabric/test_faults_moments.py::"
_LOST: Final = f"{_ACCEPTED}test_an_update_that_the_orderer_accepted_and_lost_is_handed_in_again_and_recorded_once"
_CHANGES: Final = "tests/fabric/test_faults_changes.py::"
_RANDOM: Final = "tests/fabric/test_faults_random.py::"

_WHOLE: Final = "every run ends whole"
_FIRST: Final = "all rounds end in their first attempt, and no update is excluded"
_ONCE: Final = "the object stays as an orphan; another one is recorded, once, in the first attempt"
_AGAIN: Final = "the round is trained a second time, in the same attempt; every object is recorded once"
_TOLD: Final = (
    "a member that asks is told what is wrong with the time; no process ends; all go on when the clock is right"
)
_REFETCHED: Final = "the silo fetches it again; the round ends in its first attempt, and no update is excluded"

SECTIONS: Final[dict[str, tuple[Fault, ...]]] = {
    "Processes": (
        Fault("any process is killed (SIGKILL) at a random moment, 10 times", _WHOLE, _ANY_KILLED),
        Fault("any process is killed (SIGKILL) at a random moment, 200 times", _WHOLE, _MANY_KILLED, slow=True),
        Fault("any process stands still (SIGSTOP) for 5 seconds, 5 times", _WHOLE, _ANY_FROZEN),
        Fault("any process stands still (SIGSTOP) for 5 seconds, 60 times", _WHOLE, _MANY_FROZEN, slow=True),
        Fault("the aggregator is killed between the upload of a global and its record", _ONCE, _UPLOADED),
        Fault("a client is killed between the upload of an update and its record", _ONCE, _UPLOADED),
        Fault("a training worker is killed in the middle of a training", _AGAIN, _TRAINING),
        Fault("a client is killed in the middle of a training", _AGAIN, _TRAINING),
        Fault(
            "the ledger service is away for 20 seconds",
            "members stay, say that they wait, not too often, and say when it is back",
            _AWAY,
            slow=True,
        ),
    ),
    "Store": (
        Fault("the store is slow: more than a second for each artifact", _FIRST, _BAD_STORE, slow=True),
        Fault("uploads are cut half way", _FIRST, _BAD_STORE),
        Fault("downloads are cut half way", _FIRST, _BAD_STORE),
        Fault("connections are cut after an answer's head", _FIRST, _BAD_STORE, slow=True),
        Fault("the store answers 503", _FIRST, _BAD_STORE, slow=True),
        Fault("the store answers 500", _FIRST, _BAD_STORE),
        Fault("the store closes connections without an answer", _FIRST, _BAD_STORE, slow=True),
        Fault("the store answers with what is no HTTP", _FIRST, _BAD_STORE, slow=True),
        Fault(
            "the store spoils an update, each time that it is read",
            "it is excluded with `digest-mismatch`, the aggregator's log names its owner, and the next attempt has "
            "one that is right",
            _SPOILED_UPDATE,
        ),
        Fault("the store flips a bit of a global on its way to a silo", _REFETCHED, _SPOILED_GLOBAL),
        Fault("the store gives a silo a global of another size", _REFETCHED, _SPOILED_GLOBAL, slow=True),
    ),
    "Full disks": (
        Fault(
            "the ledger's disk is full",
            "whoever publishes is told `ledger-full` and what to do; reading goes on; the run goes on when there is "
            "room",
            _LEDGER_FULL,
        ),
        Fault(
            "the ledger service is killed while its disk is full",
            "it starts on the full disk and answers reads; the run goes on when there is room",
            _KILLED_FULL,
        ),
        Fault(
            "the store's disk is full",
            "whoever uploads is told `store-full` (507); the round goes on in its first attempt when there is room",
            _STORE_FULL,
        ),
    ),
    "Clock of the ledger service": (
        Fault("it jumps a day forwards", _TOLD, _JUMPS),
        Fault("it jumps an hour backwards", _TOLD, _JUMPS),
        Fault(
            "records were made while it was a day ahead",
            "times on the ledger never go back; a run that begins afterwards is not held up",
            _AHEAD,
        ),
        Fault(
            "the ledger service starts with its clock behind the last record",
            "times on the ledger never go back, and its log has no error",
            _BEHIND,
        ),
    ),
    "Old copy of the ledger": (
        Fault(
            "the ledger's file is replaced by a backup of two rounds before",
            "aggregator, verifier and clients end with code 1 and `ledger-rolled-back`, also when they are started "
            "again, and write nothing to it; they go on when the right file is back",
            _OLD_BACKUP,
        ),
    ),
    "Fabric network": (
        Fault(
            "the peer of another organisation than the aggregator's is killed (SIGKILL) and started again",
            "the run goes on meanwhile, the organisation's gateway through another's peer; it is back at its own after",
            _PEER_KILLED,
        ),
        Fault(
            "the peer of the aggregator's organisation is killed (SIGKILL) and started again",
            "the run goes on meanwhile, the organisation's gateway through another's peer; it is back at its own after",
            _PEER_KILLED,
        ),
        Fault(
            "a peer stands still (SIGSTOP) for 20 seconds",
            "the run goes on meanwhile; the organisation's gateway is back at its own peer after",
            f"{_NODES}test_a_run_goes_on_while_a_peer_stands_still_for_twenty_seconds",
            slow=True,
        ),
        Fault(
            "the only orderer is killed (SIGKILL) and started again",
            "gateways hand in again what they could not; the run goes on",
            f"{_NODES}test_a_run_goes_on_when_the_orderer_is_back",
        ),
        Fault(
            "the chaincode server of the aggregator's organisation is killed (SIGKILL) and started again",
            "the run goes on meanwhile, through another organisation's peer; the gateway is back at its own after",
            f"{_NODES}test_a_run_goes_on_while_a_chaincode_server_is_dead_and_ends_whole",
        ),
        Fault(
            "a gateway is killed when orderers have accepted an update and it does not know of the commit",
            "the update is on the ledger once: what was accepted counts, and its repetition changes nothing",
            f"{_ACCEPTED}test_an_update_whose_gateway_is_killed_before_it_knows_of_the_commit_is_recorded_once",
        ),
        Fault(
            "the only orderer is killed when it has accepted an update",
            "the update is lost; the gateway hands it in again by itself, and it is on the ledger once",
            _LOST,
        ),
        Fault(
            "orderer and gateway are killed when the orderer has accepted an update",
            "the update is lost; its silo hands it in again, and it is on the ledger once",
            _LOST,
        ),
        Fault(
            "the chaincode is deployed again, under the next sequence, in the middle of a run",
            "the run goes on",
            f"{_CHANGES}test_a_run_does_not_notice_that_the_chaincode_is_deployed_again",
        ),
        Fault(
            "an organisation is added to the channel in the middle of a run",
            "the run goes on; the organisation registers through its own gateway, and takes part in the next run",
            f"{_CHANGES}test_an_organisation_added_in_the_middle_of_a_run_takes_part_in_the_next",
        ),
        Fault(
            "any orderer, peer, chaincode server or gateway is killed (SIGKILL) at a random moment, 10 times",
            _WHOLE,
            f"{_RANDOM}test_runs_end_whole_when_any_part_of_the_network_is_killed_at_any_moment",
        ),
        Fault(
            "any process of a consortium on Fabric is killed (SIGKILL) at a random moment, 100 times",
            _WHOLE,
            f"{_RANDOM}test_runs_end_whole_when_a_hundred_processes_of_a_consortium_are_killed",
            slow=True,
        ),
    ),
}
"""Title -> faults of a kind."""

FAULTS: Final = tuple(fault for faults in SECTIONS.values() for fault in faults)
