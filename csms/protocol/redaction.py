"""Secrets (keys, passwords, PINs) and customer information are taken out before anything is kept. Pure."""

from __future__ import annotations

import re
from typing import Any

import orjson

REDACTED = "(hidden)"

FRAME_LENGTH_MAX = 64 * 1024
"""Characters. Longer frames are evidence of nothing but their head and length: `bounded`."""
DESCRIPTION_LENGTH_MAX = 300
"""Characters of an error's description, of which OCPP allows 255, that are looked at."""

_SECRET = re.compile(
    r"(?i:password|passwd|passphrase|passcode|secret|psk|pwd)|(?i:(?<!by)pass)(?![a-z])"
    r"|(?i:(?<!public)key)(?![A-Za-z])|(?i:pin)(?![a-zG])"
)
_VALUES = frozenset({"value", "attributevalue", "actualvalue"})
# Every pattern is linear in what a charge point sends: no quantifier can give back what the next one could take.
_CREDENTIALS = re.compile(r"(:(?:\\?/){2})(?:[^/?#\s\"\\]|\\[^/])*@")
_ADDRESS = re.compile(r"(://[^\s\"?#]*+)(\?[^\s\"#]++)?")
_LOCATION = re.compile(r"(\"(?:[lL]ocation|remoteLocation)\"\s*+:\s*+(?:\[\s*+)?+\"[^\"?]*+\?)[^\"]++")
_FILE_TOKEN = re.compile(r"((?<![A-Za-z0-9])files\\?/)[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])")
"""Who knows the path of an address of ours may fetch or send what is behind it (csms/files/address.py)."""
_CUSTOMER = "notifycustomerinformation"
_IMPERSONAL = frozenset({"requestId", "seqNo", "tbc", "generatedAt"})
_CALL_ERROR = 4
_ESCAPED = re.compile(r"(\\\\)|\\u00([2-7][0-9A-Fa-f])")
_HINTS = ("pass", "secret", "psk", "pwd", "key", "pin", "writeonly", "\\\\u")
"""Without one of these no secret can be named; the last one stands for a name within JSON within a text."""
_HEAD = re.compile(
    r"\[\s{0,9}\d\s{0,9},\s{0,9}(?:\"[^\"\\]{0,255}\"|\d{1,40})\s{0,9},(?:\s{0,9}\"[A-Za-z0-9]{1,50}\",)?"
)
_INNER_MAX = 3
"""JSON within a text within JSON is looked at so deep; what lies deeper is hidden."""


def is_secret(name: str) -> bool:
    """Whether the setting `name` (1.6 key or 2.0.1 name) holds a secret by all appearances."""
    return _SECRET.search(name) is not None


def redact(name: str, value: str | None) -> str | None:
    """The value of a setting, hidden where it is a secret."""
    return REDACTED if value and is_secret(name) else value


def without_credentials(text: str) -> str:
    """URLs without user and password, without queries and tokens: a presigned one lets in whoever holds it."""
    text = _FILE_TOKEN.sub(rf"\1{REDACTED}", text)
    return _ADDRESS.sub(_without_query, _CREDENTIALS.sub(rf"\1{REDACTED}@", text))


def _without_query(found: re.Match[str]) -> str:
    return found[0] if found[2] is None else f"{found[1]}?{REDACTED}"


def without_secrets(description: str) -> str:
    """What a charge point says of an error, cut to what may be shown; an address that the cut tears is left out."""
    text = description[:DESCRIPTION_LENGTH_MAX]
    if len(description) > len(text):
        scheme = text.rfind("://")
        if scheme >= 0 and not any(each.isspace() for each in text[scheme:]):
            text = f"{text[: scheme + 3]}{REDACTED}"
    return without_credentials(text)


def bounded(frame: str) -> str:
    """A frame as it came, or the head and length of one that is too long to be searched for secrets: call, id, action."""
    if len(frame) <= FRAME_LENGTH_MAX:
        return frame
    head = _HEAD.match(frame)
    return f"{head[0] if head else ''}... ({len(frame)} characters)"


def evidence(frame: str) -> str:
    """As `redacted`, for a frame that became no fact: of a long one the beginning stays too, if no secret is about."""
    if len(frame) <= FRAME_LENGTH_MAX:
        return redacted(frame)
    beginning, rest = frame[: FRAME_LENGTH_MAX - 100], frame[FRAME_LENGTH_MAX - 200 :].casefold()
    kept = REDACTED if _hints(rest) or _CUSTOMER in rest else redacted(beginning)
    return bounded(frame) if kept == REDACTED else f"{kept[: len(beginning)]}... ({len(frame)} characters)"


def redacted(frame: str) -> str:
    """A frame as it may be kept: values of secret settings and credentials in URLs replaced, all else as it came.

    One that writes letters as escapes is searched as what it means: `\\u006bey` is a key. Of one that is too long to be
    searched the head and length stay.
    """
    frame = bounded(frame)
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


def _redacted(frame: str, *, inner: int = 0) -> str:
    if "files" in frame:
        frame = _FILE_TOKEN.sub(rf"\1{REDACTED}", frame)
    if "://" in frame or ":\\/\\/" in frame:
        frame = _LOCATION.sub(rf"\1{REDACTED}", _CREDENTIALS.sub(rf"\1{REDACTED}@", frame))
    folded = frame.casefold()
    if _CUSTOMER in folded:
        frame = without_customer_information(frame)
        folded = frame.casefold()
    if not _hints(folded):  # a tenth of what a regular expression takes for each frame
        return frame
    try:
        found: list[bool] = []
        cleaned = _clean(orjson.loads(frame), found, inner=inner)
        return orjson.dumps(cleaned).decode() if found else frame
    except (orjson.JSONEncodeError, RecursionError):
        return REDACTED
    except orjson.JSONDecodeError:
        hides = _SECRET.search(frame) is not None or "writeonly" in folded or "\\\\u" in folded
        return REDACTED if hides else frame


def _hints(folded: str) -> bool:
    return any(map(folded.__contains__, _HINTS))  # for each frame: without a frame of Python for each hint


def without_description(frame: str) -> str:
    """A CALLERROR without its words: one that answers a call with a secret may quote it."""
    try:
        message = orjson.loads(frame)
    except (orjson.JSONDecodeError, RecursionError):
        return REDACTED
    match message:
        case [kind, message_id, code, *_]:
            return orjson.dumps([kind, message_id, code, REDACTED, {}]).decode()
        case _:
            return REDACTED


def without_customer_information(frame: str) -> str:
    """A NotifyCustomerInformation call (OCPP 2.0.1 N09) without what it tells of the customer, all else as it came.

    One that names this action and cannot be read is hidden as a whole.
    """
    frame = bounded(frame)
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


def _clean(value: Any, found: list[bool], *, secret: bool = False, inner: int = 0) -> Any:
    """`secret`: the setting that is spoken of is one, so its values are hidden wherever they stand below it."""
    match value:
        case [kind, message_id, code, str(description), *details] if kind == _CALL_ERROR and is_secret(description):
            return [kind, message_id, code, _hidden(found), *_clean(details, found, secret=secret, inner=inner)]
        case list():
            return [_clean(each, found, secret=secret, inner=inner) for each in value]
        case dict():
            folded = {name.casefold(): each for name, each in value.items()}
            secret = secret or _names_secret(folded)
            return {
                name: _hidden(found)
                if (secret and each and name.casefold() in _VALUES) or (_is_told(each) and _is_key(name, folded))
                else _clean(each, found, secret=secret, inner=inner)
                for name, each in value.items()
            }
        case str() if value.lstrip()[:1] in {"{", "[", '"'} and ("\\u" in value or _hints(value.casefold())):
            return _clean_inner(value, found, inner)
        case _:
            return value


def _clean_inner(text: str, found: list[bool], inner: int) -> str:
    """JSON within a text, as vendors put it into the data of DataTransfer."""
    if inner >= _INNER_MAX:
        return _hidden(found)
    plain = _without_escapes(text) if "\\u" in text else text
    kept = _redacted(plain, inner=inner + 1)
    if kept == plain:
        return text
    found.append(True)
    return kept


def _hidden(found: list[bool]) -> str:
    found.append(True)
    return REDACTED


def _is_told(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool) and value != ""


def _names_secret(item: dict[str, Any]) -> bool:
    """1.6 says {"key": ..., "value": ...}; 2.0.1 {"variable": {"name": ...}, "attributeValue": ...}, and in reports
    {"variable": {"name": ...}, "variableAttribute": [{"value": ..., "mutability": "WriteOnly"}]}. Names of fields are folded.
    """
    mutability = item.get("mutability")
    if isinstance(mutability, str) and mutability.strip().casefold() == "writeonly":
        return True
    names = [item.get("key")]
    for part in (item.get("component"), item.get("variable")):
        if isinstance(part, dict):
            names.extend(each for field, each in part.items() if field.casefold() in {"name", "instance"})
    return any(isinstance(name, str) and is_secret(name) for name in names)


def _is_key(name: str, item: dict[str, Any]) -> bool:
    """Whether the field itself holds a secret, as vpn.password and apn.simPin do; 1.6's "key" only names a setting."""
    return is_secret(name) and not (name.casefold() == "key" and ("value" in item or "readonly" in item))
