"""Every message that we send, with every status that the schema allows as its answer: what the operator gets to know.

Commands go the whole way: through the database to the node that holds the socket, over it, and back.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from csms.protocol.vocabulary import Protocol
from tests.conformance.asking import asking
from tests.conformance.commands import asked
from tests.conformance.schemas import EARLIER, PROTOCOLS, Filler, fits, outgoing, owed, status_words, with_value
from tests.conformance.schemas import Path as FieldPath
from tests.conformance.station import Hang_up, Keep_silent, Refuse

IN_FULL = [each for each in PROTOCOLS if each not in EARLIER]
DOES_IT = {"Accepted", "AcceptedCanceled", "RebootRequired", "Scheduled", "Unlocked", "Unpublished"}
DOES_NOT = {
    "DownloadOngoing", "Duplicate", "EmptyResultSet", "Failed", "Faulted", "Invalid", "InvalidCertificate",
    "NoFirmware", "NoProfiles", "NoTransaction", "NotFound", "NotImplemented", "NotSupported",
    "NotSupportedAttributeType", "NotSupportedMessageFormat", "NotSupportedPriority", "NotSupportedState", "Occupied",
    "OngoingAuthorizedTransaction", "Rejected", "RevokedCertificate", "Unavailable", "Unknown", "UnknownComponent",
    "UnknownConnector", "UnknownMessageId", "UnknownTransaction", "UnknownVariable", "UnknownVendorId", "UnlockFailed",
    "UnsupportedMonitorType", "VersionMismatch",
}  # fmt: skip
IS_AN_ANSWER = {("GetInstalledCertificateIds", "NotFound")}
"""There are none: that is what was asked."""
CODES = {
    Protocol.V16: (
        "NotImplemented", "NotSupported", "InternalError", "ProtocolError", "SecurityError", "FormationViolation",
        "PropertyConstraintViolation", "OccurenceConstraintViolation", "TypeConstraintViolation", "GenericError",
    ),
    Protocol.V201: (
        "FormatViolation", "GenericError", "InternalError", "MessageTypeNotSupported", "NotImplemented",
        "NotSupported", "OccurrenceConstraintViolation", "PropertyConstraintViolation", "ProtocolError",
        "RpcFrameworkError", "SecurityError", "TypeConstraintViolation", "NoSuchCodeAnywhere",
    ),
}  # fmt: skip
"""1.6-J 4.2.3, OCPP 2.0.1 Part 4 4.3."""
WITHOUT_STATUS: dict[tuple[Protocol, str], list[tuple[dict[str, Any], bool, str]]] = {
    (Protocol.V16, "GetConfiguration"): [({"configurationKey": []}, True, "Accepted"), ({"unknownKey": ["A"]}, True, "Accepted")],
    (Protocol.V16, "GetDiagnostics"): [({"fileName": "diag.zip"}, True, "Accepted"), ({}, False, "NoDiagnostics")],
    (Protocol.V16, "GetLocalListVersion"): [
        ({"listVersion": 3}, True, "Accepted"), ({"listVersion": 0}, True, "Accepted"), ({"listVersion": -1}, False, "not_supported"),
    ],
    (Protocol.V16, "UpdateFirmware"): [({}, True, "Accepted")],
    (Protocol.V201, "CostUpdated"): [({}, True, "Accepted")],
    (Protocol.V201, "GetLocalListVersion"): [({"versionNumber": 3}, True, "Accepted"), ({"versionNumber": 0}, True, "Accepted")],
    (Protocol.V201, "GetTransactionStatus"): [
        ({"messagesInQueue": True, "ongoingIndicator": True}, True, "Accepted"), ({"messagesInQueue": False}, True, "Accepted"),
    ],
}  # fmt: skip
"""Answers that carry no status, and what they come to."""


def _answer(protocol: Protocol, action: str, path: FieldPath, word: str) -> dict[str, Any]:
    """A valid answer with this word as its status, and a reason where the schema has a place for one."""
    payload: dict[str, Any] = Filler({"id": 7}).payload(protocol, action, answer=True)
    answer: dict[str, Any] = with_value(payload, path, word)
    assert fits(protocol, action, answer, answer=True)
    return answer


def _reason(answer: Any) -> str | None:
    """What stands in the first StatusInfoType of an answer."""
    match answer:
        case {"reasonCode": str(code), "additionalInfo": str(more)}:
            return f"{code}: {more}"
        case dict() | list():
            inner = answer.values() if isinstance(answer, dict) else answer
            return next((reason for each in inner if (reason := _reason(each))), None)
        case _:
            return None


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_each_message_that_we_send_has_a_command_and_answers_to_be_told_apart(protocol: Protocol) -> None:
    found = {action for action in asked(protocol) if owed(protocol, action)}
    wanted = {action for action in outgoing(protocol) if owed(protocol, action)}
    words = {word for action in wanted for _, word in status_words(protocol, action)}
    mute = {action for action in found if not status_words(protocol, action)}

    assert found == wanted
    assert words <= DOES_IT | DOES_NOT
    assert mute <= {action for _, action in WITHOUT_STATUS}


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_every_status_that_an_answer_may_carry_is_what_the_operator_is_told(
    database: str, data_home: Path, protocol: Protocol
) -> None:
    asked_for = {action: command for action, command in asked(protocol).items() if owed(protocol, action)}
    async with asking(database, data_home, protocol) as asker:
        for action, command in asked_for.items():
            for path, word in status_words(protocol, action):
                answer = _answer(protocol, action, path, word)
                yes = word in DOES_IT or (action, word) in IS_AN_ANSWER
                await asker.expect(action, command, answer, yes, word)
                reason = _reason(answer)
                if reason is not None and reason not in str(asker.said):
                    asker.wrong.append(f"{action} {word}: {asker.said} lacks the reason {reason!r}")
            for (version, name), cases in WITHOUT_STATUS.items():
                if name == action and (version is Protocol.V16) is (protocol is Protocol.V16):
                    for answer, accepted, status in cases:
                        await asker.expect(action, command, answer, accepted, status)

    assert asker.wrong == []


@pytest.mark.parametrize("protocol", IN_FULL)
async def test_an_answer_without_sense_is_told_as_such(database: str, data_home: Path, protocol: Protocol) -> None:
    """An unknown word is a refusal in the charge point's own word; an answer without status is none."""
    async with asking(database, data_home, protocol) as asker:
        for action, command in asked(protocol).items():
            words = status_words(protocol, action)
            if not owed(protocol, action) or not words:
                continue
            path, word = next((path, word) for path, word in words if word in DOES_IT)
            answer = _answer(protocol, action, path, word)
            await asker.expect(action, command, with_value(answer, path, "Sideways"), False, "Sideways")
            await asker.expect(action, command, with_value(answer, path, word.lower()), True, word)
            for nothing in (None, {}):
                await asker.expect(action, command, with_value(answer, path, nothing), False, "invalid_answer")
            for nothing in (None, ["Accepted"]):
                await asker.expect(action, command, nothing, False, "invalid_answer")

    assert asker.wrong == []


@pytest.mark.parametrize("protocol", IN_FULL)
async def test_a_call_error_is_told_with_its_code(database: str, data_home: Path, protocol: Protocol) -> None:
    async with asking(database, data_home, protocol) as asker:
        first, *others = [(action, command) for action, command in asked(protocol).items() if owed(protocol, action)]
        for code in CODES.get(protocol, CODES[Protocol.V201]):
            unsupported = code in {"NotImplemented", "NotSupported"}
            claim = (False, "not_supported", code) if unsupported else (False, "call_error", f"{code}: low battery")
            await asker.expect(*first, Refuse(code, "low battery"), *claim)
        for action, command in others:
            await asker.expect(action, command, Refuse("NotImplemented"), False, "not_supported", "NotImplemented")
        secret = Refuse("InternalError", "no\nroom at ftp://user:hunter2@files.example/")
        await asker.expect(*first, secret, False, "call_error")

    assert "hunter2" not in str(asker.said)
    assert asker.wrong == []


@pytest.mark.parametrize("protocol", IN_FULL)
async def test_silence_and_a_lost_connection_are_told_apart(database: str, data_home: Path, protocol: Protocol) -> None:
    async with asking(database, data_home, protocol) as asker:
        command = asked(protocol)["Reset"]
        asker.reply = Keep_silent()
        silent = await asker.ask(command, timeout_s=0.3)
        asker.reply = {"status": "Accepted"}
        again = await asker.ask(command)
        asker.reply = Hang_up()
        cut = await asker.ask(command)
        gone = await asker.ask(command, timeout_s=0.3)

    assert (silent.accepted, silent.status) == (False, "timeout")
    assert again.accepted
    assert (cut.accepted, cut.status) == (False, "timeout")
    assert "socket closed" in str(cut.detail)
    assert "socket closed" not in str(silent.detail)
    assert (gone.accepted, gone.status) == (False, "offline")
