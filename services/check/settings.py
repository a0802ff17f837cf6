"""Settings of the check: from the environment (`CONSILO_CHECK_...`) or the command line. Reads no files."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from consilo.api.settings import ApiSettings
from consilo.hosting.start import ServiceSettings


class CheckSettings(ServiceSettings):
    """Makes a run of its own, with a small model, and stops it. It stays on the ledger, stopped."""

    model_config = SettingsConfigDict(
        env_prefix="CONSILO_CHECK_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        cli_kebab_case=True,
        cli_prog_name="python -m services.check",
        cli_implicit_flags=True,
    )

    operator_identity: Path = Field(description="directory of an operator's identity")
    aggregator_identity: Path = Field(description="directory of an aggregator's identity, of the same organisation")
    gateway_url: str = Field(description="base URL of the organisation's ledger service")
    model_bytes: int = Field(1024, ge=4, le=2**30, description="size of the model that is stored, in bytes of data")
    patience_seconds: float = Field(60.0, gt=0, le=86_400, description="to wait for what is away, at each step")
    api: ApiSettings = Field(ApiSettings(), description="waits and limits towards gateway and store")
