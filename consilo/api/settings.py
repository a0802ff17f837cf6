"""Limits and waits of the client library. Pure; no I/O."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from consilo.api.pace import Pace

Seconds = Annotated[float, Field(gt=0, le=86_400)]

Cidr = Annotated[str, AfterValidator(lambda text: str(ipaddress.ip_network(text)))]
"""A network in CIDR notation, e.g. `10.0.0.0/8`."""


class ApiSettings(BaseModel):
    """How long the client library waits, and how much it reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    connect_timeout_seconds: Seconds = Field(5.0, description="To open a connection to a gateway.")
    request_timeout_seconds: Seconds = Field(30.0, description="For a gateway to answer a request.")
    transfer_timeout_seconds: Seconds = Field(60.0, description="Without a byte from an object store.")
    minimum_bytes_per_second: int = Field(
        64 * 1024,
        ge=1,
        description="A store that serves an artifact slower than this, after a transfer timeout of grace, is given up.",
    )
    event_silence_seconds: Seconds = Field(
        60.0, description="Without a byte on the event stream (gateways send a sign of life every 15 s)."
    )
    backoff_first_seconds: Seconds = Field(0.1, description="First wait before a retry; doubles, with jitter.")
    backoff_longest_seconds: Seconds = Field(10.0, description="Longest wait before a retry.")
    max_answer_bytes: int = Field(64 * 1024 * 1024, ge=1024, description="Largest answer that is read from a gateway.")
    max_connections: int = Field(100, ge=1, description="Connections to gateways, in all.")
    private_networks: tuple[Cidr, ...] = Field(
        (),
        description="Networks (CIDR) besides the public Internet in which other organisations' gateways and stores may "
        "lie. Loopback is one of them when the own gateway is on it.",
    )
    ca_file: str | None = Field(
        None, description="PEM file of roots for TLS to gateways and stores; default: the system's."
    )

    @property
    def pace(self) -> Pace:
        """That a store must keep up when it serves an artifact."""
        return Pace(self.minimum_bytes_per_second, self.transfer_timeout_seconds)
