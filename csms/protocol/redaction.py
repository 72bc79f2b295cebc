"""Secrets that charge points tell (keys, passwords, PINs) are taken out before anything is kept. Pure."""

from __future__ import annotations

import re
from typing import Any

import orjson

REDACTED = "(hidden)"

_SECRET = re.compile(
    r"(?i:password|passwd|passphrase|secret)|(?<![Pp]ublic)(?:[Kk]ey|KEY)(?![A-Za-z])|[Pp][Ii][Nn](?![a-zG])"
)
_MAY_HOLD = re.compile(r"passw|passphrase|secret|key|pin", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """Whether the setting `name` (1.6 key or 2.0.1 name) holds a secret by all appearances."""
    return _SECRET.search(name) is not None


def redact(name: str, value: str | None) -> str | None:
    """The value of a setting, hidden where it is a secret."""
    return REDACTED if value and is_secret(name) else value


def redacted(frame: str) -> str:
    """A frame as it may be kept: values of secret settings replaced, all else as it came."""
    if _MAY_HOLD.search(frame) is None:
        return frame
    try:
        message = orjson.loads(frame)
    except orjson.JSONDecodeError:
        return REDACTED
    found: list[bool] = []
    cleaned = _clean(message, found)
    return orjson.dumps(cleaned).decode() if found else frame


def _clean(value: Any, found: list[bool]) -> Any:
    match value:
        case list():
            return [_clean(each, found) for each in value]
        case dict():
            cleaned = {name: _clean(each, found) for name, each in value.items()}
            if _names_secret(cleaned):
                for field in ("value", "attributeValue"):
                    if cleaned.get(field) not in {None, ""}:
                        cleaned[field] = REDACTED
                        found.append(True)
            return cleaned
        case _:
            return value


def _names_secret(item: dict[str, Any]) -> bool:
    """1.6 says {"key": ..., "value": ...}; 2.0.1 {"variable": {"name": ...}, "attributeValue": ...}."""
    variable = item.get("variable")
    name = variable.get("name") if isinstance(variable, dict) else item.get("key")
    return isinstance(name, str) and is_secret(name)
