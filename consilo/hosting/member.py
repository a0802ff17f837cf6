"""Running a member that acts by itself, as a process: its settings, its connection, its end in order.

Reads the identity's files, connects to the gateway, and sets signal handlers while it serves.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

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

CONNECTED: Final = "connected"
"""What the status file says when all is well."""

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
    status_file: Path | None = Field(
        None,
        description="says in one line whether the member works, for who watches a service that listens on no port: "
        "`connected`, or what it waits for",
    )
    runs: tuple[str, ...] | None = Field(None, description="names of the runs to work for; default: all that name it")
    api: ApiSettings = Field(ApiSettings(), description="limits and waits towards gateways and stores")

    def allows(self, run: str) -> bool:
        """Whether this member is to work for a run of this name."""
        return self.runs is None or run in self.runs


class WatchedParty(Party):
    """A member that says in a file whether it is connected.

    It connects at its start, and again whenever the gateway was away.

    Attributes:
        status_file: the file; its directory must be there.
    """

    status_file: Path | None = None

    async def connect(self) -> None:
        """See `Party.connect`."""
        self._say(f"waiting for the gateway {self._url}: the log says why")
        await super().connect()
        self._say(CONNECTED)

    def _say(self, line: str) -> None:
        if self.status_file is not None:
            self.status_file.write_text(f"{line}\n", encoding="utf-8")


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
    party = WatchedParty(identity, settings.gateway_url, settings=settings.api, memory=memory)
    party.status_file = settings.status_file
    async with party:
        log.info("connected", member=party.member, ledger=party.ledger, gateway=settings.gateway_url)
        announce(member=party.member)
        await work(party)
