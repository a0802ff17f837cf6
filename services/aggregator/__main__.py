"""Starts the aggregator: `python -m services.aggregator --help`."""

from __future__ import annotations

import sys

from consilo.api.follow import COUNTED, UPDATE, follow_runs
from consilo.api.party import Party
from consilo.hosting.member import serve_member
from consilo.hosting.start import run_service
from services.aggregator.rounds import Aggregator
from services.aggregator.settings import AggregatorSettings


def serve(settings: AggregatorSettings) -> None:
    """Run the service until a signal ends it. See `serve_member`."""

    async def work(party: Party) -> None:
        aggregator = Aggregator(party, settings)
        await follow_runs(
            party,
            concerned=aggregator.concerned,
            step=aggregator.step,
            matters=aggregator.matters,
            left_out=COUNTED - {UPDATE},
        )

    serve_member(settings, "aggregator", work)


if __name__ == "__main__":
    sys.exit(run_service(AggregatorSettings, serve))
