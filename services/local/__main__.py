"""Runs the demonstration: `python -m services.local --help`, or `make demo`.

Exit codes: 0 all of it holds, 1 something does not, 2 settings are wrong or a program is not installed, 130 ended by
Ctrl-C.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError
from pydantic_settings import CliApp, SettingsError
from rich.console import Console

from consilo.api.errors import ApiError
from consilo.hosting.logs import configure_logs
from consilo.training.errors import WorkerError
from services.local.demonstration import DemoFailed, Demonstration
from services.local.foundations import Node
from services.local.processes import ProgramMissing, ServiceFailed, Services
from services.local.report import DemoReport, summary
from services.local.settings import DemoSettings


async def demonstrate(settings: DemoSettings, directory: Path, console: Console) -> DemoReport:
    """Run it; every process that it started is ended, whatever happens."""
    logs = directory / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    services = Services(logs, settings.start_timeout_seconds)
    task = asyncio.current_task()
    on_signal(lambda: task.cancel() if task else None)
    try:
        demonstration = Demonstration(settings, directory, console, services)
        report = await demonstration()
        console.print(summary(report))
        if settings.report is not None:
            text = json.dumps(report.model_dump(mode="json"), indent=2) + "\n"
            await asyncio.to_thread(settings.report.write_text, text, encoding="utf-8")
        if settings.keep:
            await keep(services, demonstration.nodes, directory, console)
        return report
    finally:
        on_signal(lambda: None)  # a second Ctrl-C would leave processes behind
        await services.stop()


def on_signal(call: Callable[[], object]) -> None:
    """Have this called when the process is told to end, in place of what was called before."""
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, call)


async def keep(services: Services, nodes: list[Node], directory: Path, console: Console) -> None:
    """Leave everything up until Ctrl-C."""
    places = [(service.name, service.facts.get("url", "")) for service in services.running.values()]
    for name, place in (*((node.name, node.address) for node in nodes), *places):
        console.print(f"{name:<24} {place}", highlight=False)
    console.print(f"files: {directory}\nCtrl-C ends them all.", highlight=False)
    try:
        await services.any_ended()
    except asyncio.CancelledError:
        return


def main(arguments: list[str] | None = None) -> int:
    """Run the demonstration and return the exit code."""
    console = Console()
    configure_logs(level="ERROR")
    try:
        settings = CliApp.run(DemoSettings, cli_args=sys.argv[1:] if arguments is None else arguments)
    except (ValidationError, SettingsError) as error:
        tell(console, str(error))
        return 2
    directory = settings.directory or Path(tempfile.mkdtemp(prefix="consilo-demo-"))
    failed = True
    try:
        report = asyncio.run(demonstrate(settings, directory, console))
        failed = not report.ok
        return 1 if failed else 0
    except asyncio.CancelledError:
        console.print("stopped")
        failed = False
        return 130
    except ProgramMissing as error:
        tell(console, str(error))
        failed = False
        return 2
    except (ServiceFailed, DemoFailed, ApiError, WorkerError, TimeoutError) as error:
        tell(console, f"The demonstration failed: {str(error) or 'a round took too long'}")
        return 1
    finally:
        if settings.directory is None and not failed:
            shutil.rmtree(directory, ignore_errors=True)
        elif failed:
            console.print(f"logs: {directory / 'logs'}", highlight=False, soft_wrap=True)


def tell(console: Console, text: str) -> None:
    """What is wrong, as it is: it may hold paths and brackets."""
    console.print(text, style="red", markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
