"""Processes are ended before what they stand on, whatever fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.local.processes import ServiceFailed, Services


async def test_what_the_services_stand_on_ends_after_them_the_last_first(tmp_path: Path) -> None:
    services = Services(tmp_path, 30.0)
    ended: list[str] = []

    async def end(name: str) -> None:
        ended.append(name)
        assert not services.running

    services.at_end(lambda: end("ground"))
    services.at_end(lambda: end("network"))
    arguments = {"port": "0", "directory": str(tmp_path / "objects"), "secret-file": str(tmp_path / "secret")}
    (tmp_path / "secret").write_text("ab" * 32)
    store = await services.start("store", "services.store", arguments)
    await services.stop()
    assert store.exit_code == 0
    assert ended == ["network", "ground"]


async def test_what_the_services_stand_on_ends_once(tmp_path: Path) -> None:
    services = Services(tmp_path, 1.0)
    ended: list[str] = []

    async def end() -> None:
        ended.append("network")

    services.at_end(end)
    await services.stop()
    await services.stop()
    assert ended == ["network"]


async def test_a_service_that_cannot_start_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    services = Services(tmp_path, 30.0)
    with pytest.raises(ServiceFailed, match="SECRET_FILE"):
        await services.start("store", "services.store", {"port": "0", "directory": str(tmp_path / "objects")})
    await services.stop()
    assert not services.running
