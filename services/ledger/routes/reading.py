"""Reading the ledger: what it is, its blocks, organisations, runs and records."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

import consilo
from consilo.api.gateway import now_ms
from consilo.api.heads import sign_head
from consilo.api.models import Head, LedgerInfo, SignedHead
from consilo.protocol.model import Record
from consilo.protocol.queries import (
    NoArguments,
    OfOrganisation,
    OfRound,
    OfRun,
    Organisations,
    Page,
    Records,
    RunNames,
)
from consilo.protocol.records import Organisation
from consilo.protocol.values import MSP_PATTERN, NAME_PATTERN
from consilo.protocol.views import RoundSummary, RunStatus
from services.ledger.answers import answer, documented, documented_problems
from services.ledger.problems import ServiceProblem
from services.ledger.requests import LedgerPort, Sender, Shared

router = APIRouter(prefix="/v1", tags=["reading"])

MspPath = Annotated[str, Path(pattern=rf"^{MSP_PATTERN}$", description="MSP id of an organisation")]
RunPath = Annotated[str, Path(pattern=rf"^{NAME_PATTERN}$", description="name of a run")]
RoundPath = Annotated[int, Path(ge=0, le=9_999_999, description="number of a round")]
HeightPath = Annotated[int, Path(ge=0, le=2**53 - 1, description="height of a block")]


@router.get("/ledger", summary="What this service is", responses=documented(LedgerInfo, token=False))
async def info(ledger: LedgerPort, shared: Shared) -> Response:
    """Name and kind of the ledger, and whose gateway this is. Needs no token."""
    return answer(
        LedgerInfo(
            ledger=ledger.name, kind=ledger.kind, organisations=shared.organisations, version=consilo.__version__
        )
    )


@router.get("/head", summary="The newest block", responses=documented(SignedHead))
async def head(ledger: LedgerPort, shared: Shared, _: Sender) -> Response:
    """Height and hash of the newest block, signed by this gateway."""
    return answer(sign_head(shared.identity, await ledger.head(), now_ms()))


@router.get("/blocks/{height}/head", summary="The hash of one block", responses=documented(Head, 400, 404))
async def block_head(ledger: LedgerPort, _: Sender, height: HeightPath) -> Response:
    """The hash of the block of this height; `block-unknown` when the ledger does not reach it."""
    found = await ledger.hash_at(height)
    if found is None:
        raise ServiceProblem(404, "block-unknown", f"there is no block {height}")
    return answer(Head(ledger=ledger.name, height=height, hash=found))


@router.get(
    "/blocks",
    summary="Blocks as they are kept",
    responses={
        200: {"content": {"application/x-ndjson": {}}, "description": "One block a line, canonical bytes"},
        **documented_problems(400),
    },
    response_class=Response,
)
async def blocks(
    ledger: LedgerPort,
    _: Sender,
    start: Annotated[int, Query(ge=0, le=2**53 - 1, description="height of the first block")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="most blocks to send")] = 100,
) -> Response:
    """What a verifier replays: fewer than `limit` blocks, even none, may be sent; go on after the last one."""
    return Response(b"\n".join(await ledger.blocks(start, limit)), media_type="application/x-ndjson")


@router.get("/organisations", summary="All organisations", responses=documented(Organisations))
async def organisations(ledger: LedgerPort, _: Sender) -> Response:
    """Each as its latest registration says."""
    return answer(await ledger.query("organisations", NoArguments()))


@router.get("/organisations/{msp}", summary="One organisation", responses=documented(Organisation, 400, 404))
async def organisation(ledger: LedgerPort, _: Sender, msp: MspPath) -> Response:
    """As its latest registration says."""
    return answer(await ledger.query("organisation", OfOrganisation(msp=msp)))


@router.get("/runs", summary="Names of all runs", responses=documented(RunNames))
async def runs(ledger: LedgerPort, _: Sender) -> Response:
    """In alphabetical order."""
    return answer(await ledger.query("run_names", NoArguments()))


@router.get("/runs/{run}", summary="Where a run stands", responses=documented(RunStatus, 400, 404))
async def run_status(ledger: LedgerPort, _: Sender, run: RunPath) -> Response:
    """Its specification, votes, newest global model, and the current attempt with its updates."""
    return answer(await ledger.query("run_status", OfRun(run=run)))


@router.get("/runs/{run}/rounds/{round_number}", summary="One round", responses=documented(RoundSummary, 400, 404))
async def one_round(ledger: LedgerPort, _: Sender, run: RunPath, round_number: RoundPath) -> Response:
    """A round as its last attempt left it: cohort, updates, selection, the global made, attestations, evaluations."""
    return answer(await ledger.query("round", OfRound(run=run, round=round_number)))


@router.get("/records", summary="A page of records", responses=documented(Records, 400))
async def records(
    ledger: LedgerPort,
    _: Sender,
    prefix: Annotated[str, Query(description="start of the keys, ending in a slash", min_length=2, max_length=512)],
    after: Annotated[str, Query(description="key after which to go on", max_length=1024)] = "",
    limit: Annotated[int, Query(ge=1, le=1000, description="most records to send")] = 100,
) -> Response:
    """The ledger's records in key order. The protocol reference lists the keys."""
    page: Record = Page.decode(Page.model_construct(prefix=prefix, after=after, limit=limit).encode())
    return answer(await ledger.query("records", page))
