"""Reservations: made, used, cancelled, refused and run out, with charge points of both versions."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from cli_room import TOKEN, Installation, Said, tariff_document, until
from ocpp.v201 import call as call201
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from csms.reservations import service
from csms.reservations.reservation import State

PROTOCOLS = pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])
HOUR = timedelta(hours=1)


async def create(shop: Installation, name: str, *options: object, token: str = TOKEN) -> Said:
    limits = () if {"--until", "--minutes"} & set(options) else ("--minutes", "30")
    return await shop.csms("reservation", "create", name, "--token", token, *limits, *options, "-o", "json")


async def shown(shop: Installation, number: int) -> dict[str, Any]:
    found: dict[str, Any] = await shop.data("reservation", "show", number)
    return found


async def listed(shop: Installation, name: str, *filters: object) -> list[tuple[int, str]]:
    rows = await shop.data("reservation", "list", "--cp", name, *filters)
    return [(row["id"], row["state"]) for row in rows]


def words(reservation: dict[str, Any]) -> list[str]:
    return [step["what"] for step in reservation["history"]]


async def until_state(shop: Installation, number: int, state: State) -> None:
    async with shop.connection() as connection:

        async def look() -> bool:
            return (await service.get(connection, number)).now.state is state

        await until(look)


@PROTOCOLS
async def test_a_reserved_evse_is_for_its_token_and_the_session_uses_the_reservation(
    shop: Installation, protocol: str
) -> None:
    name = f"RES-USE-{protocol}"
    await shop.csms("token", "issue", "STRANGER-1")
    async with shop.simulated(name, protocol) as station:
        made = await create(shop, name, "--evse", 1, token=TOKEN.lower())
        number = made.json["id"]
        barred = await shop.csms("cp", "start", name, "--token", "STRANGER-1", "--evse", 1, "-o", "json")
        accepted = await shown(shop, number)
        started = await shop.data("cp", "start", name, "--token", TOKEN, "--evse", 1, "--wait")
        used = await shown(shop, number)
        late = await shop.csms("reservation", "cancel", number)

    assert (made.code, made.json["outcome"], made.json["state"]) == (0, "Accepted", "accepted")
    assert (barred.code, barred.json["outcome"]) == (5, "Rejected")
    assert (accepted["state"], accepted["evse"], accepted["token"], accepted["next"]) == ("accepted", 1, TOKEN, None)
    assert (used["state"], used["session"]) == ("used", started["session"])
    assert words(used) == ["requested", "reserve: Accepted", f"used by {TOKEN}"]
    assert (late.code, late.error["message"]) == (5, f"reservation {number} is used: there is nothing to cancel")
    assert station.truth.sessions[0].token == TOKEN


@PROTOCOLS
async def test_a_reservation_that_was_used_is_billed_with_its_session(shop: Installation, protocol: str) -> None:
    name, tariff = f"RES-BILL-{protocol}", f"RESERVED-{protocol[4]}"
    document = tariff_document(tariff)
    fee = {
        "price_components": [{"type": "FLAT", "price": "2", "vat": "19", "step_size": 1}],
        "restrictions": {"reservation": "RESERVATION"},
    }
    document["elements"].append(fee)
    await shop.data("tariff", "create", "-", stdin=json.dumps(document).encode())
    async with shop.simulated(name, protocol) as station:
        await shop.data("tariff", "assign", tariff, "--cp", name, "--from", "2020-01-01")
        made = await create(shop, name, "--evse", 1)
        await station.clock.advance(timedelta(minutes=1))  # its clock stood still meanwhile
        await station.plug()
        await station.start(token=TOKEN)
        await station.charge(energy_wh=Decimal(200), duration=timedelta(seconds=36))
        await station.stop()
        await station.unplug()
    session = await shop.await_session(name, "rated")
    bills = await shop.data("bill", "list", "--session", session["id"])
    explained = await shop.csms("session", "explain", session["id"])

    assert made.json["outcome"] == "Accepted"
    assert [each["total_excl_tax"] for each in bills if each["kind"] == "final"] == [
        "2.10"
    ]  # 0.2 kWh at 0.49, and the fee
    assert "reservation" in explained.out


@PROTOCOLS
async def test_a_cancelled_reservation_leaves_the_evse_to_others(shop: Installation, protocol: str) -> None:
    name = f"RES-CANCEL-{protocol}"
    async with shop.simulated(name, protocol) as station:
        first = (await create(shop, name, "--evse", 1, "--group", "FLEET-7")).json["id"]
        held = station.reservations.held[1]
        cancelled = await shop.csms("reservation", "cancel", first, "-o", "json")
        again = await shop.csms("reservation", "cancel", first)
        second = (await create(shop, name, "--evse", 1)).json["id"]
        station.reservations.held.clear()
        forgotten = await shop.csms("reservation", "cancel", second, "-o", "json")
        rows = await listed(shop, name)
        open_ones = await listed(shop, name, "--state", "accepted")

    assert (held.id, held.token, held.group) == (first, TOKEN, "FLEET-7")
    assert (cancelled.code, cancelled.json["outcome"], cancelled.json["state"]) == (0, "Accepted", "cancelled")
    assert (again.code, again.error["message"]) == (7, f"reservation {first} is cancelled already")
    assert (forgotten.code, forgotten.json["outcome"], forgotten.json["state"]) == (5, "Rejected", "accepted")
    assert "keeps no such reservation" in forgotten.json["next"]
    assert second > first
    assert (rows, open_ones) == ([(second, "accepted"), (first, "cancelled")], [(second, "accepted")])


@PROTOCOLS
async def test_a_charge_point_that_refuses_is_in_the_books_with_its_reason(shop: Installation, protocol: str) -> None:
    name = f"RES-NO-{protocol}"
    async with shop.simulated(name, protocol) as station:
        await station.plug(1)
        occupied = await create(shop, name, "--evse", 1)
        await station.set_operative(2, operative=False)
        unavailable = await create(shop, name, "--evse", 2)
        nowhere = await create(shop, name, "--evse", 9)
        rows = await listed(shop, name)

    said = [(each.code, each.json["outcome"], each.json["state"]) for each in (occupied, unavailable, nowhere)]
    assert said == [(5, "Occupied", "refused"), (5, "Unavailable", "refused"), (5, "Rejected", "refused")]
    assert f"csms cp availability {name} operative" in unavailable.json["next"]
    assert [state for _, state in rows] == ["refused"] * 3


@PROTOCOLS
async def test_nothing_is_sent_where_the_charge_point_has_said_that_it_cannot(
    shop: Installation, protocol: str
) -> None:
    name = f"RES-FEATURE-{protocol}"
    offered, any_evse, value = {
        "ocpp1.6": ("SupportedFeatureProfiles", "ReserveConnectorZeroSupported", "Core,RemoteTrigger"),
        "ocpp2.0.1": ("ReservationCtrlr.Available", "ReservationCtrlr.NonEvseSpecific", "false"),
    }[protocol]
    async with shop.simulated(name, protocol) as station:
        settings = station.dialect.settings.entries
        announced = settings[offered].value
        settings[any_evse].value, settings[offered].value = "false", value
        excluded = await create(shop, name, "--evse", 1)
        settings[offered].value = announced
        unnamed = await create(shop, name)
        held, rows = dict(station.reservations.held), await listed(shop, name)
        changed = await create(shop, name, "--evse", 1)

    assert (unnamed.code, any_evse in unnamed.error["message"]) == (5, True)
    assert (excluded.code, offered in excluded.error["message"]) == (5, True)
    assert (held, rows) == ({}, [])
    assert changed.code == 0  # what was switched on meanwhile counts


@PROTOCOLS
async def test_a_charge_point_that_does_not_know_reservations_refuses_for_good(
    shop: Installation, protocol: str
) -> None:
    name = f"RES-UNKNOWN-{protocol}"
    async with shop.simulated(name, protocol, unknown=frozenset({"ReserveNow", "CancelReservation"})):
        said = await create(shop, name, "--evse", 1)

    assert (said.code, said.json["outcome"], said.json["state"]) == (5, "not_supported", "refused")
    assert "does not know reservations" in said.json["next"]


async def test_nobody_reserves_for_a_token_that_may_not_charge(shop: Installation) -> None:
    await shop.csms("token", "issue", "RES-LOST")
    await shop.csms("token", "block", "RES-LOST")
    await shop.csms("token", "issue", "RES-OLD", "--expires", "2020-01-01")
    async with shop.simulated("RES-TOKENS", "ocpp1.6"):
        said = [await create(shop, "RES-TOKENS", token=token) for token in ("RES-NOBODY", "RES-LOST", "RES-OLD")]
        rows = await listed(shop, "RES-TOKENS")

    assert [each.code for each in said] == [5, 5, 5]
    told = [each.error["message"].split(":")[0] for each in said]
    assert told == ["token RES-NOBODY is not known", "token RES-LOST is blocked", "token RES-OLD has expired"]
    assert rows == []


async def test_what_makes_no_sense_or_cannot_be_delivered_makes_no_reservation(shop: Installation) -> None:
    long_token = "RES-" + 20 * "X"
    await shop.csms("token", "issue", long_token)
    past = (datetime.now(UTC) - HOUR).isoformat()
    await shop.charge_point("RES-AWAY")
    away = await create(shop, "RES-AWAY")
    async with shop.simulated("RES-WRONG", "ocpp1.6"):
        wrong = [
            await shop.csms("reservation", "create", "RES-WRONG", "--token", TOKEN),
            await create(shop, "RES-WRONG", "--minutes", 5, "--until", past),
            await create(shop, "RES-WRONG", "--until", past),
            await create(shop, "RES-WRONG", token=long_token),
        ]
        nowhere = await create(shop, "RES-NONE")
    unknown = [await shop.csms("reservation", verb, 2**31 - 1) for verb in ("show", "cancel")]

    assert (away.code, away.error["code"]) == (1, "offline")
    assert [each.code for each in wrong] == [2, 2, 2, 2]
    assert "idTag" in wrong[-1].error["message"]
    assert [nowhere.code, *(each.code for each in unknown)] == [3, 3, 3]
    assert await listed(shop, "RES-AWAY") == await listed(shop, "RES-WRONG") == []


async def test_a_station_says_what_has_ended_its_reservations(shop: Installation) -> None:
    name = "RES-END"
    async with shop.simulated(name, "ocpp2.0.1") as station, shop.simulated("RES-LIAR", "ocpp2.0.1") as liar:
        first = (await create(shop, name, "--evse", 1)).json["id"]
        second = (await create(shop, name, "--evse", 2, "--minutes", 600)).json["id"]
        await liar.ask(call201.ReservationStatusUpdate(reservation_id=first, reservation_update_status="Removed"))
        untouched = await shown(shop, first)
        await station.advance(HOUR)
        await until_state(shop, first, State.EXPIRED)
        await shop.data("cp", "availability", name, "inoperative", "--evse", "2")
        await until_state(shop, second, State.REMOVED)
        expired, removed = await shown(shop, first), await shown(shop, second)

    assert untouched["state"] == "accepted"
    assert words(expired)[-1] == "the charge point said Expired"
    assert words(removed)[-1] == "the charge point said Removed"


@contextlib.asynccontextmanager
async def silent(shop: Installation, name: str) -> AsyncIterator[ClientConnection]:
    """A 1.6 charge point that knows no settings and never answers anything else."""
    password = await shop.charge_point(name, "--no-template")
    login = base64.b64encode(f"{name}:{password}".encode()).decode()
    async with connect(
        f"{shop.url}/{name}",
        subprotocols=[Subprotocol("ocpp1.6")],
        additional_headers={"Authorization": f"Basic {login}"},
    ) as socket:

        async def listen() -> None:
            async for message in socket:
                kind, id_, *rest = json.loads(message)
                if kind == 2 and rest[0] == "GetConfiguration":
                    await socket.send(json.dumps([3, id_, {"configurationKey": []}]))

        listening = asyncio.create_task(listen())
        try:
            yield socket
        finally:
            listening.cancel()


async def test_after_a_lost_answer_a_start_that_names_the_reservation_tells_the_truth(shop: Installation) -> None:
    async with silent(shop, "RES-SILENT") as socket:
        lost = await create(shop, "RES-SILENT", "--evse", 1, "--timeout", 3)
        number = lost.error["details"]["reservation"]
        uncertain = await shown(shop, number)
        start = {
            "connectorId": 1,
            "idTag": TOKEN,
            "meterStart": 0,
            "reservationId": number,
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        await socket.send(json.dumps([2, "1", "StartTransaction", start]))
        await until_state(shop, number, State.USED)
        used = await shown(shop, number)

    assert (lost.code, lost.error["code"]) == (124, "timeout")
    assert f"csms reservation cancel {number}" in lost.error["next"]
    assert (uncertain["state"], uncertain["answer"]) == ("requested", "timeout")
    assert f"csms reservation cancel {number}" in uncertain["next"]
    assert (used["state"], used["session"] is None) == ("used", False)
