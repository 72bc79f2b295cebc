"""JSON logs on stderr; stdout belongs to data."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import Any, TextIO

import orjson
import structlog


def configure(level: str) -> None:
    """One JSON object a line. Libraries that use `logging` come out the same way."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            *shared,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=_Unbreakable(sys.stderr)),  # type: ignore[arg-type]  # write and flush are all
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(_Unbreakable(sys.stderr))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(serializer=_dumps),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for noisy in ("websockets", "asyncio", "uvicorn"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


class _Unbreakable:
    """stderr may be a file on a full disk: a line that cannot be written must not take with it what it tells about."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


def _dumps(event: Any, **_: Any) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
