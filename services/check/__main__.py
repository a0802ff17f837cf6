"""Tries the installation once, prints a report as JSON, and ends: `python -m services.check --help`.

Exit codes: 0 it works, 1 it does not, 2 it cannot be tried with these settings; the log says why.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from consilo.api.errors import ApiError
from consilo.api.gateway import now_ms
from consilo.api.party import Party
from consilo.api.patience import Patience
from consilo.api.transfer_errors import TransferError
from consilo.hosting.start import CannotStart, run_service
from consilo.identity.errors import IdentityError
from consilo.identity.identity import Identity
from services.check.round_trip import CheckFailed, CheckReport, round_trip
from services.check.settings import CheckSettings

log = structlog.get_logger(__name__)


def serve(settings: CheckSettings) -> None:
    """Try it once.

    Raises:
        CannotStart: an identity cannot be used.
        SystemExit: with code 1, when something does not work; the log says what.
    """
    try:
        operator = Identity.load(settings.operator_identity)
        aggregator = Identity.load(settings.aggregator_identity)
    except IdentityError as error:
        raise CannotStart(error.message) from None
    for identity, role in ((operator, "operator"), (aggregator, "aggregator")):
        if identity.role != role:
            raise CannotStart(f"{identity.member} has the role {identity.role}; this needs one of the role {role}")
    try:
        report = asyncio.run(_check(settings, operator, aggregator))
    except (ApiError, TransferError) as error:
        log.critical("does not work", code=error.code, reason=str(error))
        raise SystemExit(1) from None
    except CheckFailed as error:
        log.critical("does not work", reason=str(error))
        raise SystemExit(1) from None
    sys.stdout.write(report.model_dump_json() + "\n")
    sys.stdout.flush()


async def _check(settings: CheckSettings, operator: Identity, aggregator: Identity) -> CheckReport:
    def party(identity: Identity) -> Party:
        patience = Patience(settings.api, limit_seconds=settings.patience_seconds)
        return Party(identity, settings.gateway_url, settings=settings.api, patience=patience)

    with TemporaryDirectory(prefix="consilo-check-") as directory:
        async with party(operator) as proposing, party(aggregator) as opening:
            return await round_trip(
                proposing,
                opening,
                run=f"check-{now_ms()}",
                model_bytes=settings.model_bytes,
                directory=Path(directory),
            )


if __name__ == "__main__":
    sys.exit(run_service(CheckSettings, serve))
