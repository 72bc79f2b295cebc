"""What partners are told of a session: the bill's own figures, and what takes them back when a correction comes."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from billing.bills import history
from billing.bills.cdr import total_of
from billing.bills.rerating import rerate
from billing.bills.service import BillingService
from billing.errors import NotFound
from tests.billing.bills.conftest import Clock
from tests.billing.bills.world import NOON, TableSource, World, tariff_file


async def test_a_correction_is_told_as_a_credit_and_a_new_cdr(
    world: World, billing: BillingService, source: TableSource, clock: Clock
) -> None:
    await world.tariff(tariff_file(price="0.50", flat="1.00"))
    session = await world.session(energy_wh=10_000)
    await billing.drain()
    await world.change(session, energy_wh=Decimal(12_000))
    async with world.pool.acquire() as connection:
        [only] = await history.cdrs_of(connection, session)
        await rerate(connection, source, session, now=clock.now, reason="late readings", actor="ada")
        first, credit, second = await history.cdrs_of(connection, session)

    # 10 kWh at 0.50 and 1.00 a session, 19 % within: 6.00 are 5.04 and 0.96.
    assert first == only
    assert first["total_cost"] == {
        "before_taxes": Decimal("5.04"),
        "taxes": [{"name": "VAT", "percentage": Decimal(19), "amount": Decimal("0.96")}],
    }
    assert first["total_energy_cost"]["before_taxes"] + first["total_fixed_cost"]["before_taxes"] == Decimal("5.04")
    assert (first["total_energy"], first["total_time"], first["total_parking_time"]) == (10, 1, 0)
    assert first["charging_periods"] == [
        {
            "start_date_time": "2026-03-02T12:00:00Z",
            "dimensions": [{"type": "ENERGY", "volume": Decimal(10)}],
            "tariff_id": "day",
        }
    ]
    assert (credit["credit"], credit["credit_reference_id"]) == (True, first["id"])
    assert credit["total_cost"]["before_taxes"] == -first["total_cost"]["before_taxes"]
    assert credit["total_cost"]["taxes"][0]["amount"] == Decimal("-0.96")
    assert credit["total_energy"] == first["total_energy"]
    assert second["total_cost"]["before_taxes"] == Decimal("5.88")  # 12 kWh: 7.00 with tax
    assert len({each["id"] for each in (first, credit, second)}) == 3


async def test_a_running_session_has_no_cdr(world: World, billing: BillingService) -> None:
    await world.tariff(tariff_file())
    session = await world.running(started_at=NOON - timedelta(hours=1), energy_wh=3_000)
    await billing.drain()

    async with world.pool.acquire() as connection:
        with pytest.raises(NotFound, match="no final bill"):
            await history.cdrs_of(connection, session)


async def test_tax_that_a_limit_leaves_without_a_rate_is_told_too(world: World, billing: BillingService) -> None:
    await world.tariff(
        '{"id": "capped", "currency": "EUR", "tax_included": "NO", "max_price": {"before_taxes": 10, "after_taxes": 11.90},'
        ' "elements": [{"price_components": [{"type": "ENERGY", "price": 0.50, "step_size": 1}]}]}'
    )
    session = await world.session(energy_wh=40_000)
    await billing.drain()

    async with world.pool.acquire() as connection:
        [cdr] = await history.cdrs_of(connection, session)
    assert await world.bills(session) == [("final", 1, "11.90")]
    assert total_of(cdr, "EUR").text == "11.90"
