"""JSON logs on stderr; stdout belongs to data. Who charged is told by a keyed hash: logs go where customer files do not."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import logging
import re
import secrets
import sys
from collections.abc import MutableMapping
from typing import Any, Final, TextIO

import orjson
import structlog

TOKENS: Final = frozenset({"token", "id_tag", "idTag", "id_token", "idToken"})
"""What events call a token."""
_OF_ROWS: Final = re.compile(
    r"(Key \([^)]*\b(?:token|id_tag)\b[^)]*\)=|Failing row contains )\(.*?\)(?= is | already |\.|$)", re.MULTILINE
)
"""Where Postgres tells the values of a row that it refuses."""
_key = secrets.token_bytes(32)


def name_tokens_by(installation_key: bytes) -> None:
    """From now on the same token has the same name in all logs of the installation; before, it has one of the process's own."""
    global _key  # noqa: PLW0603 - logs are set up once for a process
    _key = hmac.digest(installation_key, b"csms tokens in logs", "sha256")


def token_name(token: object) -> str:
    """What stands in a log for a token."""
    return "token:" + hmac.new(_key, str(token).strip().upper().encode(), hashlib.sha256).hexdigest()[:16]


def hide_tokens(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor: no token is written as such."""
    for name, value in event.items():
        if name in TOKENS and value is not None:
            event[name] = token_name(value)
        elif isinstance(value, str):
            event[name] = _OF_ROWS.sub(r"\1(...)", value)
    return event


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
            hide_tokens,
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
                hide_tokens,
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
