"""A simulated charge point keeps an EVSE for who reserved it, and says what ends that."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ocpp.v16 import call as call16
from ocpp.v201 import call as call201

from simulators.charge_point import Build, Credentials, ModelClock, ReconnectPolicy, SimulatedChargePoint
from simulators.charge_point.evse import Phase
from tests.simulators.central_system import CentralSystem

QUICK = ReconnectPolicy(wait_s=0.01, range_s=0.01, doublings=1)
BOTH = pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
ADA = "ADA"
ONE_O_CLOCK = "2026-03-02T13:00:00.000Z"


@contextlib.asynccontextmanager
async def booted(central: CentralSystem, protocol: str, *, evses: int = 2) -> AsyncIterator[SimulatedChargePoint]:
    credentials = Credentials(url=central.url, identity="CP-1", password=central.password)
    build = Build(protocol=protocol, evses=evses, reconnect=QUICK, boot_wait_max_s=5)
    async with SimulatedChargePoint(credentials, ModelClock(NOON), build) as station:
        await station.boot()
        yield station


async def reserve(
    central: CentralSystem, protocol: str, id_: int, *, evse: int | None = 1, token: str = ADA, group: str | None = None,
    until: str = ONE_O_CLOCK,
) -> str:  # fmt: skip
    ask: Any
    if protocol == "ocpp1.6":
        ask = call16.ReserveNow(
            connector_id=evse or 0, expiry_date=until, id_tag=token, reservation_id=id_, parent_id_tag=group
        )
    else:
        ask = call201.ReserveNow(
            id=id_,
            expiry_date_time=until,
            id_token={"id_token": token, "type": "ISO14443"},
            evse_id=evse,
            group_id_token=None if group is None else {"id_token": group, "type": "Central"},
        )
    answer = await central.peers["CP-1"].call(ask, suppress=False)
    return str(answer.status)


async def cancel(central: CentralSystem, protocol: str, id_: int) -> str:
    made = call16 if protocol == "ocpp1.6" else call201
    answer = await central.peers["CP-1"].call(made.CancelReservation(reservation_id=id_), suppress=False)
    return str(answer.status)


def statuses(central: CentralSystem, evse: int = 1) -> list[str]:
    told = central.payloads("StatusNotification")
    return [
        each.get("status") or each["connectorStatus"]
        for each in told
        if evse in {each.get("evseId"), each["connectorId"] if "status" in each else None}
    ]


def named(central: CentralSystem, protocol: str) -> list[Any]:
    """The reservations that starts named."""
    if protocol == "ocpp1.6":
        return [each.get("reservationId") for each in central.payloads("StartTransaction")]
    events = central.payloads("TransactionEvent")
    return [each.get("reservationId") for each in events if each["eventType"] == "Started"]


@BOTH
async def test_only_who_reserved_may_start_and_the_start_names_the_reservation(
    central: CentralSystem, protocol: str
) -> None:
    async with booted(central, protocol) as station:
        assert await reserve(central, protocol, 17) == "Accepted"
        await station.plug(1)
        assert await station.start(1, token="BOB") is None
        assert await station.start(1, token="ada") is not None
        assert await station.start(2, token="BOB") is not None

    assert named(central, protocol) == [17, None]
    assert station.reservations.held == {}
    assert "Reserved" in statuses(central)


@BOTH
async def test_an_evse_that_is_taken_or_out_of_service_cannot_be_reserved(
    central: CentralSystem, protocol: str
) -> None:
    async with booted(central, protocol) as station:
        assert await reserve(central, protocol, 1) == "Accepted"
        taken = await reserve(central, protocol, 2, token="BOB")
        again = await reserve(central, protocol, 1, token="ADA")
        await station.set_operative(2, operative=False)
        closed = await reserve(central, protocol, 3, evse=2)
        station.evses[2].phase = Phase.FAULTED
        broken = await reserve(central, protocol, 3, evse=2)
        nowhere = await reserve(central, protocol, 4, evse=9)
        past = await reserve(central, protocol, 5, until="2026-03-02T11:00:00.000Z")

    assert (taken, again, closed, broken, nowhere, past) == (
        "Occupied", "Accepted", "Unavailable", "Faulted", "Rejected", "Rejected",
    )  # fmt: skip


@BOTH
async def test_a_cancelled_reservation_frees_its_evse(central: CentralSystem, protocol: str) -> None:
    async with booted(central, protocol) as station:
        await reserve(central, protocol, 17)
        cancelled = await cancel(central, protocol, 17)
        unknown = await cancel(central, protocol, 17)
        started = await station.start(1, token="BOB")

    assert (cancelled, unknown) == ("Accepted", "Rejected")
    assert started is not None
    assert named(central, protocol) == [None]


@BOTH
async def test_a_reservation_ends_by_the_clock_of_the_charge_point(central: CentralSystem, protocol: str) -> None:
    async with booted(central, protocol) as station:
        await reserve(central, protocol, 17)
        await station.advance(timedelta(minutes=59))
        kept = dict(station.reservations.held)
        await station.advance(timedelta(hours=3))

    assert [held.id for held in kept.values()] == [17]
    assert station.reservations.held == {}
    told = [
        (each["reservationId"], each["reservationUpdateStatus"]) for each in central.payloads("ReservationStatusUpdate")
    ]
    assert told == ([] if protocol == "ocpp1.6" else [(17, "Expired")])
    assert statuses(central)[-1] == "Available"


@BOTH
async def test_an_evse_that_goes_out_of_service_drops_its_reservation(central: CentralSystem, protocol: str) -> None:
    async with booted(central, protocol) as station:
        await reserve(central, protocol, 17)
        await station.set_operative(1, operative=False)

    told = [
        (each["reservationId"], each["reservationUpdateStatus"]) for each in central.payloads("ReservationStatusUpdate")
    ]
    assert told == ([] if protocol == "ocpp1.6" else [(17, "Removed")])
    assert statuses(central)[-1] == "Unavailable"


@BOTH
async def test_a_reservation_of_any_evse_is_used_up_wherever_the_driver_starts(
    central: CentralSystem, protocol: str
) -> None:
    async with booted(central, protocol) as station:
        assert await reserve(central, protocol, 17, evse=None) == "Accepted"
        await station.start(2, token="ADA")

    assert named(central, protocol) == [17]
    assert station.reservations.held == {}
    assert station.evses[1].phase is Phase.AVAILABLE


@BOTH
async def test_tokens_of_the_group_may_start_once_their_group_is_known(central: CentralSystem, protocol: str) -> None:
    async with booted(central, protocol) as station:
        await reserve(central, protocol, 17, group="FLEET-7")
        stranger = await station.start(1, token="BOB")
        station.reservations.groups["CYD"] = "FLEET-7"
        colleague = await station.start(1, token="CYD")

    assert (stranger is None, colleague is None) == (True, False)
    assert [each.get("idTag") or each["idToken"]["idToken"] for each in central.payloads("Authorize")] == ["BOB"]
    assert named(central, protocol) == [17]
