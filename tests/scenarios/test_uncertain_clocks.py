"""A charge point whose clock jumps, under a tariff with times of day: nobody pays for a time that nobody knows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.faults.wire import boot, start_16, stop_16, wire
from tests.world import TOKENS, World, open_world, tariff_document, until

JUMP = timedelta(seconds=250)
BERLIN = ZoneInfo("Europe/Berlin")


def banded(begin: datetime) -> dict[str, Any]:
    """0.30 for twelve hours from about two minutes after `begin` on, else 0.50; tax included."""
    change = (begin + timedelta(minutes=2)).astimezone(BERLIN)
    times = {"start_time": f"{change:%H:%M}", "end_time": f"{change + timedelta(hours=12):%H:%M}"}
    part = {"type": "ENERGY", "vat": "19", "step_size": 1}
    return tariff_document(
        "BANDED",
        {"price_components": [{**part, "price": "0.30"}], "restrictions": times},
        {"price_components": [{**part, "price": "0.50"}]},
        tax_included="YES",
    )


@pytest.fixture
async def world(database: str, data_home: Path) -> AsyncIterator[World]:
    async with open_world(database, data_home) as opened:
        await opened.site()
        await opened.token(TOKENS[0])
        yield opened


async def charged(world: World, tariff: Callable[[datetime], dict[str, Any]]) -> int:
    """A session of seconds that takes 1 kWh; its clock jumps ahead before the stop."""
    key = await world.charge_point("JUMPING")
    async with wire(world.ocpp_url, key.id, key.password) as station:
        await boot(station)
        begin = datetime.now(UTC).replace(microsecond=0)
        await world.tariff(tariff(begin))
        started = await station.call("StartTransaction", start_16(begin, token=TOKENS[0], meter_wh=0))
        session: int = started.payload["transactionId"]
        await station.call("StopTransaction", stop_16(session, datetime.now(UTC) + JUMP, meter_wh=1000))

    async def is_decided() -> bool:
        return (await world.show(session))["state"] in {"rated", "held"}

    await until(is_decided)
    return session


async def test_a_clock_that_jumps_over_a_change_of_price_holds_the_session_until_a_person_looks(world: World) -> None:
    session = await charged(world, banded)
    held = await world.show(session)

    assert (held["state"], held["hold_reasons"]) == ("held", ["clock_uncertain"])
    [why] = held["notes"]
    assert why.startswith("the clock is uncertain by 2")
    assert why.endswith("as corrected")
    assert "0.30 to 0.50 EUR, 0.20 apart" in why
    assert held["total_incl_tax"] is None

    await world.review(session, "release", "the site's own log has the times")

    async def is_rated() -> bool:
        return bool((await world.show(session))["state"] == "rated")

    await until(is_rated)
    billed = (await world.show(session))["total_incl_tax"]
    assert why.endswith(f"; {billed} as corrected")


async def test_under_a_tariff_without_times_of_day_the_jump_changes_nothing(world: World) -> None:
    part = {"type": "ENERGY", "price": "0.50", "vat": "19", "step_size": 1}
    plain = tariff_document("PLAIN", {"price_components": [part]}, tax_included="YES")
    session = await charged(world, lambda _begin: plain)

    shown = await world.show(session)
    assert (shown["state"], shown["total_incl_tax"]) == ("rated", "0.50")
