"""Settings of the ledger service: from the environment (`CONSILO_LEDGER_...`) or the command line. Reads no files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import SettingsConfigDict

from consilo.hosting.start import ServiceSettings
from consilo.store.s3_settings import S3Settings
from services.ledger.fabric.settings import FabricSettings

_KIND: Final = "kind of the object store: `local`, the store service; or `s3`, a bucket of an S3 server"


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


UrlLifetime = Annotated[int, Field(ge=1, le=86_400, description="how long a signed URL may be used")]


class LocalStoreAccess(BaseModel):
    """The local object store of this gateway's organisations."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["local"] = Field("local", description=_KIND)
    url: str = Field(description="base URL of the store, as clients reach it")
    secret_file: Path = Field(description="file with the store's signing secret")
    url_lifetime_seconds: UrlLifetime = 900
    max_object_bytes: int = Field(64 * 2**30, ge=1, description="largest artifact for which a URL is signed")


class S3StoreAccess(S3Settings):
    """The bucket of this gateway's organisations."""

    kind: Literal["s3"] = Field(description=_KIND)
    url_lifetime_seconds: UrlLifetime = 900


def _tag_of_store(value: Any) -> str:
    # Settings made before there were two kinds name none.
    return f"kind={value.get('kind', 'local') if isinstance(value, dict) else getattr(value, 'kind', None)}"


StoreAccess = Annotated[
    Annotated[LocalStoreAccess, Tag("kind=local")] | Annotated[S3StoreAccess, Tag("kind=s3")],
    Discriminator(
        _tag_of_store,
        custom_error_type="kind_of_store",
        custom_error_message="the kind of the object store is `local` or `s3`",
    ),
]


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
    embedded: EmbeddedSettings | None = Field(None, description="the embedded ledger")
    fabric: FabricSettings | None = Field(None, description="a ledger on Hyperledger Fabric")
    store: StoreAccess = Field(description="the object store")
    collect_every_seconds: float = Field(
        3600.0,
        ge=0,
        description="between two goes through the store, which remove orphans and what is past its run's retention; "
        "0: never",
    )
    orphan_grace_seconds: float = Field(
        86_400.0,
        ge=0,
        description="age of an object that no record names, from which on it is removed; longer than any outage "
        "between an upload and its record",
    )
    max_body_bytes: int = Field(8 * 2**20, ge=1024, description="largest request body that is read")
    body_timeout_seconds: float = Field(30.0, gt=0, description="for a request's body to arrive")
    head_timeout_seconds: float = Field(10.0, gt=0, description="for a request's line and headers to arrive")
    max_head_bytes: int = Field(32 * 1024, ge=1024, le=2**20, description="of a request's line and headers")
    stall_timeout_seconds: float = Field(30.0, gt=0, description="without a byte of an answer taken by the client")
    max_connections: int = Field(
        4096,
        ge=1,
        description="connections at once, event streams included; more are answered 503. The limit of open files "
        "(`ulimit -n`) is raised as far as it may be",
    )
    token_leeway_seconds: int = Field(10, ge=0, le=300, description="by how much clocks may differ")
    token_lifetime_seconds: int = Field(60, ge=1, le=600, description="longest lifetime of a request token")
    heartbeat_seconds: float = Field(15.0, gt=0, description="between signs of life on an idle event stream")
    shutdown_grace_seconds: int = Field(10, ge=0, description="for requests in flight when told to end")

    @model_validator(mode="after")
    def _one_ledger(self) -> Self:
        if (self.embedded is None) == (self.fabric is None):
            raise PydanticCustomError(
                "one_ledger", "set up exactly one ledger: either `embedded` (a file) or `fabric` (a channel)"
            )
        return self
