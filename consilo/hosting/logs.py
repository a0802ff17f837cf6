"""Logs on standard error: JSON for machines, a readable line for people. Changes the state of the process."""

from __future__ import annotations

import logging
import sys
from typing import Literal

import stamina.instrumentation
import structlog
import structlog.tracebacks

# Never the local variables of a frame: among them are signed URLs and tokens.
_failures = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))

LogFormat = Literal["auto", "json", "text"]


def configure_logs(form: LogFormat = "auto", level: str = "INFO") -> None:
    """Set up structlog, and send the standard library's loggers the same way. `auto`: text on a terminal, else JSON."""
    text = form == "text" or (form == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if text
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    failures: list[structlog.typing.Processor] = [] if text else [_failures]
    structlog.configure(
        processors=[*shared, *failures, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *failures, renderer],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # httpx logs every URL, query included; uvicorn's access log is ours to write.
    for name in ("httpx", "httpcore", "uvicorn.access", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Retries are logged where they are decided (consilo.api.patience).
    stamina.instrumentation.set_on_retry_hooks([])
