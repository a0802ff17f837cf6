"""What the silos are doing, from their status pages, for the display. Network I/O on loopback."""

from __future__ import annotations

import asyncio
import http.client
import json
from typing import Any, Final
from urllib.parse import urlsplit

from services.local.display import Display
from services.local.system import System

LOOK_EVERY_SECONDS: Final = 0.25


async def show_silos(system: System, display: Display) -> None:
    """Bring what each silo is doing to the display, until cancelled. A silo that does not answer is `away`."""
    while True:
        for member, url in system.silo_urls.items():
            try:
                status = await asyncio.to_thread(_status, url)
            except (OSError, http.client.HTTPException, ValueError):
                display.silo(member, "away", None, None)
                continue
            run: dict[str, Any] = next(iter(status["runs"]), {"phase": "waiting"})
            training = run["phase"] == "training"
            accuracy = run.get("metrics", {}).get("accuracy")
            display.silo(member, run["phase"], run.get("progress") if training else None, accuracy)
        await asyncio.sleep(LOOK_EVERY_SECONDS)


def _status(url: str) -> dict[str, Any]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=2.0)
    try:
        connection.request("GET", "/v1/status")
        status: dict[str, Any] = json.loads(connection.getresponse().read(1 << 20))
    finally:
        connection.close()
    return status
