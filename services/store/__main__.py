"""Starts the store service: `python -m services.store --help`.

When it listens it writes one line of JSON to standard output, `{"event": "listening", "port": ..., "url": ...}`, and
the port to the port file if one is set; its log goes to standard error. SIGTERM and SIGINT end it in order, exit 0.
"""

import json
import logging
import os
import signal
import sys
from pathlib import Path

import structlog
from pydantic import ValidationError
from pydantic_settings import CliApp, SettingsError

from consilo.store.errors import StoreError
from consilo.store.signing import SigningSecrets
from services.store.objects import ObjectDirectory
from services.store.server import StoreServer
from services.store.settings import StoreSettings


def main(arguments: list[str] | None = None) -> int:
    """Runs the service until a signal ends it, and returns the exit code: 0, or 2 when it cannot start."""
    log = _logger()
    try:
        settings = CliApp.run(StoreSettings, cli_args=sys.argv[1:] if arguments is None else arguments)
        secrets = SigningSecrets.from_file(settings.secret_file)
        objects = ObjectDirectory(
            settings.directory, fsync=settings.fsync, minimum_free_bytes=settings.minimum_free_bytes
        )
        server = StoreServer(settings, objects, secrets, log)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            name = "_".join(str(part) for part in problem["loc"])
            log.critical(
                "cannot start: a setting is wrong", setting=f"CONSILO_STORE_{name.upper()}", reason=problem["msg"]
            )
        return 2
    except (StoreError, SettingsError, OSError) as error:
        log.critical("cannot start", reason=str(error))
        return 2
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop())
    if not objects.keeps_digests():
        log.warning("the file system keeps no extended attributes: HEAD and GET will not tell digests")
    if settings.port_file is not None:
        _write_port(settings.port_file, server.port)
    log.info("listening", url=server.url, directory=str(settings.directory), fsync=settings.fsync)
    sys.stdout.write(json.dumps({"event": "listening", "port": server.port, "url": server.url}) + "\n")
    sys.stdout.flush()
    server.run()
    objects.close()
    log.info("ended")
    return 0


def _logger() -> structlog.typing.FilteringBoundLogger:
    logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    return logger


def _write_port(path: Path, port: int) -> None:
    # Renamed into place: a reader sees no file or the whole of it.
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(f"{port}\n", encoding="ascii")
    part.replace(path)


if __name__ == "__main__":
    sys.exit(main())
