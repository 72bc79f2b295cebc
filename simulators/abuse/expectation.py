"""What a sound central system does about a hostile input, and how an outcome is judged. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

SCHEMA_CODES = {
    "ocpp1.6": frozenset(
        {
            "FormationViolation",
            "ProtocolError",
            "OccurenceConstraintViolation",
            "PropertyConstraintViolation",
            "TypeConstraintViolation",
        }
    ),
    "ocpp2.0.1": frozenset(
        {
            "FormatViolation",
            "ProtocolError",
            "OccurrenceConstraintViolation",
            "PropertyConstraintViolation",
            "TypeConstraintViolation",
        }
    ),
}
SCHEMA_CODES["ocpp2.1"] = SCHEMA_CODES["ocpp2.0.1"]
UNREADABLE_CODES = {
    "ocpp1.6": frozenset({"GenericError", "FormationViolation", "ProtocolError"}),
    "ocpp2.0.1": frozenset({"RpcFrameworkError", "FormatViolation", "ProtocolError"}),
}
UNREADABLE_CODES["ocpp2.1"] = UNREADABLE_CODES["ocpp2.0.1"]
UNKNOWN_ACTION_CODES = frozenset({"NotImplemented", "NotSupported"})
SANE_CLOSES = frozenset({1000, 1002, 1003, 1007, 1008, 1009})
NEVER_CLOSES = frozenset({1006, 1011})  # no close frame, or a crash admitted
SERVER_FAULTS = frozenset({"500", "502", "504"})  # 501 and 505 are right answers to odd methods and versions
ANSWER_LENGTH, ERROR_LENGTH = 3, 5
RESULT_TYPE, ERROR_TYPE = 3, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came back. ``kind``: result, error, nothing, close, strange, refused, opened."""

    kind: str
    code: str = ""
    message_id: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in (self.kind, self.code, self.message_id and f"id {self.message_id}") if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """Which outcomes are right. ``must_answer``: silence is a hang, and fails in earnest."""

    kinds: frozenset[str]
    codes: frozenset[str] | None = None
    closes: frozenset[int] = SANE_CLOSES
    message_ids: frozenset[str] | None = None
    must_answer: bool = False

    def must(self, outcome: Outcome) -> str | None:
        """What no central system may do, whatever comes in; None if all is well."""
        crimes = {
            "an answer that is no OCPP-J frame": outcome.kind == "strange",
            "InternalError": outcome.kind == "error" and outcome.code == "InternalError",
            f"closed with {outcome.code}": outcome.kind == "close" and int(outcome.code) in NEVER_CLOSES,
            "no answer": outcome.kind == "nothing" and self.must_answer,
            "let in": outcome.kind == "opened" and "opened" not in self.kinds,
            f"refused with {outcome.code}": outcome.kind == "refused" and outcome.code in SERVER_FAULTS,
        }
        return next((crime for crime, committed in crimes.items() if committed), None)

    def should(self, outcome: Outcome) -> str | None:
        """What OCPP and our own rules want beyond that; None if all is well."""
        if outcome.kind not in self.kinds:
            return f"{outcome}, expected {' or '.join(sorted(self.kinds))}"
        if outcome.kind in {"error", "refused"} and self.codes is not None and outcome.code not in self.codes:
            return f"{outcome}, expected {', '.join(sorted(self.codes))}"
        if outcome.kind == "error" and self.message_ids is not None and outcome.message_id not in self.message_ids:
            return f"{outcome}, expected id {', '.join(sorted(self.message_ids))}"
        if outcome.kind == "close" and int(outcome.code) not in self.closes:
            return f"{outcome}, expected {', '.join(str(code) for code in sorted(self.closes))}"
        return None


def result() -> Expectation:
    """A transaction message: a result, whatever it says; an error would cost an attempt, and then the message."""
    return Expectation(kinds=frozenset({"result"}), must_answer=True)


def answer(codes: frozenset[str], message_id: str | None = None) -> Expectation:
    """A result (leniency) or an error with one of these codes."""
    ids = None if message_id is None else frozenset({message_id})
    return Expectation(kinds=frozenset({"result", "error"}), codes=codes, message_ids=ids, must_answer=True)


def error(codes: frozenset[str], *message_ids: str) -> Expectation:
    """An error with one of these codes."""
    return Expectation(kinds=frozenset({"error"}), codes=codes, message_ids=frozenset(message_ids) or None)


def ignored() -> Expectation:
    """No answer at all."""
    return Expectation(kinds=frozenset({"nothing"}))


def survived() -> Expectation:
    """Any answer, none, or a clean close: only the must rules count."""
    return Expectation(kinds=frozenset({"result", "error", "nothing", "close"}))


def closed(*codes: int) -> Expectation:
    """Closed with one of these codes."""
    return Expectation(kinds=frozenset({"close"}), closes=frozenset(codes))


def judge_text(text: str) -> Outcome:
    """Name an answer."""
    try:
        found: Any = json.loads(text)
    except ValueError:
        return Outcome(kind="strange")
    if isinstance(found, list) and len(found) == ANSWER_LENGTH and found[0] == RESULT_TYPE:
        return Outcome(kind="result", message_id=str(found[1]))
    if isinstance(found, list) and len(found) == ERROR_LENGTH and found[0] == ERROR_TYPE:
        return Outcome(kind="error", code=str(found[2]), message_id=str(found[1]))
    return Outcome(kind="strange")
