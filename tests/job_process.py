"""One Job as a process, instead of a pod: `python -m tests.job_process DIRECTORY`. Notes how its program ended.

In the directory are `environment.json`, and then `pid` of the program, `log` and, when it has ended, `status`.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path


def main(directory: Path) -> None:
    environment = json.loads((directory / "environment.json").read_text())
    signal.signal(signal.SIGTERM, lambda *_: None)  # the program gets it too, and decides
    with (directory / "log").open("wb") as log:
        program = subprocess.Popen([sys.executable, "-m", "consilo.training.job"], stderr=log, env=environment)
        (directory / "pid").write_text(str(program.pid))
        status = program.wait()
    part = directory / "status.part"
    part.write_text(str(status))
    part.replace(directory / "status")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
