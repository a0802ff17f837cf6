"""Settings of the setup: from the environment (`CONSILO_SETUP_...`) or the command line. Reads no files."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import SettingsConfigDict

from consilo.hosting.start import ServiceSettings
from consilo.identity.authority import MAX_VALIDITY_DAYS, MEMBER_VALIDITY_DAYS
from consilo.protocol.values import LedgerName, Msp, Name, Role

SecretName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.\-]{0,251}[a-z0-9])?$")]


class MemberPlan(BaseModel):
    """A member that is to be there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name = Field(description="of the member, within its organisation")
    role: Role = Field(description="what it may do")
    secret: SecretName = Field(description="Secret of its identity: `key.pem`, `certificate.pem`")


class OrganisationPlan(BaseModel):
    """An organisation that is to be there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    msp: Msp = Field(description="MSP id")
    roots_secret: SecretName = Field(description="Secret of its roots, which are public: `ca.pem`")
    ca_secret: SecretName | None = Field(
        None, description="Secret of its CA: `ca.key`, `ca.pem`; default: its CA is elsewhere, nobody is issued here"
    )
    members: tuple[MemberPlan, ...] = Field((), description="whom its CA issues here")


class GenesisPlan(BaseModel):
    """The embedded ledger that is to be there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    secret: SecretName = Field(description="Secret of the genesis: `genesis.json`")
    ledger: LedgerName = Field(description="name of the ledger")


class SetupSettings(ServiceSettings):
    """Makes what is missing of an organisation's Secrets, and touches none that is there."""

    model_config = SettingsConfigDict(
        env_prefix="CONSILO_SETUP_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        cli_kebab_case=True,
        cli_prog_name="python -m services.setup",
        cli_implicit_flags=True,
    )

    namespace: str = Field(min_length=1, max_length=63, description="namespace of the Secrets")
    organisations: tuple[OrganisationPlan, ...] = Field(
        description="JSON: the organisations, each with `msp`, `roots_secret`, `ca_secret` and `members` "
        "(`name`, `role`, `secret`)"
    )
    genesis: GenesisPlan | None = Field(None, description="the embedded ledger; default: there is none")
    store_secret: SecretName | None = Field(
        None, description="Secret of the store's signing secret (`secret`); default: there is none"
    )
    s3_secret: SecretName | None = Field(
        None, description="Secret of an S3 server's account (`access-key`, `secret-key`); default: there is none"
    )
    labels: dict[str, str] = Field(default_factory=dict, description="JSON: labels of the Secrets that are made")
    member_validity_days: int = Field(
        MEMBER_VALIDITY_DAYS, ge=1, le=MAX_VALIDITY_DAYS, description="for how many days an issued certificate is valid"
    )
    expiry_warning_days: int = Field(
        30, ge=0, description="a certificate that is valid for fewer days than this is told in the log"
    )
    request_timeout_seconds: float = Field(10.0, gt=0, description="for the API server to answer")
