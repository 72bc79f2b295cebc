"""The edge between one OCPP version and the vocabulary: calls to facts, decisions to answers, commands to calls.

Lenient in, strict out: a deviation that leaves the meaning clear is repaired and named; whatever leaves here fits the
official schema. Knows no socket and no policy.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from csms.charge_points.charge_point import ChargePoint
from csms.protocol import v16, v21, v201
from csms.protocol.keys import malformed_key
from csms.protocol.outcomes import AnswerReaders, invalid_answer, status_outcome
from csms.protocol.outgoing import Call, CommandInvalid, Writers, checked_call
from csms.protocol.quirks import Quirk
from csms.protocol.quirks.catalogue import unrepaired
from csms.protocol.repair import Fields, Message
from csms.protocol.salvage import salvage
from csms.protocol.validation import Fault, Refusal, Violation, actions, is_valid, refusal, refuse, violations
from csms.protocol.vocabulary import ChargingEvent, Command, Decision, Fact, Outcome, Protocol, ReadingsReported

__all__ = ["ALLOWED_BEFORE_ACCEPTED", "TRANSACTION_ACTIONS", "CommandInvalid", "Refusal", "Translator", "translator"]

TRANSACTION_ACTIONS = frozenset({"StartTransaction", "StopTransaction", "MeterValues", "TransactionEvent"})
# 1.6-J errata 3.10; 2.0.1 B01.FR.10, B02.FR.09, B03.FR.07. What we trigger ourselves may come besides.
ALLOWED_BEFORE_ACCEPTED = frozenset({"BootNotification"})


class Translator(typing.Protocol):
    """What the gateway and the command router use of one OCPP version."""

    @property
    def protocol(self) -> Protocol: ...

    def read(
        self,
        action: str,
        payload: object,
        *,
        charge_point: ChargePoint,
        received_at: datetime,
        noted: set[str] | None = None,
    ) -> Fact | Refusal:
        """The fact that a call tells, or why it is refused; the names of all deviations are added to `noted`.

        A transaction message is refused only in strict mode, or if it needs a repair that is switched off.
        """

    def read_broken(self, action: str, text: str, *, charge_point: ChargePoint, received_at: datetime) -> Fact | None:
        """The malformed fact of a transaction message whose frame is not JSON; None for other actions and in strict mode."""

    def answer(self, action: str, decision: Decision, *, fact: Fact | None = None) -> dict[str, object]:
        """The CALLRESULT payload. With `fact` given, one that came in the other version's shape is answered in it."""

    def command(self, command: Command) -> Call | None:
        """Action and payload, None where the version has no such message. Raises CommandInvalid."""

    def outcome(self, command: Command, payload: object) -> Outcome:
        """What a CALLRESULT payload says, read leniently. Never raises, whatever it is."""


Reader = Callable[[Message], Fact | None]
AnswerWriter = Callable[[Decision], dict[str, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    """One version as tables."""

    protocol: Protocol
    readers: Mapping[str, Reader]
    answers: Mapping[str, AnswerWriter]
    marks: Mapping[str, frozenset[str]]
    calls: Writers
    outcomes: AnswerReaders


_VERSIONS = {
    Protocol.V16: _Version(
        protocol=Protocol.V16,
        readers=v16.READERS,
        answers=v16.ANSWERS,
        marks=v16.MARKS,
        calls=v16.CALLS,
        outcomes=v16.OUTCOMES,
    ),
    Protocol.V201: _Version(
        protocol=Protocol.V201,
        readers=v201.READERS,
        answers=v201.ANSWERS,
        marks=v201.MARKS,
        calls=v201.CALLS,
        outcomes=v201.OUTCOMES,
    ),
    Protocol.V21: _Version(
        protocol=Protocol.V21,
        readers=v21.READERS,
        answers=v21.ANSWERS,
        marks=v201.MARKS,
        calls=v21.CALLS,
        outcomes=v201.OUTCOMES,
    ),
}


@dataclass(frozen=True, slots=True)
class _Translator:
    own: _Version
    other: _Version

    @property
    def protocol(self) -> Protocol:
        return self.own.protocol

    def read(
        self,
        action: str,
        payload: object,
        *,
        charge_point: ChargePoint,
        received_at: datetime,
        noted: set[str] | None = None,
    ) -> Fact | Refusal:
        quirks = set() if noted is None else noted
        fact = self._read(action, payload, quirks, charge_point, received_at)
        if quirks and (charge_point.strict or charge_point.switched_off) and not isinstance(fact, Refusal):
            return self._unless_unrepaired(fact, action, payload, quirks, charge_point)
        return fact

    def _read(
        self, action: str, payload: object, quirks: set[str], charge_point: ChargePoint, received_at: datetime
    ) -> Fact | Refusal:
        reader = self.own.readers.get(action)
        if reader is None:
            return self._read_foreign(action, payload, quirks, charge_point, received_at)
        found = violations(self.protocol, action, payload)
        if found:
            if not charge_point.strict and self._is_other_shape(action, payload):
                return self._read_as_other(action, payload, quirks, charge_point, received_at)
            quirks.update(_quirks(found))
            if charge_point.strict:
                return refusal(self.protocol, found)
        fact = reader(_message(payload, quirks, charge_point, received_at))
        if not found:  # 2.1 has words that 2.0.1 lacks: what the schema takes is not unknown
            quirks.discard(Quirk.UNKNOWN_ENUM)
        return _unreadable(self.protocol, found) if fact is None else fact

    def _unless_unrepaired(
        self, fact: Fact, action: str, payload: object, quirks: set[str], charge_point: ChargePoint
    ) -> Fact | Refusal:
        """The refusal of what is not to be repaired for this charge point: by the schema, else by the catalogue."""
        refused = unrepaired(quirks, strict=charge_point.strict, switched_off=charge_point.switched_off)
        if not refused:
            return fact
        names = {entry.name for entry in refused}
        if action in self.own.readers:
            found = [each for each in violations(self.protocol, action, payload) if each.quirk in names]
            if found:
                return refusal(self.protocol, found)
        fault = Fault[(refused[0].fault or "property").upper()]
        return refuse(self.protocol, fault, f"{refused[0].name}: it {refused[0].says}")

    def read_broken(self, action: str, text: str, *, charge_point: ChargePoint, received_at: datetime) -> Fact | None:
        if action not in TRANSACTION_ACTIONS or charge_point.strict or Quirk.NOT_JSON in charge_point.switched_off:
            return None
        reader = self.own.readers.get(action) or self.other.readers[action]
        payload = salvage(text)
        message = _message(payload, {Quirk.NOT_JSON}, charge_point, received_at)
        fact = reader(message)
        assert isinstance(fact, ChargingEvent | ReadingsReported), f"{action} is a transaction message"
        return _malformed(fact, action, payload)

    def answer(self, action: str, decision: Decision, *, fact: Fact | None = None) -> dict[str, object]:
        version = self.own
        if action not in version.answers or Quirk.WRONG_VERSION_SHAPE in getattr(fact, "quirks", ()):
            version = self.other
        payload = version.answers[action](decision)
        assert is_valid(version.protocol, action, payload, response=True), f"{action} answer fits the schema: {payload}"
        return payload

    def command(self, command: Command) -> Call | None:
        write = self.own.calls.get(type(command))
        return None if write is None else checked_call(self.protocol, *write(command))

    def outcome(self, command: Command, payload: object) -> Outcome:
        if not isinstance(payload, dict):
            return invalid_answer("the answer is no object")
        read = self.own.outcomes.get(type(command))
        return status_outcome(payload) if read is None else read(command, payload)

    def _read_foreign(
        self, action: str, payload: object, quirks: set[str], charge_point: ChargePoint, received_at: datetime
    ) -> Fact | Refusal:
        """An action that this version does not have, or has, yet not in this direction."""
        if action in self.other.readers:
            if not charge_point.strict:
                return self._read_as_other(action, payload, quirks, charge_point, received_at)
            quirks.add(Quirk.WRONG_VERSION_SHAPE)
        if action in actions(self.protocol):
            return refuse(self.protocol, Fault.UNSUPPORTED_ACTION, "this central system does not take this action")
        return refuse(self.protocol, Fault.UNKNOWN_ACTION, f"{self.protocol} has no such action")

    def _is_other_shape(self, action: str, payload: object) -> bool:
        """Fields that only the other version has in this action, and none of this version's own."""
        if not isinstance(payload, Mapping) or action not in self.other.readers:
            return False
        marks = self.own.marks.get(action, frozenset())
        return payload.keys().isdisjoint(marks) and not payload.keys().isdisjoint(
            self.other.marks.get(action, frozenset())
        )

    def _read_as_other(
        self, action: str, payload: object, quirks: set[str], charge_point: ChargePoint, received_at: datetime
    ) -> Fact | Refusal:
        found = violations(self.other.protocol, action, payload)
        quirks |= {*_quirks(found), Quirk.WRONG_VERSION_SHAPE}
        fact = self.other.readers[action](_message(payload, quirks, charge_point, received_at))
        return _unreadable(self.protocol, found) if fact is None else fact


def translator(protocol: Protocol) -> Translator:
    return _TRANSLATORS[protocol]


COMMANDS: Mapping[str, type[Command]] = {each.__name__: each for each in (*v16.CALLS, *v201.CALLS, *v21.CALLS)}
"""Every command that some version has, by name."""


_TRANSLATORS: dict[Protocol, Translator] = {
    Protocol.V16: _Translator(_VERSIONS[Protocol.V16], _VERSIONS[Protocol.V201]),
    Protocol.V201: _Translator(_VERSIONS[Protocol.V201], _VERSIONS[Protocol.V16]),
    Protocol.V21: _Translator(_VERSIONS[Protocol.V21], _VERSIONS[Protocol.V16]),
}


def _message(payload: object, quirks: set[str], charge_point: ChargePoint, received_at: datetime) -> Message:
    fields = Fields(payload, quirks)
    return Message(fields=fields, quirks=quirks, zone=charge_point.time_zone, received_at=received_at)


def _quirks(found: list[Violation]) -> set[Quirk]:
    return {violation.quirk for violation in found}


def _unreadable(protocol: Protocol, found: list[Violation]) -> Refusal:
    """Even read leniently, the message has no meaning: for what the schema finds, else for a number without sense."""
    if found:
        return refusal(protocol, found)
    also = ", or it tells only what is new in OCPP 2.1" if protocol is Protocol.V21 else ""
    return refuse(protocol, Fault.PROPERTY, f"a number is negative or exceeds 32 bits{also}")


def _malformed(fact: ChargingEvent | ReadingsReported, action: str, payload: object) -> Fact:
    if isinstance(fact, ReadingsReported):
        return replace(fact, malformed=True)
    return replace(fact, malformed=True, key=malformed_key(action, payload))
