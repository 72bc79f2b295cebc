"""Hostile text frames for both versions: broken JSON, broken envelopes, broken payloads, absurd values. Deterministic."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from simulators import schemas
from simulators.abuse.expectation import (
    SCHEMA_CODES,
    UNKNOWN_ACTION_CODES,
    UNREADABLE_CODES,
    Expectation,
    answer,
    error,
    ignored,
    result,
    survived,
)

NOTHING_ID = "-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One or more raw websocket frames, and what is right. ``text`` is sent as one text frame."""

    name: str
    expect: Expectation
    text: str | None = None
    raw: bytes = b""
    spoils: bool = False  # nothing sensible can follow on this socket
    wait_s: float = 0.2  # how long to listen when it spoils


def call(action: str, payload: Any, message_id: str = "abuse") -> str:
    """A CALL as text."""
    return json.dumps([2, message_id, action, payload], separators=(",", ":"))


def cases(protocol: str) -> Iterator[Case]:
    """All text cases of a version."""
    yield from _no_json(protocol)
    yield from _envelopes(protocol)
    yield from _message_types(protocol)
    yield from _unsolicited()
    yield from _monsters()
    yield from _broken_payloads(protocol)
    yield from _odd_text(protocol)
    yield from _odd_numbers(protocol)
    yield from _odd_times(protocol)


def _no_json(protocol: str) -> Iterator[Case]:
    unreadable = error(UNREADABLE_CODES[protocol], NOTHING_ID)
    readable = error(UNREADABLE_CODES[protocol], NOTHING_ID, "abuse")
    for text in NO_JSON:
        # An id that can be read out of a broken frame may be used (OCPP 2.0.1 part 4, 4.2.3).
        expected = readable if '"abuse"' in text else unreadable
        yield Case(name=f"no JSON: {text[:30]!r}", text=text, expect=expected)
    for text in NO_CALL:
        yield Case(name=f"JSON, but no message: {text[:30]}", text=text, expect=unreadable)
    action = "StopTransaction" if protocol == "ocpp1.6" else "TransactionEvent"
    for rest in ('{"transactionId":,}', '{"a":1,}', "{", '{"a":tru}', "[,]"):
        text = f'[2,"abuse","{action}",{rest}]'
        yield Case(name=f"a transaction message with the payload {rest}", text=text, expect=result())


def _envelopes(protocol: str) -> Iterator[Case]:
    codes = UNREADABLE_CODES[protocol] | SCHEMA_CODES[protocol]
    either = error(codes, NOTHING_ID, "abuse")
    for rest in ("", '"abuse"', '"abuse","Heartbeat"', '"abuse","Heartbeat",{},{}', '"abuse","Heartbeat",{},1,2,3'):
        yield Case(name=f"arity: [2,{rest}]", text=f"[2,{rest}]" if rest else "[2]", expect=either)
    for bad in ("7", "null", "[]", "{}", "true", "1.5", '""', json.dumps("x" * 37), json.dumps("x" * 5000)):
        # Ids of another type or length leave the meaning clear: an answer with or without leniency is right.
        yield Case(
            name=f"message id {bad[:20]} ({len(bad)} characters)", text=f'[2,{bad},"Heartbeat",{{}}]', expect=survived()
        )
    for bad in ("null", "7", "[]", "{}", "true", '""'):
        unknown = error(codes | UNKNOWN_ACTION_CODES, NOTHING_ID, "abuse")
        yield Case(name=f"action {bad}", text=f'[2,"abuse",{bad},{{}}]', expect=unknown)
    for name in (
        "heartbeat",
        "CustomOperation",
        "x" * 1000,
        "__class__",
        "../Heartbeat",
        "Heartbeat\u0000",
        "Heartbeat ",
    ):
        expected = answer(UNKNOWN_ACTION_CODES | codes)
        yield Case(name=f"unknown action {name[:20]!r}", text=call(name, {}), expect=expected)
    for name in NOT_OURS[protocol]:
        expected = answer(UNKNOWN_ACTION_CODES | codes)
        yield Case(name=f"an action that only a central system sends: {name}", text=call(name, {}), expect=expected)


def _message_types(protocol: str) -> Iterator[Case]:
    if protocol == "ocpp1.6":
        unknown: Expectation = ignored()
    else:
        unknown = error(frozenset({"MessageTypeNotSupported"}), NOTHING_ID, "abuse")
    for kind in ("0", "1", "5", "6", "99", "-1", "1000000000000000000000000000000"):
        # 2.1 has CALLRESULTERROR and SEND, which nobody answers
        expected = ignored() if protocol == "ocpp2.1" and kind in {"5", "6"} else unknown
        yield Case(name=f"message type {kind}", text=f'[{kind},"abuse","Heartbeat",{{}}]', expect=expected)
    for kind in ('"2"', "2.5", "null", "true", "[2]", "{}"):
        yield Case(name=f"message type {kind}", text=f'[{kind},"abuse","Heartbeat",{{}}]', expect=survived())


def _unsolicited() -> Iterator[Case]:
    for text in (
        '[3,"nobody",{}]',
        '[3,"nobody",{"status":"Accepted"}]',
        '[3,"nobody",[]]',
        '[3,"nobody",null]',
        '[4,"nobody","GenericError","",{}]',
        '[4,"nobody","NoSuchCode","x",{"a":[1,2]}]',
        f'[3,"nobody",{{"x":"{"y" * 1000}"}}]',
    ):
        yield Case(name=f"an answer that nobody asked for: {text[:40]}", text=text, expect=ignored())
    for text in (
        "[3]",
        '[3,"x"]',
        '[3,"x",{},1]',
        "[4]",
        '[4,"x"]',
        '[4,"x","GenericError"]',
        "[3,null,{}]",
        "[4,7,8,9,10]",
    ):
        yield Case(name=f"a broken answer: {text}", text=text, expect=survived())


def _monsters() -> Iterator[Case]:
    deep = {name: text for depth in (100, 1000, 100_000) for name, text in _nested(depth).items()}
    for name, text in deep.items():
        yield Case(name=name, text=text, expect=survived())
    digits = "9" * 5000
    for name, value in {
        "an integer of 5000 digits": digits,
        "a negative integer of 5000 digits": "-" + digits,
        "a float beyond all floats": "1e999999",
        "a float of 5000 digits": "0." + digits,
        "an object of 5000 keys": json.dumps({f"k{n}": n for n in range(5000)}),
        "a list of 100000 zeros": "[" + "0," * 99_999 + "0]",
        "half a megabyte of text": json.dumps("y" * 500_000),
        "a key of 100000 characters": json.dumps({"k" * 100_000: 1}),
        "the same key 1000 times": "{" + ",".join('"a":1' for _ in range(1000)) + "}",
    }.items():
        yield Case(name=f"payload holds {name}", text=f'[2,"abuse","Heartbeat",{{"x":{value}}}]', expect=survived())
    yield Case(name="an integer of 5000 digits as message type", text=f"[{digits}]", expect=survived())
    yield Case(name="an integer of 5000 digits as message id", text=f'[2,{digits},"Heartbeat",{{}}]', expect=survived())


def _nested(depth: int) -> dict[str, str]:
    return {
        f"{depth} lists deep": "[" * depth + "]" * depth,
        f"{depth} lists deep, never closed": "[" * depth,
        f"a payload {depth} objects deep": '[2,"abuse","Heartbeat",' + '{"a":' * depth + "1" + "}" * depth + "]",
    }


def _broken_payloads(protocol: str) -> Iterator[Case]:
    for action in schemas.FROM_CHARGE_POINT[protocol]:
        money = action in schemas.TRANSACTION_ACTIONS
        expected = result() if money else answer(SCHEMA_CODES[protocol], "abuse")
        for broken in schemas.broken(protocol, action):
            yield Case(name=f"{action}: {broken.how}", text=call(action, broken.payload), expect=expected)


def _odd_text(protocol: str) -> Iterator[Case]:
    codes = SCHEMA_CODES[protocol]
    for name, escaped in ODD_TEXTS.items():
        for action, field in TEXT_FIELDS[protocol]:
            expected = result() if action in schemas.TRANSACTION_ACTIONS else answer(codes)
            text = _with(protocol, action, field, f'"{escaped}"')
            yield Case(name=f"{action}.{field}: {name}", text=text, expect=expected)


def _odd_numbers(protocol: str) -> Iterator[Case]:
    for action, field in NUMBER_FIELDS[protocol]:
        for value in ODD_NUMBERS:
            text = _with(protocol, action, field, value)
            yield Case(name=f"{action}.{field} = {value[:30]}", text=text, expect=result())


def _odd_times(protocol: str) -> Iterator[Case]:
    action = "StartTransaction" if protocol == "ocpp1.6" else "TransactionEvent"
    for value in ODD_TIMES:
        text = _with(protocol, action, "timestamp", json.dumps(value))
        yield Case(name=f"{action}.timestamp = {value!r}", text=text, expect=result())


def _with(protocol: str, action: str, field: str, value: str) -> str:
    """A full CALL whose first ``field``, however deep, is replaced by raw JSON."""
    payload = schemas.request(protocol, action, full=True)
    marked = _replace(payload, field, "@@here@@")
    return call(action, marked).replace('"@@here@@"', value)


def _replace(part: Any, field: str, mark: str) -> Any:
    if isinstance(part, dict):
        return {key: mark if key == field else _replace(value, field, mark) for key, value in part.items()}
    if isinstance(part, list):
        return [_replace(each, field, mark) for each in part]
    return part


NO_JSON = (
    "",
    " ",
    "hello",
    "{",
    "[",
    "[2",
    '[2,"abuse"',
    '[2,"abuse","Heartbeat",{}',
    '[2,"abuse","Heartbeat",{}]]',
    '[2,"abuse","Heartbeat",{}][2,"abuse","Heartbeat",{}]',
    "[2,'abuse','Heartbeat',{}]",
    "[2,abuse,Heartbeat,{}]",
    '[,2,"abuse"]',
    "\u0000",
    "[2,\u0000]",
    "\ufeff[",
    "<xml/>",
    "GET / HTTP/1.1\r\n\r\n",
    '[02,"abuse","Heartbeat",{}',
    "\\u0041",
)
NO_CALL = ("null", "true", "42", "-1.5", '"text"', "{}", "[]", "[[]]", "[{}]", '["2"]', '{"2":"abuse"}')
NOT_OURS = {
    "ocpp1.6": ("Reset", "RemoteStartTransaction", "GetConfiguration", "UnlockConnector"),
    "ocpp2.0.1": ("Reset", "RequestStartTransaction", "GetVariables", "CostUpdated"),
    "ocpp2.1": ("Reset", "RequestStartTransaction", "GetTariffs", "CostUpdated"),
}
ODD_TEXTS = {
    "U+0000": "a\\u0000b",
    "a lone high surrogate": "a\\ud800b",
    "a lone low surrogate": "\\udc00",
    "a line break": "a\\r\\nb",
    "an escape sequence": "\\u001b[2J",
    "right to left": "\\u202eabc",
    "markup": "<b>x</b>",
    "SQL": "x'; --",
}
TEXT_FIELDS = {
    "ocpp1.6": (
        ("Authorize", "idTag"),
        ("StartTransaction", "idTag"),
        ("StopTransaction", "idTag"),
        ("BootNotification", "chargePointModel"),
        ("StatusNotification", "info"),
        ("DataTransfer", "data"),
    ),
    "ocpp2.0.1": (
        ("Authorize", "idToken"),
        ("TransactionEvent", "transactionId"),
        ("BootNotification", "model"),
        ("SecurityEventNotification", "techInfo"),
        ("DataTransfer", "vendorId"),
    ),
}
TEXT_FIELDS["ocpp2.1"] = TEXT_FIELDS["ocpp2.0.1"]
NUMBER_FIELDS = {
    "ocpp1.6": (("StopTransaction", "transactionId"), ("StartTransaction", "meterStart"), ("MeterValues", "value")),
    "ocpp2.0.1": (("TransactionEvent", "seqNo"), ("TransactionEvent", "value"), ("MeterValues", "value")),
}
NUMBER_FIELDS["ocpp2.1"] = NUMBER_FIELDS["ocpp2.0.1"]
ODD_NUMBERS = (
    "NaN",
    "Infinity",
    "-Infinity",
    "1e400",
    "-1",
    "0",
    "2147483647",
    "9223372036854775808",
    "1" + "0" * 60,
    "0.1",
    "-0.0",
    '"NaN"',
    '"1e999999999"',
    '" 0.0 "',
    '"1,5"',
)
ODD_TIMES = (
    "",
    "now",
    "1970-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "222222017-01-01T00:00:00Z",
    "2026-02-30T10:00:00Z",
    "2026-01-01T24:00:00Z",
    "2026-06-30T23:59:60Z",
    "2026-01-01T10:00:00",
    "2026-01-01T10:00:00+02",
    "2026-01-01T10:00:00+99:99",
    "2026-01-01 10:00:00Z",
    "2026-01-01T10:00:00.123456789123456789Z",
    "2036-01-01T10:00:00Z",
)
