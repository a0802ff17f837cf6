"""The ledger service's REST API on a real process: reading, and handing in transactions."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from consilo.api.heads import verify_head
from consilo.api.models import Committed, Head, LedgerInfo, SignedHead
from consilo.embedded.blocks import Block, decode_genesis
from consilo.protocol.bodies import ProposeRun, StopRun
from consilo.protocol.canonical import canonical, digest
from consilo.protocol.queries import Organisations, Records, RunNames
from consilo.protocol.records import Organisation
from consilo.protocol.transaction import envelope, payload, signed_bytes
from consilo.protocol.views import RoundSummary, RunStatus
from tests.integration.consortium import ORGANISATIONS, Consortium
from tests.integration.rest import call, signed
from tests.integration.trial import started

OPERATOR = "HospitalA/operator"


# -- Reading ---------------------------------------------------------------------------------------------------------


def test_everyone_is_told_what_the_service_is(consortium: Consortium) -> None:
    info = LedgerInfo.decode(call(consortium, "GET", "/v1/ledger", member=None).body)
    assert (info.ledger, info.kind, info.organisations) == ("test-ledger", "embedded", ORGANISATIONS)


def test_the_head_is_the_signed_word_of_the_gateway(consortium: Consortium) -> None:
    signed_head = SignedHead.decode(call(consortium, "GET", "/v1/head").body)
    verify_head(signed_head, consortium.authorities["HospitalA"].roots)
    assert signed_head.signed_by == "HospitalA/gateway"
    height = signed_head.head.height
    assert Head.decode(call(consortium, "GET", f"/v1/blocks/{height}/head").body).hash == signed_head.head.hash


def test_blocks_are_the_bytes_that_the_ledger_keeps_one_a_line(consortium: Consortium) -> None:
    answer = call(consortium, "GET", "/v1/blocks?start=0&limit=4")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/x-ndjson")
    blocks = answer.body.split(b"\n")
    assert len(blocks) == 4
    assert decode_genesis(blocks[0]).ledger == "test-ledger"
    hashes = [digest(block) for block in blocks]
    assert [Block.decode(block).previous for block in blocks[1:]] == hashes[:-1]
    for height, expected in enumerate(hashes):
        assert Head.decode(call(consortium, "GET", f"/v1/blocks/{height}/head").body).hash == expected


def test_blocks_are_read_in_pages(consortium: Consortium) -> None:
    whole = call(consortium, "GET", "/v1/blocks?start=0&limit=4").body.split(b"\n")
    assert call(consortium, "GET", "/v1/blocks?start=2&limit=2").body.split(b"\n") == whole[2:]
    assert call(consortium, "GET", "/v1/blocks?start=9007199254740991").body == b""


def test_organisations_are_as_they_registered(consortium: Consortium) -> None:
    found = Organisations.decode(call(consortium, "GET", "/v1/organisations").body).organisations
    assert tuple(each.msp for each in found) == ORGANISATIONS
    one = Organisation.decode(call(consortium, "GET", "/v1/organisations/HospitalC").body)
    assert one == found[2]
    assert [base64.b64decode(root) for root in one.roots] == list(consortium.authorities["HospitalC"].roots)


async def test_a_run_its_rounds_and_its_records_can_be_read(consortium: Consortium, tmp_path: Path) -> None:
    async with started(consortium, tmp_path) as trial:
        run = trial.run
        assert run in RunNames.decode(call(consortium, "GET", "/v1/runs").body).runs
        status = RunStatus.decode(call(consortium, "GET", f"/v1/runs/{run}").body)
        assert (status.run, status.state, status.proposal.specification) == (run, "active", trial.specification)
        await _open_round(consortium, trial.specification.model_dump(mode="json"), run)
        round_0 = RoundSummary.decode(call(consortium, "GET", f"/v1/runs/{run}/rounds/0").body)
        assert (round_0.round, round_0.opening.attempt) == (0, 1)
        records = Records.decode(call(consortium, "GET", f"/v1/records?prefix=run/{run}/&limit=1000").body)
        assert records.after is None
        keys = [record.key for record in records.records]
        assert keys == sorted(keys)
        page = Records.decode(call(consortium, "GET", f"/v1/records?prefix=run/{run}/&limit=2").body)
        rest = Records.decode(call(consortium, "GET", f"/v1/records?prefix=run/{run}/&after={page.after}").body)
        assert page.records + rest.records == records.records


async def _open_round(consortium: Consortium, specification: dict[str, Any], run: str) -> None:
    body = {
        "run": run,
        "round": 0,
        "attempt": 0,
        "artifact": specification["initial"],
        "inputs": [],
        "strategy": specification["strategy"],
    }
    first = signed(consortium, "HospitalA/aggregator", "publish_global", body)
    assert call(consortium, "POST", "/v1/transactions", first, member=None).status == 200


@pytest.mark.parametrize(
    ("target", "refusal"),
    [
        ("/v1/runs/never", (404, "run-unknown", True)),
        ("/v1/runs/never/rounds/0", (404, "run-unknown", True)),
        ("/v1/organisations/HospitalZ", (404, "organisation-unknown", True)),
        ("/v1/blocks/9007199254740991/head", (404, "block-unknown", False)),
        ("/v1/blocks/9007199254740992/head", (400, "malformed", False)),
        ("/v1/blocks/-1/head", (400, "malformed", False)),
        ("/v1/blocks/1e3/head", (400, "malformed", False)),
        ("/v1/blocks?start=-1", (400, "malformed", False)),
        ("/v1/blocks?limit=0", (400, "malformed", False)),
        ("/v1/blocks?limit=1001", (400, "malformed", False)),
        ("/v1/runs/Never", (400, "malformed", False)),
        ("/v1/runs/a%00b", (400, "malformed", False)),
        ("/v1/runs/never/rounds/10000000", (400, "malformed", False)),
        ("/v1/runs/never/rounds/-1", (400, "malformed", False)),
        ("/v1/organisations/-", (400, "malformed", False)),
        ("/v1/records", (400, "malformed", False)),
        ("/v1/records?prefix=run", (400, "malformed", False)),
        ("/v1/records?prefix=run/&limit=0", (400, "malformed", False)),
        (f"/v1/records?prefix={'a' * 512}/", (400, "malformed", False)),
        (f"/v1/records?prefix=run/&after={'a' * 1025}", (400, "malformed", False)),
        ("/v1/runs/", (404, "not-found", False)),
        ("/v1/organisations/Hospital%2FA", (404, "not-found", False)),
        ("/v2/ledger", (404, "not-found", False)),
        ("/", (404, "not-found", False)),
        ("/docs", (404, "not-found", False)),
    ],
)
def test_what_is_not_there_or_no_question_is_told_with_a_code(
    consortium: Consortium, target: str, refusal: tuple[int, str, bool]
) -> None:
    assert call(consortium, "GET", target).refusal == refusal


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [("DELETE", "/v1/runs", "GET"), ("GET", "/v1/transactions", "POST"), ("PUT", "/livez", "GET")],
)
def test_another_method_is_refused_with_those_that_there_are(
    consortium: Consortium, method: str, target: str, allowed: str
) -> None:
    answer = call(consortium, method, target)
    assert answer.refusal == (405, "method-not-allowed", False)
    assert answer.headers["allow"] == allowed


# -- Transactions ------------------------------------------------------------------------------------------------------


async def test_a_transaction_is_committed_once_however_often_it_is_sent(consortium: Consortium, tmp_path: Path) -> None:
    async with started(consortium, tmp_path) as trial:
        data = signed(consortium, OPERATOR, "stop_run", {"run": trial.run, "reason": "enough"})
        first = Committed.decode(call(consortium, "POST", "/v1/transactions", data, member=None).body)
        again = Committed.decode(call(consortium, "POST", "/v1/transactions", data, member=None).body)
        assert first.transaction == digest(canonical(json.loads(data)["payload"]))
        assert (first.repeated, again.repeated, again.transaction) == (False, True, first.transaction)
        verify_head(first.head, consortium.authorities["HospitalA"].roots)


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"type": "stop_everything"}, (400, "malformed", False)),
        ({"body": {"run": "never"}}, (400, "malformed", False)),
        ({"body": {"run": "never", "reason": "x", "more": 1}}, (400, "malformed", False)),
        ({"body": {"run": "never", "reason": "x"}}, (404, "run-unknown", True)),
        ({"ledger": "another"}, (409, "wrong-ledger", False)),
        ({"member": "HospitalA/operator-2"}, (409, "member-mismatch", False)),
        ({"member": "HospitalB/operator"}, (409, "certificate-untrusted", True)),
        ({"member": "HospitalZ/operator"}, (404, "organisation-unknown", True)),
    ],
)
def test_a_refusal_comes_with_its_code_status_and_whether_to_try_again(
    consortium: Consortium, changes: dict[str, Any], refusal: tuple[int, str, bool]
) -> None:
    data = signed(consortium, OPERATOR, "stop_run", {"run": "never", "reason": "x"}, changes)
    assert call(consortium, "POST", "/v1/transactions", data, member=None).refusal == refusal


def test_a_role_that_may_not_is_refused(consortium: Consortium) -> None:
    data = signed(consortium, "HospitalA/silo", "stop_run", {"run": "never", "reason": "x"})
    assert call(consortium, "POST", "/v1/transactions", data, member=None).refusal == (409, "role-not-allowed", False)


async def test_a_name_that_is_taken_is_refused_for_good(consortium: Consortium, tmp_path: Path) -> None:
    async with started(consortium, tmp_path) as trial:
        other = trial.specification.model_copy(update={"rounds": 7})
        identity = consortium.identity(OPERATOR)
        words = payload("test-ledger", OPERATOR, "propose_run", ProposeRun(run=trial.run, specification=other))
        data = envelope(words, identity.certificates, identity.sign(signed_bytes(words))).encode()
        answer = call(consortium, "POST", "/v1/transactions", data, member=None)
        assert answer.refusal == (409, "run-exists", False)


def test_a_signature_of_other_words_is_refused(consortium: Consortium) -> None:
    good = json.loads(signed(consortium, OPERATOR, "stop_run", StopRun(run="never", reason="x").model_dump()))
    good["payload"]["body"]["reason"] = "y"
    answer = call(consortium, "POST", "/v1/transactions", good, member=None)
    assert answer.refusal == (409, "signature-invalid", False)
