"""The client service, with Jobs that are processes of this machine: `python -m tests.integration.job_client`.

Their files are in the directory of the variable `CONSILO_TEST_JOBS`, whose `patience` is the Jobs', in seconds.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from consilo.hosting.start import run_service
from services.client.__main__ import serve
from services.client.settings import ClientSettings
from tests.job_processes import JobProcesses


def main() -> int:
    directory = Path(os.environ["CONSILO_TEST_JOBS"])
    patience = float((directory / ".patience").read_text())
    return run_service(
        ClientSettings,
        lambda settings: serve(settings, lambda *_: JobProcesses(directory, patience_seconds=patience)),
    )


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
