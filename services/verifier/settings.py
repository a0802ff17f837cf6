"""Settings of the verifier: from the environment (`CONSILO_VERIFIER_...`) or the command line. Reads no files."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from consilo.hosting.member import MemberSettings
from consilo.verification.recompute import RecomputeSettings


class VerifierSettings(MemberSettings):
    """Recomputes the global models of the runs that name its member as a verifier, and attests them."""

    model_config = SettingsConfigDict(
        **MemberSettings.model_config
        | SettingsConfigDict(env_prefix="CONSILO_VERIFIER_", cli_prog_name="python -m services.verifier")
    )

    compute: RecomputeSettings = Field(RecomputeSettings(), description="limits of a recomputation")
    fetch_globals: bool = Field(
        False,
        description="attest a global only once its own artifact was fetched and found right too: that it is what "
        "everybody gets",
    )
    retry_first_seconds: float = Field(
        5.0, gt=0, le=86_400, description="first wait before artifacts that could not be had are tried again; doubles"
    )
    retry_longest_seconds: float = Field(600.0, gt=0, le=86_400, description="longest such wait")
