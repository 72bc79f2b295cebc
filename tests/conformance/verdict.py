"""What a sound central system answers to a call, however spoilt: judged by the official schemas alone. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from csms.protocol.vocabulary import Protocol
from tests.conformance.schemas import EARLIER, broken_rules, fits, owed

DESCRIPTION_MAX = 255
WORD_BITS = 31
NEVER_REFUSED = frozenset({"StartTransaction", "StopTransaction", "MeterValues", "TransactionEvent"})
"""Their loss costs money: in the usual mode they are answered with a result, whatever they hold."""
NOT_OURS = frozenset({"NotSupported", "NotImplemented"})
# 1.6-J 4.2.3 with the errata: the misspelt words are the right ones. OCPP 2.0.1 Part 4 4.3.
_FORM, _MISSING, _OCCURRENCE = 0, 1, 2
_WORDS = {
    True: ("FormationViolation", "ProtocolError", "OccurenceConstraintViolation"),
    False: ("FormatViolation", "OccurrenceConstraintViolation", "OccurrenceConstraintViolation"),
}
FORM = frozenset(words[_FORM] for words in _WORDS.values())
_TYPE, _PROPERTY = "TypeConstraintViolation", "PropertyConstraintViolation"
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def complaint(  # noqa: PLR0911 - one for each thing that can be wrong
    protocol: Protocol, action: str | None, text: str, answer: Any, *, strict: bool, handled: bool
) -> str | None:
    """What is wrong with an answer to the call that `text` is, None if nothing. `action` None: it names none.

    In strict mode also what no schema forbids, and still makes no sense, may be refused.
    """
    payload, is_call = _read(text)
    match answer:
        case [4, _, str(code), str(description), {}] if len(description) <= DESCRIPTION_MAX:
            if action is None:
                return None if code in FORM else f"{code} to a call without action"
            if is_call and not handled:
                return None if code in NOT_OURS else f"{code} to an action that is not taken"
            if action in NEVER_REFUSED and not strict:
                return f"{code} to a message that is never refused"
            allowed = codes(protocol, action, payload, is_call=is_call) | _of_sense(protocol, action, payload, strict)
            return None if code in allowed else f"{code}, where {sorted(allowed) or 'a result'} were right"
        case [3, _, dict(result)] if action is not None and handled:
            if not fits(protocol, action, result, answer=True):
                return f"a result that does not fit the schema: {result}"
            wrong = codes(protocol, action, payload, is_call=is_call)
            if strict and wrong and not _is_doubtful(payload):
                return f"a result in strict mode, where {sorted(wrong)} were right"
            return None
        case _:
            return f"not the answer that there is: {answer}"


def _of_sense(protocol: Protocol, action: str, payload: Any, strict: bool) -> frozenset[str]:
    """The codes for what the schema allows, and nobody can do anything with."""
    words = _WORDS[protocol is Protocol.V16]
    if _is_doubtful(payload):
        return frozenset({_TYPE, _PROPERTY})
    found: set[str] = set()
    if any(isinstance(each, str) and not each.strip() for each in _values(payload)):
        # The schemas let names, hashes and times be empty, which is as good as missing.
        found |= {_PROPERTY, words[_MISSING]}
    if strict and protocol is Protocol.V16 and any(each == [] for each in _values(payload)):
        # A MeterValue has one sampledValue or more (OCPP 1.6, its type MeterValue); the schema of StopTransaction lets them be none.
        found.add(words[_OCCURRENCE])
    earlier = EARLIER.get(protocol)
    known = earlier is None or (owed(protocol, action) and fits(earlier, action, payload))
    return frozenset(found if known and not strict else found | {_PROPERTY})


def codes(protocol: Protocol, action: str, payload: Any, *, is_call: bool) -> frozenset[str]:
    """The codes that fit what is wrong; none where nothing is."""
    words = _WORDS[protocol is Protocol.V16]
    if not is_call:
        return frozenset({words[_FORM]})
    found = set()
    for rule, value in broken_rules(protocol, action, payload):
        match rule:
            case "required":
                found.add(words[_MISSING])
            case "type" if isinstance(value, float) and not math.isfinite(value):
                found.add(_PROPERTY)
            case "type":
                found.add(_TYPE)
            case "minItems" | "maxItems":
                found.add(words[_OCCURRENCE])
            case "additionalProperties":
                found.add(words[_FORM])
            case _:
                found.add(_PROPERTY)
    return frozenset(found)


def _read(text: str) -> tuple[Any, bool]:
    """The payload, and whether the frame is a whole CALL."""
    match _clean(json.loads(text, strict=False)):
        case [2, _, _, dict(payload)]:
            return payload, True
        case [2, _, _, payload, *_]:
            return payload, False
        case _:
            return None, False


def _clean(value: Any) -> Any:
    """As any receiver must: half a character is none."""
    match value:
        case str():
            return _LONE_SURROGATE.sub("\ufffd", value)
        case dict():
            return {_clean(name): _clean(each) for name, each in value.items()}
        case list():
            return [_clean(each) for each in value]
        case _:
            return value


def _is_doubtful(payload: Any) -> bool:
    """It holds a number that no schema forbids and no OCPP integer can be, or that readers may take for a float."""
    return any(
        isinstance(each, int | float)
        and not isinstance(each, bool)
        and (each < 0 or (isinstance(each, int) and each.bit_length() > WORD_BITS) or isinstance(each, float))
        for each in _values(payload)
    )


def _values(value: Any) -> Iterator[Any]:
    yield value
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _values(each)
