"""Running a member that acts by itself, as a process: its settings, its connection, its end in order.

Reads the identity's files, connects to the gateway, and sets signal handlers while it serves.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from consilo.api.errors import ApiError
from consilo.api.heads import HeadMemory
from consilo.api.party import Party
from consilo.api.settings import ApiSettings
from consilo.hosting.start import CannotStart, ServiceSettings, announce
from consilo.identity.errors import IdentityError
from consilo.identity.identity import Identity
from consilo.protocol.values import Role

_EXIT_SIGNALS = (signal.SIGTERM, signal.SIGINT)

log = structlog.get_logger(__name__)


class MemberSettings(ServiceSettings):
    """Settings of every service that is a member of a consortium."""

    model_config = SettingsConfigDict(
        env_nested_delimiter="__", extra="forbid", frozen=True, cli_kebab_case=True, cli_implicit_flags=True
    )

    identity: Path = Field(description="directory of the member's identity (`key.pem` and `certificate.pem`)")
    gateway_url: str = Field(description="base URL of the ledger service that the member uses")
    state_directory: Path | None = Field(
        None, description="keeps the newest block seen, so that a ledger that was set back is found out over restarts"
    )
    runs: tuple[str, ...] | None = Field(None, description="names of the runs to work for; default: all that name it")
    api: ApiSettings = Field(ApiSettings(), description="limits and waits towards gateways and stores")

    def allows(self, run: str) -> bool:
        """Whether this member is to work for a run of this name."""
        return self.runs is None or run in self.runs


def serve_member(settings: MemberSettings, role: Role, work: Callable[[Party], Awaitable[None]]) -> None:
    """Connect as the member, announce it, and work until SIGTERM or SIGINT.

    Args:
        settings: who it is, and which gateway it uses.
        role: that its identity must have.
        work: goes on until it is cancelled.

    Raises:
        CannotStart: the identity cannot be used.
        SystemExit: with code 1, when the gateway or the ledger behind it cannot be worked with; the log says why.
    """
    try:
        identity = Identity.load(settings.identity)
    except IdentityError as error:
        raise CannotStart(str(error)) from None
    if identity.role != role:
        raise CannotStart(
            f"{identity.member} has the role {identity.role}; this service needs an identity of the role {role}"
        )
    try:
        asyncio.run(_serve(settings, identity, work))
    except ApiError as error:
        log.critical("failed", code=error.code, reason=error.message)
        raise SystemExit(1) from None


async def _serve(settings: MemberSettings, identity: Identity, work: Callable[[Party], Awaitable[None]]) -> None:
    serving = asyncio.ensure_future(_connected(settings, identity, work))
    loop = asyncio.get_running_loop()
    for number in _EXIT_SIGNALS:
        loop.add_signal_handler(number, serving.cancel)
    try:
        await serving
    except asyncio.CancelledError:
        log.info("told to end")
    finally:
        for number in _EXIT_SIGNALS:
            loop.remove_signal_handler(number)


async def _connected(settings: MemberSettings, identity: Identity, work: Callable[[Party], Awaitable[None]]) -> None:
    name = identity.member.replace("/", "-")
    directory = settings.state_directory
    memory = HeadMemory(None if directory is None else directory / f"{name}.head.json")
    async with Party(identity, settings.gateway_url, settings=settings.api, memory=memory) as party:
        log.info("connected", member=party.member, ledger=party.ledger, gateway=settings.gateway_url)
        announce(member=party.member)
        await work(party)
