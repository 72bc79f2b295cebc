"""A reservation that nobody used costs what the tariff says for that, once, and only if no start was queued meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.faults.wire import boot, start_16, stop_16, wire
from tests.world import TOKENS, World, in_the_past, tariff_document, until, usual_world

CP = "KEPT-1"
CARD = TOKENS[0]
MINUTES_KEPT = 90


def _element(reservation: str, kind: str, price: str) -> dict[str, Any]:
    return {
        "price_components": [{"type": kind, "price": price, "vat": "20", "step_size": 60}],
        "restrictions": {"reservation": reservation},
    }


# 3.00 for keeping it and 4.00 per hour kept; 6.00 per hour instead if nobody comes: 3.00 + 1.5 h x 6.00 = 12.00, 14.40 with VAT.
EXPIRES = tariff_document(
    "KEPT",
    {"price_components": [{"type": "ENERGY", "price": "0.25", "vat": "10", "step_size": 1}]},
    _element("RESERVATION", "FLAT", "3.00"),
    _element("RESERVATION", "TIME", "4.00"),
    _element("RESERVATION_EXPIRES", "TIME", "6.00"),
)
WITHOUT = tariff_document("UNKEPT")


@pytest.fixture
async def world(database: str, tmp_path: Path) -> AsyncIterator[World]:
    """The charge point has not been heard of for long: what it queued may still come, for 72 hours."""
    async with usual_world(database, tmp_path) as opened:
        await opened.tariff(EXPIRES)
        yield opened


async def kept(world: World, ran_out: datetime, *, answer: bool = True, charge_point: str = CP) -> int:
    """A reservation for the first card on EVSE 1 that ran out then; its id."""
    number: int = await world.connection.fetchval(
        "INSERT INTO reservation (charge_point, evse, token, until, actor) VALUES ($1, 1, $2, $3, 'operator') RETURNING id",
        charge_point, CARD, ran_out,
    )  # fmt: skip
    await answered(world, number, "reserve", ran_out - timedelta(minutes=MINUTES_KEPT), accepted=answer)
    return number


async def answered(world: World, number: int, question: str, at: datetime, *, accepted: bool = True) -> None:
    await world.connection.execute(
        "INSERT INTO reservation_answer (reservation, question, accepted, status, actor, at)"
        " VALUES ($1, $2, $3, 'said', 'operator', $4)",
        number, question, accepted, at,
    )  # fmt: skip


async def session_of(world: World, number: int) -> dict[str, Any]:
    """What the operator sees of the session that a reservation became."""

    async def look() -> bool:
        return await world.connection.fetchval("SELECT count(*) FROM session WHERE reservation = $1", number) == 1

    await until(look)
    await world.quiet()
    id_ = await world.connection.fetchval("SELECT id FROM session WHERE reservation = $1", number)
    return await world.show(id_)


async def sweeps(world: World) -> None:
    """Long enough for what a sweep notes to be noted: another reservation that runs out later is."""
    await world.charge_point("CANARY")
    await session_of(world, await kept(world, in_the_past(days=4), charge_point="CANARY"))


async def test_it_costs_what_the_tariff_says_of_reservations_that_expire(world: World) -> None:
    await world.charge_point(CP)
    number = await kept(world, in_the_past(days=4))

    session = await session_of(world, number)
    (bill,) = await world.bills(session["id"])

    assert (session["state"], session["reservation"], session["transaction_id"]) == ("rated", number, None)
    assert (session["evse"], session["token"], session["energy_wh"]) == (1, CARD, 0)
    assert session["flags"] == ["reservation_unused"]
    assert (session["total_excl_tax"], session["total_incl_tax"]) == ("12.00", "14.40")
    assert bill.kind == "final"


async def test_a_tariff_without_a_price_for_reservations_makes_no_session_of_them(world: World) -> None:
    await world.tariff(WITHOUT, assigned=False)
    await world.charge_point(CP)
    await world.connection.execute(
        "INSERT INTO tariff_assignment (tariff, scope, target, valid_from, entered_at)"
        " VALUES ('UNKEPT', 'charge_point', $1, '2020-01-01', '2020-01-01')",
        CP,
    )
    await kept(world, in_the_past(days=4))
    await sweeps(world)

    assert await world.sessions(charge_point=CP) == []


async def test_what_was_refused_cancelled_or_given_up_costs_nothing(world: World) -> None:
    await world.charge_point(CP)
    ran_out = in_the_past(days=4)
    await kept(world, ran_out, answer=False)
    await answered(world, await kept(world, ran_out), "cancel", ran_out - timedelta(minutes=5))
    given_up = await kept(world, ran_out)
    await world.connection.execute(
        "INSERT INTO reservation_report (charge_point, reservation, status, received_at) VALUES ($1, $2, 'Removed', $3)",
        CP, given_up, ran_out,
    )  # fmt: skip
    await sweeps(world)

    assert await world.sessions(charge_point=CP) == []


async def test_a_start_that_was_told_late_uses_it_and_nothing_is_owed_twice(world: World) -> None:
    key = await world.charge_point(CP)
    ran_out = in_the_past(hours=2)
    number = await kept(world, ran_out)
    waiting = await session_of(world, number)

    async with wire(world.ocpp_url, CP, key.password) as station:
        await boot(station)
        begun = ran_out - timedelta(minutes=30)
        told = start_16(begun, token=CARD) | {"reservationId": number}
        transaction = (await station.call("StartTransaction", told)).payload["transactionId"]
        await station.call("StopTransaction", stop_16(transaction, begun + timedelta(minutes=40)))
        await until(lambda: _is(world, waiting["id"], "dropped"))
        await until(lambda: _is(world, transaction, "rated"))
    dropped, used = await world.show(waiting["id"]), await world.show(transaction)

    assert (waiting["state"], waiting["bill"]) == ("ended", None)  # 72 hours are not over
    assert dropped["dropped"] == f"session {transaction} used the reservation"
    assert used["total_excl_tax"] == "8.25"  # 5 kWh at 0.25, 3.00 for keeping it, one hour at 4.00
    assert await world.bills(waiting["id"]) == []


async def test_a_start_that_comes_after_the_bill_pays_for_its_session_alone(world: World) -> None:
    key = await world.charge_point(CP)
    ran_out = in_the_past(days=4)
    number = await kept(world, ran_out)
    billed = await session_of(world, number)

    async with wire(world.ocpp_url, CP, key.password) as station:
        await boot(station)
        told = start_16(ran_out - timedelta(minutes=30), token=CARD) | {"reservationId": number}
        transaction = (await station.call("StartTransaction", told)).payload["transactionId"]
        await station.call("StopTransaction", stop_16(transaction, ran_out))
        await until(lambda: _is(world, transaction, "rated"))
    used = await world.show(transaction)

    assert (billed["state"], billed["total_excl_tax"]) == ("rated", "12.00")
    assert used["total_excl_tax"] == "1.25"
    assert len(await world.bills(billed["id"])) == 1


async def test_an_operator_can_waive_it(world: World) -> None:
    await world.charge_point(CP)
    number = await kept(world, in_the_past(hours=2))
    waiting = await session_of(world, number)

    await world.review(waiting["id"], "drop", "the charge point was out of order")
    await until(lambda: _is(world, waiting["id"], "dropped"))
    await world.quiet()

    assert (await world.show(waiting["id"]))["dropped"] == "review: the charge point was out of order"
    assert await world.bills(waiting["id"]) == []


async def _is(world: World, session: int, state: str) -> bool:
    return bool((await world.show(session))["state"] == state)
