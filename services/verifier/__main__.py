"""Starts the verifier: `python -m services.verifier --help`."""

from __future__ import annotations

import sys

from consilo.api.follow import follow_runs
from consilo.api.party import Party
from consilo.hosting.member import serve_member
from consilo.hosting.start import run_service
from services.verifier.globals import Verifier
from services.verifier.settings import VerifierSettings


def serve(settings: VerifierSettings) -> None:
    """Run the service until a signal ends it. See `serve_member`."""

    async def work(party: Party) -> None:
        verifier = Verifier(party, settings)
        await follow_runs(party, concerned=verifier.concerned, step=verifier.step)

    serve_member(settings, "verifier", work)


if __name__ == "__main__":
    sys.exit(run_service(VerifierSettings, serve))
