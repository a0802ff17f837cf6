"""Waits of event streams end at their time, or with the service."""

from __future__ import annotations

import asyncio

from services.ledger.streams import Ending


async def wait(ending: Ending, seconds: float) -> bool:
    """Whether the wait was over before what it waited for."""
    try:
        async with ending.at_most(seconds):
            await asyncio.Event().wait()
    except TimeoutError:
        return True
    return False


async def test_a_wait_is_over_at_its_time() -> None:
    ending = Ending()
    assert await wait(ending, 0.01)
    assert not ending.is_set()


async def test_all_waits_are_over_when_the_service_ends() -> None:
    ending = Ending()
    waits = [asyncio.ensure_future(wait(ending, 3600)) for _ in range(100)]
    await asyncio.sleep(0)
    ending.set()
    ending.set()
    async with asyncio.timeout(5):
        assert all(await asyncio.gather(*waits))
    assert ending.is_set()


async def test_a_wait_after_the_end_is_over_at_once() -> None:
    ending = Ending()
    ending.set()
    async with asyncio.timeout(5):
        assert await wait(ending, 3600)


async def test_a_wait_that_got_what_it_waited_for_is_forgotten() -> None:
    ending = Ending()
    async with ending.at_most(3600):
        await asyncio.sleep(0)
    ending.set()
    await asyncio.sleep(0)
    assert ending._waits == set()
