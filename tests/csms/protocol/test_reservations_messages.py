"""Reservations on the wire of both versions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from csms.charge_points.charge_point import ChargePoint
from csms.protocol.blocks.reservation_facts import ReservationReported
from csms.protocol.blocks.reservations import CancelReservation, ReserveNow
from csms.protocol.translator import CommandInvalid, Refusal, translator
from csms.protocol.vocabulary import Acknowledged, Command, Outcome, Protocol

V16, V201 = Protocol.V16, Protocol.V201
SIX = datetime(2026, 3, 1, 18, tzinfo=UTC)
ADA = "04AB12CD"
BARE = ReserveNow(reservation=17, token=ADA, until=SIX)
FULL = ReserveNow(reservation=17, token=ADA, until=SIX, evse=2, group="FLEET-7")

WRITTEN: list[tuple[Protocol, Command, str, dict[str, Any]]] = [
    (
        V16,
        FULL,
        "ReserveNow",
        {
            "connectorId": 2,
            "expiryDate": "2026-03-01T18:00:00.000Z",
            "idTag": ADA,
            "parentIdTag": "FLEET-7",
            "reservationId": 17,
        },
    ),
    (
        V16,
        BARE,
        "ReserveNow",
        {"connectorId": 0, "expiryDate": "2026-03-01T18:00:00.000Z", "idTag": ADA, "reservationId": 17},
    ),
    (V16, CancelReservation(reservation=17), "CancelReservation", {"reservationId": 17}),
    (
        V201,
        FULL,
        "ReserveNow",
        {
            "id": 17,
            "expiryDateTime": "2026-03-01T18:00:00.000Z",
            "idToken": {"idToken": ADA, "type": "ISO14443"},
            "evseId": 2,
            "groupIdToken": {"idToken": "FLEET-7", "type": "Central"},
        },
    ),
    (
        V201,
        BARE,
        "ReserveNow",
        {
            "id": 17,
            "expiryDateTime": "2026-03-01T18:00:00.000Z",
            "idToken": {"idToken": ADA, "type": "ISO14443"},
        },
    ),
    (V201, CancelReservation(reservation=17), "CancelReservation", {"reservationId": 17}),
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
        (ReserveNow(reservation=0, token=ADA, until=SIX), "count from 1"),
        (ReserveNow(reservation=2**31, token=ADA, until=SIX), "32 bits"),
        (ReserveNow(reservation=1, token=ADA, until=SIX, evse=0), "EVSEs count from 1"),
        (ReserveNow(reservation=1, token="", until=SIX), "token is empty"),
        (ReserveNow(reservation=1, token="x" * 256, until=SIX), "idT"),
        (ReserveNow(reservation=1, token=ADA, until=SIX, group=""), "group is empty"),
        (ReserveNow(reservation=1, token=ADA, until=SIX, group="x" * 256), "(parentIdTag|groupIdToken)"),
        (CancelReservation(reservation=0), "count from 1"),
    ],
)
def test_what_no_charge_point_may_be_sent_is_refused_with_its_rule(
    protocol: Protocol, command: Command, problem: str
) -> None:
    with pytest.raises(CommandInvalid, match=problem):
        translator(protocol).command(command)


ANSWERS: list[tuple[Command, object, bool, str, str | None]] = [
    (BARE, {"status": "Accepted"}, True, "Accepted", None),
    (BARE, {"status": "accepted"}, True, "Accepted", None),
    (BARE, {"status": "Occupied"}, False, "Occupied", None),
    (BARE, {"status": "Faulted"}, False, "Faulted", None),
    (BARE, {"status": "Unavailable", "statusInfo": {"reasonCode": "Night"}}, False, "Unavailable", "Night"),
    (BARE, {}, False, "invalid_answer", "the answer has no status"),
    (CancelReservation(reservation=17), {"status": "Rejected"}, False, "Rejected", None),
]


@pytest.mark.parametrize("protocol", Protocol)
@pytest.mark.parametrize(("command", "payload", "accepted", "status", "detail"), ANSWERS)
def test_an_answer_is_read_as_it_is_meant(
    protocol: Protocol, command: Command, payload: object, accepted: bool, status: str, detail: str | None
) -> None:
    outcome: Outcome = translator(protocol).outcome(command, payload)

    assert (outcome.accepted, outcome.status, outcome.detail) == (accepted, status, detail)


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        ({"reservationId": 17, "reservationUpdateStatus": "Expired"}, "Expired"),
        ({"reservationId": 17, "reservationUpdateStatus": "Removed"}, "Removed"),
        ({"reservationId": "17", "reservationUpdateStatus": "removed"}, "Removed"),
    ],
)
def test_what_a_station_tells_of_a_reservation_is_read_and_acknowledged(payload: dict[str, Any], status: str) -> None:
    fact = _read(payload)

    assert isinstance(fact, ReservationReported)
    assert (fact.reservation, fact.status) == (17, status)
    assert translator(V201).answer("ReservationStatusUpdate", Acknowledged()) == {}


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"reservationId": 17},
        {"reservationId": 17, "reservationUpdateStatus": "Tired"},
        {"reservationUpdateStatus": "Expired"},
        {"reservationId": 2**40, "reservationUpdateStatus": "Expired"},
    ],
)
def test_what_names_no_reservation_or_no_known_end_is_refused(payload: dict[str, Any]) -> None:
    assert isinstance(_read(payload), Refusal)


def _read(payload: dict[str, Any]) -> object:
    station = ChargePoint(id="CP-1", site="harbour")
    return translator(V201).read("ReservationStatusUpdate", payload, charge_point=station, received_at=SIX)
