"""Starts the chaincode's server: `python -m chaincode --help`.

When it listens it writes one line of JSON to standard output, `{"event": "listening", "address": ..., "port": ...}`.
Its log goes to standard error. SIGTERM and SIGINT end it in order, exit 0.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time

import structlog

from chaincode.functions import Functions
from chaincode.server import ChaincodeServer
from chaincode.settings import ChaincodeSettings
from consilo.hosting.start import announce, run_service

log = structlog.get_logger(__name__)


def serve(settings: ChaincodeSettings) -> None:
    """Run the server until a signal ends it.

    Raises:
        CannotStart: the certificate cannot be used, or the address not be listened on.
    """
    asyncio.run(_serve(settings))


async def _serve(settings: ChaincodeSettings) -> None:
    told_to_end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told_to_end.set)
    functions = Functions(
        round(settings.max_clock_difference_seconds * 1000), _clock, chaincode=settings.chaincode_name
    )
    server = ChaincodeServer(settings, functions)
    await server.start()
    log.info(
        "listening",
        host=settings.host,
        port=server.port,
        package_id=server.package_id,
        tls=settings.tls_certificate_file is not None,
        max_clock_difference_seconds=settings.max_clock_difference_seconds,
    )
    announce(address=f"{settings.host}:{server.port}", port=server.port)
    await told_to_end.wait()
    await server.stop()


def _clock() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    sys.exit(run_service(ChaincodeSettings, serve))
