"""What the silos are doing, from their status pages, for the display. Network I/O on loopback."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final

from services.local.display import Display
from services.local.pages import PageMissing, read_page
from services.local.system import System

LOOK_EVERY_SECONDS: Final = 0.25


async def until_loaded(system: System, run: str, timeout_seconds: float) -> None:
    """Return when every silo has loaded the task of a run that was proposed, or says what keeps it from that.

    Args:
        system: with its silos.
        run: name of the run.
        timeout_seconds: for all of them; after it nobody is waited for: the run goes on without, or says so.
    """

    async def wait(url: str) -> None:
        while not await asyncio.to_thread(_is_loaded, url, run):  # noqa: ASYNC110 - a status page tells of no event
            await asyncio.sleep(LOOK_EVERY_SECONDS / 5)

    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_seconds):
            await asyncio.gather(*map(wait, system.silo_urls.values()))


def _is_loaded(url: str, run: str) -> bool:
    try:
        entries = read_page(f"{url}/v1/status")["runs"]
    except PageMissing:
        return False
    return any(entry["run"] == run and (entry["loaded"] or entry["trouble"]) for entry in entries)


async def show_silos(system: System, display: Display) -> None:
    """Bring what each silo is doing to the display, until cancelled. A silo that does not answer is `away`."""
    while True:
        for member, url in system.silo_urls.items():
            try:
                status = await asyncio.to_thread(read_page, f"{url}/v1/status")
            except PageMissing:
                display.silo(member, "away", None, None)
                continue
            run: dict[str, Any] = next(iter(status["runs"]), {"phase": "waiting"})
            training = run["phase"] == "training"
            accuracy = run.get("metrics", {}).get("accuracy")
            display.silo(member, run["phase"], run.get("progress") if training else None, accuracy)
        await asyncio.sleep(LOOK_EVERY_SECONDS)
