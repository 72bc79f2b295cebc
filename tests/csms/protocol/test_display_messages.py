"""Displays and customer information on the wire, and what of it may be kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.charge_points.charge_point import ChargePoint
from csms.protocol.blocks.customer_facts import CustomerInformationReported
from csms.protocol.blocks.customer_information import CustomerInformation
from csms.protocol.blocks.display_facts import DisplayMessage, DisplayMessagesReported
from csms.protocol.blocks.displays import ClearDisplayMessage, GetDisplayMessages, SetDisplayMessage
from csms.protocol.redaction import REDACTED, redacted, without_customer_information
from csms.protocol.translator import CommandInvalid, Refusal, translator
from csms.protocol.vocabulary import Acknowledged, Command, Outcome, Protocol

V16, V201 = Protocol.V16, Protocol.V201
SIX = datetime(2026, 3, 1, 18, tzinfo=UTC)
BARE = DisplayMessage(id=3, text="Closed")
FULL = DisplayMessage(
    id=3, text="Geschlossen ab sechs", priority="InFront", format="UTF8", state="Idle", start=SIX - timedelta(hours=1),
    end=SIX, transaction="tx-1", language="de",
)  # fmt: skip
FULL_WRITTEN = {
    "id": 3,
    "priority": "InFront",
    "state": "Idle",
    "startDateTime": "2026-03-01T17:00:00.000Z",
    "endDateTime": "2026-03-01T18:00:00.000Z",
    "transactionId": "tx-1",
    "message": {"format": "UTF8", "language": "de", "content": "Geschlossen ab sechs"},
}
ASK = CustomerInformation(request=7, token="04AB12CD", report=True)

WRITTEN: list[tuple[Command, str, dict[str, Any]]] = [
    (SetDisplayMessage(message=FULL), "SetDisplayMessage", {"message": FULL_WRITTEN}),
    (
        SetDisplayMessage(message=BARE),
        "SetDisplayMessage",
        {"message": {"id": 3, "priority": "NormalCycle", "message": {"format": "UTF8", "content": "Closed"}}},
    ),
    (GetDisplayMessages(request=7), "GetDisplayMessages", {"requestId": 7}),
    (
        GetDisplayMessages(request=7, ids=(3, 4), priority="InFront", state="Idle"),
        "GetDisplayMessages",
        {"requestId": 7, "id": [3, 4], "priority": "InFront", "state": "Idle"},
    ),
    (ClearDisplayMessage(message=3), "ClearDisplayMessage", {"id": 3}),
    (
        ASK,
        "CustomerInformation",
        {"requestId": 7, "report": True, "clear": False, "idToken": {"idToken": "04AB12CD", "type": "ISO14443"}},
    ),
]


@pytest.mark.parametrize(("command", "action", "payload"), WRITTEN)
def test_a_command_about_displays_or_customers_is_written_in_2_0_1_and_unknown_to_1_6(
    command: Command, action: str, payload: dict[str, Any]
) -> None:
    assert translator(V201).command(command) == (action, payload)
    assert translator(V16).command(command) is None


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (SetDisplayMessage(message=DisplayMessage(id=0, text="x")), "count from 1"),
        (SetDisplayMessage(message=DisplayMessage(id=1, text="")), "text is empty"),
        (SetDisplayMessage(message=DisplayMessage(id=1, text="x" * 513)), "content"),
        (SetDisplayMessage(message=DisplayMessage(id=1, text="ä", format="ASCII")), "not all ASCII"),
        (SetDisplayMessage(message=DisplayMessage(id=1, text="x", format="PDF")), "format"),
        (SetDisplayMessage(message=DisplayMessage(id=1, text="x", priority="Loud")), "priority"),
        (SetDisplayMessage(message=DisplayMessage(id=1, text="x", state="Tired")), "state"),
        (SetDisplayMessage(message=DisplayMessage(id=1, text="x", language="x" * 9)), "language"),
        (SetDisplayMessage(message=DisplayMessage(id=1, text="x", transaction="")), "transaction is empty"),
        (SetDisplayMessage(message=DisplayMessage(id=1, text="x", start=SIX, end=SIX)), "not after"),
        (ClearDisplayMessage(message=0), "count from 1"),
        (CustomerInformation(request=1, token="ADA"), "neither report nor clear"),
        (CustomerInformation(request=1, token="", clear=True), "token is empty"),
        (CustomerInformation(request=1, token="x" * 37, clear=True), "idToken"),
    ],
)
def test_what_no_station_may_be_sent_is_refused_with_its_rule(command: Command, problem: str) -> None:
    with pytest.raises(CommandInvalid, match=problem):
        translator(V201).command(command)


@pytest.mark.parametrize(
    ("command", "payload", "accepted", "status"),
    [
        (SetDisplayMessage(message=BARE), {"status": "Accepted"}, True, "Accepted"),
        (SetDisplayMessage(message=BARE), {"status": "NotSupportedPriority"}, False, "NotSupportedPriority"),
        (GetDisplayMessages(request=7), {"status": "Unknown"}, False, "Unknown"),
        (ClearDisplayMessage(message=3), {"status": "Unknown"}, False, "Unknown"),
        (ASK, {"status": "Invalid"}, False, "Invalid"),
        (ASK, {}, False, "invalid_answer"),
    ],
)
def test_an_answer_is_read_as_it_is_meant(command: Command, payload: object, accepted: bool, status: str) -> None:
    outcome: Outcome = translator(V201).outcome(command, payload)

    assert (outcome.accepted, outcome.status) == (accepted, status)


def test_messages_that_a_station_tells_are_read_as_they_are_written() -> None:
    fact = _read("NotifyDisplayMessages", {"requestId": 7, "tbc": True, "messageInfo": [FULL_WRITTEN]})

    assert fact == DisplayMessagesReported(request=7, more=True, messages=(FULL,))
    assert translator(V201).answer("NotifyDisplayMessages", Acknowledged()) == {}


def test_messages_are_read_leniently_and_those_without_meaning_are_left_out() -> None:
    odd = [
        {"id": "4", "priority": "infront", "message": {"content": "Hi"}},
        {"id": 5},
        {"message": {"content": "x"}},
        6,
    ]
    fact = _read("NotifyDisplayMessages", {"requestId": "7", "messageInfo": odd})

    assert isinstance(fact, DisplayMessagesReported)
    assert fact.messages == (DisplayMessage(id=4, text="Hi", priority="InFront"),)
    assert (fact.request, fact.more) == (7, False)
    assert fact.quirks


def test_messages_for_no_request_are_refused() -> None:
    assert isinstance(_read("NotifyDisplayMessages", {"messageInfo": [FULL_WRITTEN]}), Refusal)


PART = {"data": " Ada Example, ", "seqNo": 1, "tbc": True, "generatedAt": "2026-03-01T18:00:00Z", "requestId": 7}


def test_what_a_station_knows_of_a_customer_is_read_to_the_letter_and_shown_in_no_representation() -> None:
    fact = _read("NotifyCustomerInformation", PART)

    assert fact == CustomerInformationReported(request=7, seq_no=1, more=True, data=" Ada Example, ")
    assert "Ada" not in repr(fact)
    assert translator(V201).answer("NotifyCustomerInformation", Acknowledged()) == {}


@pytest.mark.parametrize("payload", [{}, {"data": 5, "requestId": "x"}, {"data": "Ada Example", "seqNo": {}}])
def test_customer_information_is_never_refused_for_a_refused_message_is_kept_as_it_came(
    payload: dict[str, Any],
) -> None:
    fact = _read("NotifyCustomerInformation", payload)

    assert isinstance(fact, CustomerInformationReported)
    assert fact.request == 0


def test_a_frame_with_customer_information_is_kept_without_it() -> None:
    frame = json.dumps([2, "1", "NotifyCustomerInformation", {**PART, "customData": {"vendorId": "Ada"}}])
    kept = json.loads(redacted(frame))

    assert kept == [2, "1", "NotifyCustomerInformation", {**PART, "data": REDACTED, "customData": REDACTED}]


@pytest.mark.parametrize(
    "frame",
    [
        '[2, "1", "NotifyCustomerInformation", {"data": "Ada Exa',
        '[2, "1", "notifycustomerinformation", "Ada"]',
        '[2, "1", "NotifyCustomerInformation", ["Ada"]]',
    ],
)
def test_a_frame_with_customer_information_that_cannot_be_read_is_hidden_as_a_whole(frame: str) -> None:
    assert redacted(frame) == REDACTED


@given(data=st.text(min_size=1).filter(lambda text: text not in REDACTED), more=st.dictionaries(st.text(), st.text()))
def test_nothing_told_of_a_customer_survives(data: str, more: dict[str, str]) -> None:
    told = {name: value for name, value in more.items() if name not in PART}
    frame = json.dumps([2, "1", "NotifyCustomerInformation", {**told, **PART, "data": data}])
    kept = json.loads(without_customer_information(frame))[3]

    assert {name: kept[name] for name in told} == dict.fromkeys(told, REDACTED)
    assert kept["data"] == REDACTED


@pytest.mark.parametrize(
    "frame",
    [
        '[3, "1", {}]',
        '[4, "1", "NotImplemented", "NotifyCustomerInformation is not known", {}]',
        '[2, "1", "CustomerInformation", {"requestId": 7, "report": true, "clear": false}]',
    ],
)
def test_frames_without_customer_information_stay_as_they_came(frame: str) -> None:
    assert redacted(frame) == frame


def _read(action: str, payload: dict[str, Any]) -> object:
    station = ChargePoint(id="CP-1", site="harbour")
    return translator(V201).read(action, payload, charge_point=station, received_at=SIX)
