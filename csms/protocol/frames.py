"""OCPP-J frames: one text message in, one value out, and back. Knows neither sockets nor what an action means.

Reading is lenient and never raises: whatever a charge point sends becomes a Call, an answer or a Broken that says what
can still be read of it (RULES.md 7: with id and action readable a transaction message is kept, not refused).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple

import orjson

from csms.protocol.vocabulary import Protocol

CALL, CALL_RESULT, CALL_ERROR = 2, 3, 4
CALL_RESULT_ERROR, SEND = 5, 6  # OCPP 2.1 Part 4 section 4.2; in earlier versions no message types at all

ID_LENGTH_MAX = 255  # the standard says 36; longer ones are echoed so that their sender gets its answer
ACTION_LENGTH_MAX = 100
NESTING_MAX = 64  # the deepest message of any OCPP version needs 8
DESCRIPTION_LENGTH_MAX = 255  # OCPP-J 1.6 4.2.3, OCPP 2.0.1 Part 4 4.2.3
ID_UNREADABLE = "-1"  # OCPP 2.0.1 Part 4 4.2.3

_INTEGER_DIGITS_MAX = 40

_CALL_HEAD = re.compile(
    r"""\s*\[\s*2\s*,\s*
        (?:"(?P<text>(?:[^"\\\x00-\x1f]|\\.){0,255})" | (?P<number>-?[0-9]{1,255})(?![0-9.eE]))
        \s*(?:,\s*"(?P<action>[^"\\\x00-\x1f]{1,100})"\s*(?:,|\]|$))?""",
    re.VERBOSE,
)
_ANSWER_HEAD = re.compile(r"\s*\[\s*[34]\s*,")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class Fault(Enum):
    """What is wrong with a frame that is no message; each version has its own code for it."""

    NOT_RPC = "not a JSON array that starts with a message type and an id"
    FORMATION = "a CALL is [2, id, action, payload object]"
    MESSAGE_TYPE = "message type is none of this version's"
    ANSWER = "an answer without a readable id"
    SEND = "a SEND is [6, id, action, payload object]"


class Call(NamedTuple):
    id: str
    action: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CallResult:
    """`payload` is as sent, None where the frame had none."""

    id: str
    payload: Any


@dataclass(frozen=True, slots=True)
class CallError:
    id: str
    code: str
    description: str
    details: Any


@dataclass(frozen=True, slots=True)
class CallResultError:
    """OCPP 2.1: what we answered to their call `id` could not be used; nobody answers this."""

    id: str
    code: str
    description: str


@dataclass(frozen=True, slots=True)
class Send:
    """OCPP 2.1: told without waiting for an answer, and never answered."""

    action: str
    payload: Any


@dataclass(frozen=True, slots=True)
class Broken:
    """No message. `id` is "-1" where it cannot be read, `action` None likewise; `payload` is what stood in its place."""

    id: str
    action: str | None
    fault: Fault
    payload: Any = None


Frame = Call | CallResult | CallError | CallResultError | Send | Broken

_CODES: dict[Fault, tuple[str | None, str | None]] = {
    # what: (1.6, 2.0.1); None: no answer
    Fault.NOT_RPC: ("GenericError", "RpcFrameworkError"),
    Fault.FORMATION: ("FormationViolation", "FormatViolation"),
    Fault.MESSAGE_TYPE: (None, "MessageTypeNotSupported"),  # 1.6-J 4.1.3: ignore; 2.0.1 Part 4 4.4
    Fault.SEND: (None, None),
    Fault.ANSWER: (None, None),  # an error about an answer could be answered with an error, for ever
}


def error_code(fault: Fault, protocol: Protocol) -> str | None:
    """The CALLERROR code that `protocol` has for `fault`, None where the frame is to be ignored."""
    code_v16, code_v201 = _CODES[fault]
    return code_v16 if protocol is Protocol.V16 else code_v201


# --- reading ---------------------------------------------------------------------------------------------------------


def parse(text: str, *, has_sends: bool = False) -> Frame:
    """Read one text message. Never raises. `has_sends`: message types 5 and 6 are there (2.1)."""
    text = text.lstrip("\ufeff")
    match _json(text):
        case [2 | 3 | 4 | 5 | 6 as kind, message_id, *rest] if kind <= CALL_ERROR or has_sends:
            return _READERS[kind](_id(message_id, text), rest)
        case [_, message_id, *_]:
            return Broken(_id(message_id, text) or ID_UNREADABLE, None, Fault.MESSAGE_TYPE)
        case _:
            return _unreadable(text)


def _call(message_id: str | None, rest: list[Any]) -> Frame:
    if message_id is None:
        return Broken(ID_UNREADABLE, None, Fault.NOT_RPC)
    match rest:
        case [str(action), dict(payload)] if 0 < len(action) <= ACTION_LENGTH_MAX:
            return Call(message_id, action, payload)
        case [str(action), payload, *_] if 0 < len(action) <= ACTION_LENGTH_MAX:
            return Broken(message_id, action, Fault.FORMATION, payload)
        case [str(action)] if 0 < len(action) <= ACTION_LENGTH_MAX:
            return Broken(message_id, action, Fault.FORMATION)
        case _:
            return Broken(message_id, None, Fault.FORMATION)


def _call_result(message_id: str | None, rest: list[Any]) -> Frame:
    if message_id is None:
        return Broken(ID_UNREADABLE, None, Fault.ANSWER)
    return CallResult(message_id, rest[0] if rest else None)


def _call_error(message_id: str | None, rest: list[Any]) -> Frame:
    if message_id is None:
        return Broken(ID_UNREADABLE, None, Fault.ANSWER)
    code, description, details = (*rest[:3], None, None, None)[:3]
    return CallError(
        message_id,
        code if isinstance(code, str) else "GenericError",
        description if isinstance(description, str) else "",
        details,
    )


def _call_result_error(message_id: str | None, rest: list[Any]) -> Frame:
    error = _call_error(message_id, rest)
    if isinstance(error, CallError):
        return CallResultError(error.id, error.code, error.description)
    return error


def _send(_message_id: str | None, rest: list[Any]) -> Frame:
    """Its id is of no use: many are told under one, or under none."""
    match rest:
        case [str(action), payload, *_] if 0 < len(action) <= ACTION_LENGTH_MAX:
            return Send(action, payload)
        case _:
            return Broken(ID_UNREADABLE, None, Fault.SEND)


_READERS: dict[int, Callable[[str | None, list[Any]], Frame]] = {
    CALL: _call,
    CALL_RESULT: _call_result,
    CALL_ERROR: _call_error,
    CALL_RESULT_ERROR: _call_result_error,
    SEND: _send,
}


def _id(value: Any, text: str) -> str | None:
    """The message id as text, None where there is none to echo.

    A number is read from the text itself, digit by digit: charge points use serial numbers of 20 digits.
    """
    if isinstance(value, str):
        return value if len(value) <= ID_LENGTH_MAX else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int) and -(2**53) < value < 2**53:
        return str(value)
    head = _CALL_HEAD.match(text)
    return head["number"] if head else None


def _unreadable(text: str) -> Broken:
    """What can be read of a text that is no JSON array: AEFA sends `"transactionId":,` and still wants to be billed."""
    if _ANSWER_HEAD.match(text):
        return Broken(ID_UNREADABLE, None, Fault.ANSWER)
    head = _CALL_HEAD.match(text)
    if head is None:
        return Broken(ID_UNREADABLE, None, Fault.NOT_RPC)
    message_id = head["number"] if head["text"] is None else _unescape(head["text"])
    if message_id is None:
        return Broken(ID_UNREADABLE, None, Fault.NOT_RPC)
    return Broken(message_id, head["action"], Fault.NOT_RPC)


def _unescape(inside_quotes: str) -> str | None:
    try:
        return str(_without_surrogates(json.loads(f'"{inside_quotes}"')))
    except ValueError:
        return None


# --- JSON --------------------------------------------------------------------------------------------------------------

_NOTHING = object()


def _json(text: str) -> Any:
    """The value that `text` writes, `_NOTHING` if none or if it is nested too deeply."""
    try:
        value = orjson.loads(text)
    except ValueError:
        value = _json_of_sloppy(text)
    # Every level costs an opening bracket, so most messages need no walk.
    if text.count("[") + text.count("{") > NESTING_MAX and _too_deep(value):
        return _NOTHING
    return value


def _json_of_sloppy(text: str) -> Any:
    """As `_json`, for what orjson refuses and still has one meaning: NaN, raw control characters, lone surrogates."""
    try:
        value = json.loads(text, strict=False, parse_int=_integer)
    except (ValueError, RecursionError):
        return _NOTHING
    return _NOTHING if _too_deep(value) else _without_surrogates(value)


def _integer(digits: str) -> int | float:
    """Python refuses more than 4,300 digits, and nobody needs more than 40."""
    return int(digits) if len(digits) <= _INTEGER_DIGITS_MAX else float(digits)


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(NESTING_MAX):
        level = [inner for outer in level for inner in _children(outer)]
        if not level:
            return False
    return True


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _without_surrogates(value: Any) -> Any:
    """Neither UTF-8 nor Postgres can hold half a character: it becomes U+FFFD."""
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_surrogates(inner) for inner in value]
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(inner) for key, inner in value.items()}
    return value


# --- writing: compact, as some peers match the text ----------------------------------------------------------------------


def encode_call(message_id: str, action: str, payload: dict[str, Any]) -> str:
    return _encode([CALL, message_id, action, payload])


def encode_result(message_id: str, payload: dict[str, Any]) -> str:
    return _encode([CALL_RESULT, message_id, payload])


def encode_error(message_id: str, code: str, description: str = "") -> str:
    return _encode([CALL_ERROR, message_id, code, description[:DESCRIPTION_LENGTH_MAX], {}])


def encode_result_error(message_id: str, code: str, description: str = "") -> str:
    return _encode([CALL_RESULT_ERROR, message_id, code, description[:DESCRIPTION_LENGTH_MAX], {}])


def _encode(message: list[Any]) -> str:
    try:
        return orjson.dumps(message, default=_exactly).decode()
    except TypeError:
        # orjson writes 64-bit integers only; json writes any, and escapes what is no UTF-8.
        return json.dumps(message, separators=(",", ":"), default=_rounded)


def _exactly(value: object) -> orjson.Fragment:
    """A Decimal as the digits that it has: amounts never pass through a float."""
    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(f"{value:f}")
    raise TypeError(f"{type(value).__name__} is no JSON")


def _rounded(value: object) -> float:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"{type(value).__name__} is no JSON")
