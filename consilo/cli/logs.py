"""What the library logs while a command runs, for people: a line on standard error. Changes the state of the process.

Only warnings: that something is away and waited for.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import stamina.instrumentation
import structlog

from consilo.cli.output import printable


@contextmanager
def command_logs() -> Iterator[None]:
    """Set up structlog for one command, and put it back as it was afterwards."""
    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.processors.add_log_level, _line],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    # Retries are told where they are decided (consilo.api.patience).
    stamina.instrumentation.set_on_retry_hooks([])
    try:
        yield
    finally:
        structlog.configure(**before)


def _line(_: object, __: str, event: structlog.typing.EventDict) -> str:
    word, name = event.pop("level"), event.pop("event")
    facts = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in event.items())
    return printable(f"{word}: {name}: {facts}" if facts else f"{word}: {name}")
