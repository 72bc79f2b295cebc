"""Local lists and caches on the wire of both versions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from csms.protocol.blocks.local_lists import ClearCache, GetLocalListVersion, ListEntry, SendLocalList
from csms.protocol.translator import CommandInvalid, translator
from csms.protocol.v201.local_lists import token_type
from csms.protocol.vocabulary import Command, Outcome, Protocol, TokenStatus, TokenVerdict

V16, V201 = Protocol.V16, Protocol.V201
YEAR_END = datetime(2027, 12, 31, 23, tzinfo=UTC)
ADA = ListEntry(
    token="04AB12CD", verdict=TokenVerdict(status=TokenStatus.ACCEPTED, group="FLEET-7", expires_at=YEAR_END)
)
LOST = ListEntry(token="04FFFF01", verdict=TokenVerdict(status=TokenStatus.BLOCKED))
GONE = ListEntry(token="04FFFF02")

WRITTEN: list[tuple[Protocol, Command, str, dict[str, Any]]] = [
    (
        V16,
        SendLocalList(version=7, full=True, entries=(ADA, LOST)),
        "SendLocalList",
        {
            "listVersion": 7,
            "updateType": "Full",
            "localAuthorizationList": [
                {
                    "idTag": "04AB12CD",
                    "idTagInfo": {
                        "status": "Accepted",
                        "parentIdTag": "FLEET-7",
                        "expiryDate": "2027-12-31T23:00:00.000Z",
                    },
                },
                {"idTag": "04FFFF01", "idTagInfo": {"status": "Blocked"}},
            ],
        },
    ),
    (
        V16,
        SendLocalList(version=8, entries=(GONE,)),
        "SendLocalList",
        {"listVersion": 8, "updateType": "Differential", "localAuthorizationList": [{"idTag": "04FFFF02"}]},
    ),
    (V16, SendLocalList(version=9, full=True), "SendLocalList", {"listVersion": 9, "updateType": "Full"}),
    (V16, GetLocalListVersion(), "GetLocalListVersion", {}),
    (V16, ClearCache(), "ClearCache", {}),
    (
        V201,
        SendLocalList(version=7, full=True, entries=(ADA,)),
        "SendLocalList",
        {
            "versionNumber": 7,
            "updateType": "Full",
            "localAuthorizationList": [
                {
                    "idToken": {"idToken": "04AB12CD", "type": "ISO14443"},
                    "idTokenInfo": {
                        "status": "Accepted",
                        "groupIdToken": {"idToken": "FLEET-7", "type": "Central"},
                        "cacheExpiryDateTime": "2027-12-31T23:00:00.000Z",
                    },
                }
            ],
        },
    ),
    (
        V201,
        SendLocalList(version=8, entries=(GONE,)),
        "SendLocalList",
        {
            "versionNumber": 8,
            "updateType": "Differential",
            "localAuthorizationList": [{"idToken": {"idToken": "04FFFF02", "type": "ISO14443"}}],
        },
    ),
    (V201, SendLocalList(version=9, full=True), "SendLocalList", {"versionNumber": 9, "updateType": "Full"}),
    (V201, GetLocalListVersion(), "GetLocalListVersion", {}),
    (V201, ClearCache(), "ClearCache", {}),
]


@pytest.mark.parametrize(("protocol", "command", "action", "payload"), WRITTEN)
def test_a_command_is_written_as_its_version_says(
    protocol: Protocol, command: Command, action: str, payload: dict[str, Any]
) -> None:
    assert translator(protocol).command(command) == (action, payload)


@pytest.mark.parametrize("protocol", Protocol)
@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (SendLocalList(version=0, full=True), "versions count from 1"),
        (SendLocalList(version=-1, full=True), "versions count from 1"),
        (SendLocalList(version=1, full=True, entries=(GONE,)), "whether it may charge"),
        (SendLocalList(version=1, entries=(ListEntry(token="04ffff02"), GONE)), "stands in the list twice"),
        (SendLocalList(version=1, entries=(ListEntry(token="x" * 256),)), "idT"),
        (SendLocalList(version=2**31, full=True), "32 bits"),
    ],
)
def test_what_no_charge_point_may_be_sent_is_refused_with_its_rule(
    protocol: Protocol, command: Command, problem: str
) -> None:
    with pytest.raises(CommandInvalid, match=problem):
        translator(protocol).command(command)


READ: list[tuple[Protocol, Command, object, bool, str, dict[str, Any]]] = [
    (V16, GetLocalListVersion(), {"listVersion": 7}, True, "Accepted", {"version": 7}),
    (V16, GetLocalListVersion(), {"listVersion": "7"}, True, "Accepted", {"version": 7}),
    (V16, GetLocalListVersion(), {"listVersion": 0}, True, "Accepted", {"version": 0}),
    (V16, GetLocalListVersion(), {"listVersion": -1}, False, "not_supported", {}),
    (V16, GetLocalListVersion(), {}, False, "invalid_answer", {}),
    (V201, GetLocalListVersion(), {"versionNumber": 7}, True, "Accepted", {"version": 7}),
    (V201, GetLocalListVersion(), {"listVersion": 7}, False, "invalid_answer", {}),
    (V16, SendLocalList(version=1), {"status": "Accepted"}, True, "Accepted", {}),
    (V16, SendLocalList(version=1), {"status": "NotSupported"}, False, "NotSupported", {}),
    (V16, SendLocalList(version=1), {"status": "VersionMismatch"}, False, "VersionMismatch", {}),
    (V201, SendLocalList(version=1), {"status": "Failed"}, False, "Failed", {}),
    (V201, SendLocalList(version=1), [], False, "invalid_answer", {}),
    (V201, ClearCache(), {"status": "Rejected"}, False, "Rejected", {}),
    (V16, ClearCache(), {"status": "Accepted"}, True, "Accepted", {}),
]


@pytest.mark.parametrize(("protocol", "command", "payload", "accepted", "status", "data"), READ)
def test_an_answer_is_read_as_it_is_meant(
    protocol: Protocol, command: Command, payload: object, accepted: bool, status: str, data: dict[str, Any]
) -> None:
    outcome: Outcome = translator(protocol).outcome(command, payload)

    assert (outcome.accepted, outcome.status, outcome.data) == (accepted, status, data)


@pytest.mark.parametrize(
    ("token", "type_"),
    [
        ("04AB12CD", "ISO14443"),
        ("04ab12cd34ef56", "ISO14443"),
        ("DEADBECAFE1234", "ISO14443"),
        ("E004010812345678", "ISO15693"),
        ("DE-EXA-C12345678-9", "eMAID"),
        ("DEEXAC123456789", "eMAID"),
        ("CARD-0001", "ISO14443"),
    ],
)
def test_a_token_has_the_type_that_it_looks_like(token: str, type_: str) -> None:
    assert token_type(token) == type_


def test_the_books_of_commands_keep_no_list() -> None:
    assert SendLocalList(version=7, full=True, entries=(ADA,)).kept() == SendLocalList(version=7, full=True)
