"""Secrets (keys, passwords, PINs) and customer information are taken out before anything is kept. Pure."""

from __future__ import annotations

import re
from typing import Any

import orjson

REDACTED = "(hidden)"

_SECRET = re.compile(
    r"(?i:password|passwd|passphrase|secret)|(?<![Pp]ublic)(?:[Kk]ey|KEY)(?![A-Za-z])|[Pp][Ii][Nn](?![a-zG])"
)
_VALUES = frozenset({"value", "attributeValue"})
_CREDENTIALS = re.compile(r"(:(?:\\?/){2})(?:[^/?#\s\"\\]|\\[^/])*@")
_QUERY = re.compile(r"(://[^\s\"?#]*\?)[^\s\"#]+")
_LOCATION = re.compile(r"(\"(?:[lL]ocation|remoteLocation)\"\s*:\s*\[?\s*\"[^\"?]*\?)[^\"]+")
_FILE_TOKEN = re.compile(r"((?<![A-Za-z0-9])files\\?/)[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])")
"""Who knows the path of an address of ours may fetch or send what is behind it (csms/files/address.py)."""
_CUSTOMER = "notifycustomerinformation"
_IMPERSONAL = frozenset({"requestId", "seqNo", "tbc", "generatedAt"})
_CALL_ERROR = 4
_ESCAPED = re.compile(r"(\\\\)|\\u00([2-7][0-9A-Fa-f])")
_HINTS = ("passw", "passphrase", "secret", "key", "pin")


def is_secret(name: str) -> bool:
    """Whether the setting `name` (1.6 key or 2.0.1 name) holds a secret by all appearances."""
    return _SECRET.search(name) is not None


def redact(name: str, value: str | None) -> str | None:
    """The value of a setting, hidden where it is a secret."""
    return REDACTED if value and is_secret(name) else value


def without_credentials(text: str) -> str:
    """URLs without user and password, without queries and tokens: a presigned one lets in whoever holds it."""
    text = _FILE_TOKEN.sub(rf"\1{REDACTED}", text)
    return _QUERY.sub(rf"\1{REDACTED}", _CREDENTIALS.sub(rf"\1{REDACTED}@", text))


def redacted(frame: str) -> str:
    """A frame as it may be kept: values of secret settings and credentials in URLs replaced, all else as it came.

    One that writes letters as escapes is searched as what it means: `\\u006bey` is a key.
    """
    if "\\u" not in frame:
        return _redacted(frame)
    plain = _without_escapes(frame)
    kept = _redacted(plain)
    return frame if kept == plain else kept


def _without_escapes(frame: str) -> str:
    """Letters, digits and signs that need no escape without one; quotes and backslashes keep theirs."""

    def letter(found: re.Match[str]) -> str:
        if found[1]:  # a backslash that is escaped itself: what follows it is no escape
            return found[0]
        character = chr(int(found[2], 16))
        return found[0] if character in '"\\\x7f' else character

    return _ESCAPED.sub(letter, frame)


def _redacted(frame: str) -> str:
    if "files" in frame:
        frame = _FILE_TOKEN.sub(rf"\1{REDACTED}", frame)
    if "://" in frame or ":\\/\\/" in frame:
        frame = _LOCATION.sub(rf"\1{REDACTED}", _CREDENTIALS.sub(rf"\1{REDACTED}@", frame))
    folded = frame.casefold()
    if _CUSTOMER in folded:
        frame = without_customer_information(frame)
        folded = frame.casefold()
    if not any(hint in folded for hint in _HINTS):  # a tenth of what a regular expression takes for each frame
        return frame
    try:
        found: list[bool] = []
        cleaned = _clean(orjson.loads(frame), found)
        return orjson.dumps(cleaned).decode() if found else frame
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, RecursionError):
        return REDACTED


def without_customer_information(frame: str) -> str:
    """A NotifyCustomerInformation call (OCPP 2.0.1 N09) without what it tells of the customer, all else as it came.

    One that names this action and cannot be read is hidden as a whole.
    """
    plain = _without_escapes(frame) if "\\u" in frame else frame
    if _CUSTOMER not in plain.casefold():
        return frame
    try:
        message = orjson.loads(frame)
    except (orjson.JSONDecodeError, RecursionError):
        return REDACTED
    match message:
        case [_, _, str(action), dict(payload), *_] if action.strip().casefold() == _CUSTOMER:
            told = {name: value if name in _IMPERSONAL else REDACTED for name, value in payload.items()}
            return orjson.dumps([*message[:3], told]).decode()
        case [kind, _, str(action), *_] if kind != _CALL_ERROR and action.strip().casefold() == _CUSTOMER:
            return REDACTED
        case _:
            return frame


def _clean(value: Any, found: list[bool], *, secret: bool = False) -> Any:
    """`secret`: the setting that is spoken of is one, so its values are hidden wherever they stand below it."""
    match value:
        case list():
            return [_clean(each, found, secret=secret) for each in value]
        case dict():
            secret = secret or _names_secret(value)
            return {
                name: _hidden(found)
                if (secret and name in _VALUES and each) or (_is_told(each) and _is_key(name, value))
                else _clean(each, found, secret=secret)
                for name, each in value.items()
            }
        case _:
            return value


def _hidden(found: list[bool]) -> str:
    found.append(True)
    return REDACTED


def _is_told(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool) and value != ""


def _names_secret(item: dict[str, Any]) -> bool:
    """1.6 says {"key": ..., "value": ...}; 2.0.1 {"variable": {"name": ...}, "attributeValue": ...}, and in reports
    {"variable": {"name": ...}, "variableAttribute": [{"value": ...}]}.
    """
    variable = item.get("variable")
    name = variable.get("name") if isinstance(variable, dict) else item.get("key")
    return isinstance(name, str) and is_secret(name)


def _is_key(name: str, item: dict[str, Any]) -> bool:
    """Whether the field itself holds a secret, as vpn.password and apn.simPin do; 1.6's "key" only names a setting."""
    return is_secret(name) and not (name == "key" and ("value" in item or "readonly" in item))
