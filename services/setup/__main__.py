"""Makes the Secrets that are missing, and ends: `python -m services.setup --help`.

Exit codes: 0 all are there, 1 the cluster was not to be had: another try may do, 2 it cannot be done as it is set up.
"""

from __future__ import annotations

import sys

import structlog

from consilo.api.gateway import now_ms
from consilo.hosting.start import CannotStart, run_service
from services.setup.cluster import ClusterSecrets, own_cluster
from services.setup.founding import S3_KEYS, STORE_KEY, CannotFound, Founding
from services.setup.secrets import Secrets, SecretsUnavailable
from services.setup.settings import SetupSettings

log = structlog.get_logger(__name__)


def serve(settings: SetupSettings) -> None:
    """Make what is missing.

    Raises:
        CannotStart: it cannot be made; the message says why.
        SystemExit: with code 1, when Secrets cannot be read or made; the log says why.
    """
    try:
        secrets = ClusterSecrets(
            own_cluster(),
            settings.namespace,
            labels=settings.labels,
            timeout_seconds=settings.request_timeout_seconds,
        )
        found(settings, secrets, now=now_ms())
    except CannotFound as error:
        raise CannotStart(str(error)) from None
    except SecretsUnavailable as error:
        log.critical("failed", reason=str(error))
        raise SystemExit(1) from None
    log.info("all is there", namespace=settings.namespace)


def found(settings: SetupSettings, secrets: Secrets, *, now: int) -> None:
    """Make what is missing.

    Args:
        settings: what is to be there.
        secrets: where it is kept.
        now: milliseconds since the epoch.

    Raises:
        CannotFound: what is there and what is asked for do not go together.
        SecretsUnavailable: Secrets cannot be read or made.
    """
    founding = Founding(
        secrets, now=now, validity_days=settings.member_validity_days, warning_days=settings.expiry_warning_days
    )
    if settings.genesis is not None:
        founding.check_admitted(settings.genesis, [plan.msp for plan in settings.organisations])
    roots = {plan.msp: founding.organisation(plan) for plan in settings.organisations}
    if settings.genesis is not None:
        founding.genesis(settings.genesis, roots)
    if settings.store_secret is not None:
        founding.words(settings.store_secret, [STORE_KEY])
    if settings.s3_secret is not None:
        founding.words(settings.s3_secret, S3_KEYS)


if __name__ == "__main__":
    sys.exit(run_service(SetupSettings, serve))
