"""Final costs reach the display whoever made the bill, and whatever became of the process that wanted to tell it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from billing import rerate_session
from csms.sessions.service import Sessions
from tests.faults.wire import Wire, event_201, start_16, stop_16, wire
from tests.scenarios.spoken import ask
from tests.world import LONG_AGO, World, in_the_past, open_world, tariff_document, until

CHEAPER = {"price_components": [{"type": "ENERGY", "price": "0.10", "step_size": 1}]}
DEAR = {"price_components": [{"type": "ENERGY", "price": "0.50", "step_size": 1}]}
COSTS = ("2.50", "0.50")  # of 5 kWh


@asynccontextmanager
async def _billed(database: str, data_home: Path, protocol: str) -> AsyncIterator[tuple[World, Wire, int]]:
    """A session whose final cost was told, with its socket still open."""
    async with open_world(database, data_home) as world:
        await world.site()
        await world.token("CARD-0001")
        await world.tariff(tariff_document("DEAR", DEAR))
        key = await world.charge_point("TOLD")
        await world.connection.execute(
            "INSERT INTO device_setting (charge_point, name, value, read_at)"
            " VALUES ('TOLD', 'CustomDisplayCostAndPrice', 'true', now())"
        )
        async with wire(world.ocpp_url, key.id, key.password, protocol) as opened:
            opened.answers["DataTransfer"] = lambda _: {"status": "Accepted"}
            opened.answers["CostUpdated"] = lambda _: {}
            await _session(opened, protocol)
            await world.quiet()
            await until(lambda: _shows(opened, 1))
            [session] = await world.sessions()
            yield world, opened, session["id"]


async def _session(opened: Wire, protocol: str) -> None:
    began = in_the_past(minutes=30)
    if protocol == "ocpp1.6":
        transaction = (await ask(opened, "StartTransaction", start_16(began)))["transactionId"]
        await ask(opened, "StopTransaction", stop_16(transaction, in_the_past(minutes=1)))
    else:
        await ask(opened, "TransactionEvent", event_201("Started", 0, began, meter_wh=1000, transaction="told"))
        ended = event_201("Ended", 1, in_the_past(minutes=1), meter_wh=6000, transaction="told")
        await ask(opened, "TransactionEvent", ended)


def _finals(opened: Wire) -> list[Decimal]:
    """Every final cost that came over this socket."""
    costs: list[Decimal] = []
    for action, payload in opened.asked:
        if action == "CostUpdated":
            costs.append(Decimal(str(payload["totalCost"])))
        elif action == "DataTransfer" and payload["messageId"] == "FinalCost":
            costs.append(json.loads(payload["data"], parse_float=Decimal, parse_int=Decimal)["cost"])
    return [each.quantize(Decimal("0.01")) for each in costs]


async def _shows(opened: Wire, count: int) -> bool:
    return len(_finals(opened)) >= count


@pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])
async def test_a_correction_by_another_process_is_told_once(database: str, data_home: Path, protocol: str) -> None:
    async with _billed(database, data_home, protocol) as (world, opened, session):
        await world.tariff(tariff_document("CHEAPER", CHEAPER), assigned=False)
        await world.assign("CHEAPER", valid_from=LONG_AGO)
        async with world.connection.transaction():
            await rerate_session(
                world.connection, Sessions(None, world.settings), session, now=datetime.now(UTC),  # type: ignore[arg-type]
                reason="the wrong tariff", actor="operator", choice=("CHEAPER", 1),
            )  # fmt: skip
        await until(lambda: _shows(opened, 2))
        await _several_sweeps(world)
        bills = [str(each.total_incl.decimal) for each in await world.bills(session)]

        assert bills[-2:] == list(COSTS)
        assert _finals(opened) == [Decimal(each) for each in COSTS]


@pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])
async def test_a_cost_that_a_dying_node_had_in_hand_is_told_by_another(
    database: str, data_home: Path, protocol: str
) -> None:
    async with _billed(database, data_home, protocol) as (world, opened, _):
        # As a node leaves it that dies between its commit and the charge point's answer.
        await world.connection.execute(
            "UPDATE cost_told SET claimed_at = now() - interval '1 hour', told_at = NULL, status = NULL"
        )
        await until(lambda: _shows(opened, 2))
        await _several_sweeps(world)

        assert _finals(opened) == [Decimal(COSTS[0])] * 2


async def test_once_the_next_driver_is_there_the_display_is_his(database: str, data_home: Path) -> None:
    async with _billed(database, data_home, "ocpp2.0.1") as (world, opened, _):
        started = event_201("Started", 0, in_the_past(), meter_wh=6000, transaction="next")
        await ask(opened, "TransactionEvent", started)
        await world.quiet()
        await world.connection.execute("DELETE FROM cost_told")
        await _several_sweeps(world)

        assert _finals(opened) == [Decimal(COSTS[0])]


async def _several_sweeps(world: World) -> None:
    await asyncio.sleep(5 * world.settings.sweep_interval_s)
