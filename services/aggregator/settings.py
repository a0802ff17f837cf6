"""Settings of the aggregator: from the environment (`CONSILO_AGGREGATOR_...`) or the command line. Reads no files."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from consilo.hosting.member import MemberSettings
from consilo.verification.recompute import RecomputeSettings


class AggregatorSettings(MemberSettings):
    """Makes the global models of the runs that name its member as an aggregator."""

    model_config = SettingsConfigDict(
        **MemberSettings.model_config
        | SettingsConfigDict(env_prefix="CONSILO_AGGREGATOR_", cli_prog_name="python -m services.aggregator")
    )

    compute: RecomputeSettings = Field(RecomputeSettings(), description="limits of an aggregation")
    standby_seconds: float = Field(
        60.0,
        ge=0,
        le=86_400,
        description="how long each aggregator that stands by lets the one before it in the run's list work, before it "
        "aggregates too",
    )
