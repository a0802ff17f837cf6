"""One command's connection: who acts, through which gateway, for how long it waits. Network and file I/O in `call`.

The newest block seen is remembered in a file for each gateway, so that a ledger that lost blocks is found out.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, TypeVar

from pydantic import ValidationError

from consilo.api.errors import LedgerRolledBack
from consilo.api.heads import HeadMemory
from consilo.api.models import Head
from consilo.api.party import Party
from consilo.api.patience import Patience
from consilo.api.settings import ApiSettings
from consilo.cli.exits import USAGE, CliError
from consilo.identity.identity import Identity
from consilo.protocol.canonical import digest

DEFAULT_PATIENCE_SECONDS: Final = 30.0

T = TypeVar("T")


@dataclass(frozen=True)
class Session:
    """The common options of a command, and what they lead to.

    Attributes:
        gateway: URL, or None when it was not given.
        identity: directory, or None when it was not given.
        patience: seconds to wait for what is away.
        state: directory, or None for the default.
        private_networks: in which others' gateways and stores may lie, in CIDR notation.
        as_json: whether to print JSON.
    """

    gateway: str | None = None
    identity: Path | None = None
    patience: float = DEFAULT_PATIENCE_SECONDS
    state: Path | None = None
    private_networks: list[str] | None = None
    as_json: bool = False

    @cached_property
    def member(self) -> Identity:
        """Who acts.

        Raises:
            CliError: `identity-not-given`.
            IdentityError: its files cannot be used.
        """
        if self.identity is None:
            raise CliError("identity-not-given", "give --identity DIRECTORY, or set CONSILO_IDENTITY", exit_code=USAGE)
        return Identity.load(self.identity)

    @property
    def gateway_url(self) -> str:
        """The gateway's URL.

        Raises:
            CliError: `gateway-not-given`.
        """
        if self.gateway is None:
            raise CliError("gateway-not-given", "give --gateway URL, or set CONSILO_GATEWAY", exit_code=USAGE)
        if re.match(r"https?://[^/]", self.gateway) is None:
            raise CliError(
                "gateway-not-given",
                f"{self.gateway} is not a URL that starts with http:// or https://",
                exit_code=USAGE,
            )
        return self.gateway.rstrip("/")

    @property
    def head_file(self) -> Path:
        """Where the newest block that this gateway showed is remembered."""
        url = self.gateway_url
        readable = re.sub(r"[^A-Za-z0-9.]+", "-", url.split("://", 1)[1])[:80].strip("-.")
        return (self.state or default_state_directory()) / "heads" / f"{readable}-{digest(url.encode())[:8]}.json"

    @property
    def _settings(self) -> ApiSettings:
        try:
            return ApiSettings(private_networks=tuple(self.private_networks or ()))
        except ValidationError as error:
            reason = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
            raise CliError("network-invalid", f"--private-network: {reason}", exit_code=USAGE) from None

    def remembered(self) -> Head | None:
        """The newest block that this gateway showed to earlier commands, or None."""
        return HeadMemory(self.head_file).seen

    def call(self, work: Callable[[Party], Awaitable[T]], *, registered: bool = True) -> T:
        """Connect, work, disconnect.

        Args:
            work: what to do with the connected member.
            registered: False when the ledger may not know the member's organisation yet.

        Raises:
            Exception: as `Party.connect` and the work do.
        """
        member, url, memory, settings = self.member, self.gateway_url, HeadMemory(self.head_file), self._settings

        async def connected() -> T:
            patience = Patience(settings, limit_seconds=self.patience)
            async with Party(
                member, url, settings=settings, memory=memory, patience=patience, registered=registered
            ) as party:
                return await work(party)

        try:
            return asyncio.run(connected())
        except LedgerRolledBack as error:
            raise LedgerRolledBack(
                f"{error.message}; ask the gateway's operator. If another ledger is meant to be here, remove "
                f"{self.head_file}"
            ) from None


def default_state_directory() -> Path:
    """`$XDG_STATE_HOME/consilo`, or `~/.local/state/consilo`."""
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base else Path.home() / ".local" / "state") / "consilo"
