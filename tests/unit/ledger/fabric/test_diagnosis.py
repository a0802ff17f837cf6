"""What peers and gRPC say becomes what an operator has to do. The words are those that real ones were seen to say."""

from __future__ import annotations

import pytest

from services.ledger.fabric.answers import MISMATCH, Answer
from services.ledger.fabric.diagnosis import Asked, diagnose
from services.ledger.fabric.errors import (
    ChainDiffers,
    CommitError,
    CommitStatusError,
    DeliverError,
    EndorseError,
    EvaluateError,
    FabricError,
    PeerBehind,
    SubmitError,
)
from services.ledger.fabric.signing import ClientIdentity

NOW = 1_750_000_000_000
CONNECTING = "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:30637: "


def asked(expires_at: int = NOW + 1) -> Asked:
    identity = ClientIdentity("HospitalA", b"", lambda digest: digest, expires_at)
    return Asked("the peer of HospitalA at a:7051", identity, channel="consilo", chaincode="ledger")


@pytest.mark.parametrize(
    ("error", "kind", "advice"),
    [
        (
            EvaluateError("FAILED_PRECONDITION", "access denied: channel [consilo] creator org unknown"),
            "set-up",
            "certificate must be one of MSP HospitalA, and that MSP a member of channel consilo",
        ),
        (DeliverError("FORBIDDEN", ""), "set-up", "it does not know the client"),
        (CommitStatusError("PERMISSION_DENIED", "failed evaluating policy"), "set-up", "it does not know the client"),
        (DeliverError("BAD_REQUEST", ""), "set-up", "set the clocks"),
        (DeliverError("NOT_FOUND", ""), "set-up", "it is not on channel consilo"),
        (
            EvaluateError("UNAVAILABLE", "failed to get config for channel [consilo]: could not get last config"),
            "set-up",
            "it is not on channel consilo",
        ),
        (
            EvaluateError("FAILED_PRECONDITION", "no peers available to evaluate chaincode ledger in channel consilo"),
            "away",
            "have it installed, approved and committed there",
        ),
        (
            EndorseError("FAILED_PRECONDITION", "no combination of peers can be derived which satisfy the policy"),
            "endorsers",
            "as many as the policy of chaincode ledger demands must run",
        ),
        (
            EndorseError(
                "ABORTED",
                "failed to collect enough transaction endorsements, see attached details for more info",
                (Answer("b:7051", "HospitalB", "could not launch chaincode ledger_1"),),
            ),
            "endorsers",
            "servers (HospitalB (b:7051): could not launch chaincode ledger_1)",
        ),
        (
            EndorseError("DEADLINE_EXCEEDED", "endorsement timeout expired while collecting endorsements"),
            "endorsers",
            "too few organisations' peers endorse",
        ),
        (
            EvaluateError("UNKNOWN", "evaluate call failed: chaincode response 500, Invalid chain ID"),
            "set-up",
            "chaincode ledger is not Consilo's",
        ),
        (
            EvaluateError("UNAVAILABLE", CONNECTING + "SSL_ERROR_SSL: CERTIFICATE_VERIFY_FAILED: unable to get issuer"),
            "set-up",
            "not the expected peer",
        ),
        (
            EvaluateError("UNAVAILABLE", CONNECTING + "Hostname Verification Check failed."),
            "set-up",
            "another host than the address (or server_name)",
        ),
        (
            EvaluateError("UNAVAILABLE", CONNECTING + "SSL_ERROR_SSL: error:100000f7:WRONG_VERSION_NUMBER"),
            "set-up",
            "speaks no TLS",
        ),
        (EvaluateError("UNAVAILABLE", CONNECTING + "Connection refused"), "away", "it cannot be reached"),
        (
            EvaluateError("UNAVAILABLE", "errors resolving nowhere:1: [field:hostname lookup error:not found]"),
            "away",
            "it cannot be reached",
        ),
        (EndorseError("UNKNOWN", "too many requests for /gateway.Gateway, exceeding limit (500)"), "busy", "as many"),
        (
            EndorseError(
                "ABORTED", "failed to endorse", (Answer("a:7051", "HospitalA", "could not launch chaincode ledger_1"),)
            ),
            "away",
            "cannot reach its server of chaincode ledger",
        ),
        (
            EndorseError("DEADLINE_EXCEEDED", "endorsement timeout expired while collecting first endorsement"),
            "away",
            "does not answer in time",
        ),
        (SubmitError("UNAVAILABLE", "no orderers could successfully process transaction"), "orderers", "orderers"),
        (SubmitError("DEADLINE_EXCEEDED", "Deadline Exceeded"), "orderers", "did not take it in time"),
        (CommitStatusError("DEADLINE_EXCEEDED", "Deadline Exceeded"), "orderers", "it is in no block yet"),
        (SubmitError("UNAVAILABLE", CONNECTING + "Connection refused"), "away", "it cannot be reached"),
        (DeliverError("OK", "the peer ended the stream of blocks"), "away", "the peer ended the stream of blocks"),
        (PeerBehind("it has to catch up"), "away", "the peer of HospitalA at a:7051: it has to catch up"),
        (ChainDiffers("another network"), "set-up", "the peer of HospitalA at a:7051: another network"),
        (EndorseError("ABORTED", "words of tomorrow"), "endorsers", "words of tomorrow"),
        (CommitError("f00", 11, 7), "endorsers", "MVCC_READ_CONFLICT"),
    ],
)
def test_every_error_says_whose_it_is_and_what_to_do(error: FabricError, kind: str, advice: str) -> None:
    diagnosis = diagnose(error, asked(), now=NOW)
    assert (diagnosis.kind, advice in diagnosis.advice) == (kind, True), diagnosis
    assert diagnosis.is_of_peer == (kind in ("away", "set-up"))


def test_a_certificate_that_has_expired_is_named_as_the_reason() -> None:
    error = EvaluateError("FAILED_PRECONDITION", "access denied: channel [consilo] creator org [HospitalA]")
    diagnosis = diagnose(error, asked(expires_at=NOW), now=NOW)
    assert "the client certificate of HospitalA expired at 2025-06-15T15:06:40+00:00: renew it" in diagnosis.advice


def test_endorsers_that_do_not_agree_are_all_named() -> None:
    error = EndorseError(
        "ABORTED",
        "failed to collect enough transaction endorsements",
        (Answer("b:7051", "HospitalB", MISMATCH), Answer("c:7051", "HospitalC", "connection refused")),
    )
    diagnosis = diagnose(error, asked(), now=NOW)
    assert diagnosis.kind == "endorsers"
    assert diagnosis.advice == f"HospitalB (b:7051): {MISMATCH}; HospitalC (c:7051): connection refused"


def test_errors_tell_the_transaction_and_all_answers() -> None:
    error = EndorseError("ABORTED", "failed", (Answer("b:7051", "HospitalB", "down"),), "f00")
    assert str(error) == "the endorsement of transaction f00 failed (ABORTED): failed; HospitalB (b:7051): down"
    assert error.transaction_id == "f00"
    assert str(CommitError("f00", 250, 7)) == "transaction f00 in block 7 does not count: 250"
