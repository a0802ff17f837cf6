"""Settings of the chaincode: from the environment (`CONSILO_CHAINCODE_...`) or the command line. Reads no files.

None of them may change what a transaction does: every peer must come to the same writes. The clock check only decides
whether this peer endorses.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from consilo.hosting.start import ServiceSettings


class ChaincodeSettings(ServiceSettings):
    """Serves the state machine to the Fabric peers of one or more organisations: chaincode as a service."""

    model_config = SettingsConfigDict(
        env_prefix="CONSILO_CHAINCODE_",
        extra="forbid",
        frozen=True,
        cli_kebab_case=True,
        cli_prog_name="python -m chaincode",
        cli_implicit_flags=True,
    )

    host: str = Field("127.0.0.1", description="address to listen on; only peers should reach it")
    port: int = Field(9999, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    package_id: str | None = Field(
        None,
        min_length=1,
        description="id of the package that the peers installed, `label:digest`; they turn away another. "
        "Or else the three settings that it follows from:",
    )
    package_label: str | None = Field(None, min_length=1, description="label of the package that the peers installed")
    package_address: str | None = Field(
        None, min_length=1, description="this server's address in the package, `host:port`"
    )
    package_root_certificate_file: Path | None = Field(
        None, description="root certificate (PEM) in the package, as it is there to the byte"
    )
    chaincode_name: str = Field(
        "consilo", min_length=1, description="name under which the channel knows this chaincode"
    )
    tls_certificate_file: Path | None = Field(
        None, description="certificate chain (PEM) to serve TLS with; the package's connection.json names its root"
    )
    tls_key_file: Path | None = Field(None, description="private key (PEM, not encrypted) of the certificate")
    max_clock_difference_seconds: float = Field(
        60.0,
        gt=0,
        allow_inf_nan=False,
        description="by how much the time that a transaction claims may differ from this server's clock",
    )
    max_running_transactions: int = Field(
        32, ge=1, le=1024, description="transactions at once, each in a thread; more wait their turn"
    )
    answer_timeout_seconds: float = Field(
        20.0,
        gt=0,
        description="for the peer to answer one request of a transaction; below the peer's `chaincode.executetimeout`",
    )
    max_message_bytes: int = Field(
        100 * 2**20, ge=2**20, le=2**31 - 1, description="largest message to or from a peer; Fabric's is 100 MiB"
    )
    max_peers: int = Field(64, ge=1, description="streams of peers at once; more are refused")
    registration_timeout_seconds: float = Field(10.0, gt=0, description="for a peer to accept the registration")
    keepalive_seconds: float = Field(
        60.0, ge=10, description="between two signs of life on an idle connection, so that a dead one is noticed"
    )
    keepalive_timeout_seconds: float = Field(20.0, gt=0, description="for a peer to answer a sign of life")
    shutdown_grace_seconds: float = Field(
        10.0, ge=0, description="for running transactions when the server is told to end"
    )

    @model_validator(mode="after")
    def _package_known_once(self) -> Self:
        parts = (self.package_label, self.package_address, self.package_root_certificate_file)
        given = sum(part is not None for part in parts)
        if given not in (0, len(parts)) or (given == 0) == (self.package_id is None):
            raise ValueError(
                "the package is known either by package_id, or by package_label, package_address and "
                "package_root_certificate_file together"
            )
        return self

    @model_validator(mode="after")
    def _certificate_with_key(self) -> Self:
        if (self.tls_certificate_file is None) != (self.tls_key_file is None):
            raise ValueError("TLS needs both tls_certificate_file and tls_key_file")
        return self
