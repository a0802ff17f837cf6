"""Starting a service's process: settings read, errors told in a sentence, the address announced.

Once it listens, a service writes a line of JSON to standard output, `{"event": "listening", "url": ..., "port": ...}`.
Its log goes to standard error. Exit codes: 0 ended in order, 1 failed, 2 cannot start with these settings.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Annotated, TypeVar

import structlog
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, CliApp, SettingsError

from consilo.hosting.logs import LogFormat, configure_logs

log = structlog.get_logger(__name__)


class ServiceSettings(BaseSettings):
    """Settings that all services have."""

    log_format: LogFormat = Field("auto", description="`json`, `text`, or `auto`: text on a terminal, JSON elsewhere")
    log_level: Annotated[str, Field(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = Field(
        "INFO", description="least level that is logged"
    )


S = TypeVar("S", bound=ServiceSettings)


class CannotStart(Exception):
    """The service cannot start as it is set up. The message says what to do."""


def run_service(settings_type: type[S], serve: Callable[[S], None], arguments: list[str] | None = None) -> int:
    """Read the settings, set up logs, serve, and return the exit code. Raises nothing but what ends processes.

    Args:
        settings_type: read from the environment and the command line.
        serve: runs the service until it is told to end; raises `CannotStart` when it cannot.
        arguments: the command line; default: the process's.
    """
    configure_logs()
    prefix = settings_type.model_config.get("env_prefix", "")
    try:
        settings = CliApp.run(settings_type, cli_args=sys.argv[1:] if arguments is None else arguments)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            # Without what only tells which member of a union was meant, e.g. `kind=s3`.
            name = "__".join(str(part) for part in problem["loc"] if "=" not in str(part))
            log.critical("cannot start: a setting is wrong", setting=f"{prefix}{name.upper()}", reason=problem["msg"])
        return 2
    except SettingsError as error:
        log.critical("cannot start", reason=str(error))
        return 2
    configure_logs(settings.log_format, settings.log_level)
    try:
        serve(settings)
    except CannotStart as error:
        log.critical("cannot start", reason=str(error))
        return 2
    except Exception:
        log.critical("failed by a defect", exc_info=True)
        return 1
    log.info("ended")
    return 0


def announce(**facts: str | int) -> None:
    """Tell whoever started the process that it is ready: one line of JSON on standard output."""
    sys.stdout.write(json.dumps({"event": "listening", **facts}) + "\n")
    sys.stdout.flush()
