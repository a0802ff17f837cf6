"""Settings of the ledger service: from the environment (`CONSILO_LEDGER_...`) or the command line. Reads no files."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import SettingsConfigDict

from consilo.hosting.start import ServiceSettings


class EmbeddedSettings(BaseModel):
    """The embedded ledger."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: Path = Field(description="the ledger's SQLite file; made from `genesis_file` when missing")
    genesis_file: Path | None = Field(
        None,
        description="genesis of a new ledger, made by `consilo ledger genesis`; only read when the file is missing",
    )
    max_queued_transactions: int = Field(
        1024, ge=1, description="transactions that wait to be written; more are told to come again"
    )
    max_block_transactions: int = Field(128, ge=1, description="transactions in one block")


class StoreAccess(BaseModel):
    """The local object store of this gateway's organisations."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(description="base URL of the store, as clients reach it")
    secret_file: Path = Field(description="file with the store's signing secret")
    url_lifetime_seconds: int = Field(900, ge=1, le=86_400, description="how long a signed URL may be used")
    max_object_bytes: int = Field(64 * 2**30, ge=1, description="largest artifact for which a URL is signed")


class LedgerSettings(ServiceSettings):
    """The gateway of one or more organisations to a ledger: REST API, signed URLs, events."""

    model_config = SettingsConfigDict(
        env_prefix="CONSILO_LEDGER_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        cli_kebab_case=True,
        cli_prog_name="python -m services.ledger",
        cli_implicit_flags=True,
    )

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8080, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    identity: Path = Field(description="directory of the gateway's own identity (role `gateway`)")
    organisations: list[str] = Field(
        default_factory=list,
        description="MSP ids whose gateway this is; default: the identity's own. Only on the embedded ledger may it be "
        "several",
    )
    embedded: EmbeddedSettings = Field(description="the embedded ledger")
    store: StoreAccess = Field(description="the object store")
    max_body_bytes: int = Field(8 * 2**20, ge=1024, description="largest request body that is read")
    body_timeout_seconds: float = Field(30.0, gt=0, description="for a request's body to arrive")
    max_connections: int = Field(4096, ge=1, description="connections at once; more are answered 503")
    token_leeway_seconds: int = Field(10, ge=0, le=300, description="by how much clocks may differ")
    token_lifetime_seconds: int = Field(60, ge=1, le=600, description="longest lifetime of a request token")
    heartbeat_seconds: float = Field(15.0, gt=0, description="between signs of life on an idle event stream")
    shutdown_grace_seconds: int = Field(10, ge=0, description="for requests in flight when told to end")
