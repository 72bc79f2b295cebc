"""What prices a session beside its tariff is looked up once, frozen with the bill, and says the same for ever."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from billing.bills import history
from billing.bills.rerating import rerate
from billing.bills.service import BillingService
from billing.bills.simulation import Selection, simulate
from billing.bills.volumes import month_start
from billing.errors import AlreadyDone, Refused
from billing.price_series import store as price_series
from billing.price_series.series_file import PerUnit, read_series
from billing.rating.series import SeriesValue
from billing.sql import Connection
from billing.tariffs.assignment import Customer
from billing.tariffs.service import read_tariff
from tests.billing.bills.conftest import Clock
from tests.billing.bills.world import NOON, TableSource, World, tariff_file

TIERED = (
    '{"id": "tiers", "currency": "EUR", "tax_included": "YES", "elements": [{"price_components": [{"type": "ENERGY",'
    ' "price": 0.50, "vat": 19, "step_size": 1, "x_tiers": [{"from_kwh": 25, "price": 0.30}]}]}]}'
)
SPOT = (
    '{"id": "spot", "currency": "EUR", "tax_included": "YES", "elements": [{"price_components": [{"type": "ENERGY",'
    ' "price": 0.10, "vat": 19, "step_size": 1, "x_series": {"name": "day-ahead", "factor": 2, "fallback": 0.20}}]}]}'
)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _on_the_next_day(clock: Clock) -> None:
    clock.now = NOON + timedelta(days=1)


async def at(world: World, start: datetime, energy_wh: int = 10_000, token: str | None = "TAG-1") -> int:  # noqa: S107
    return await world.session(
        started_at=start, ended_at=start + HOUR, complete_at=start + HOUR, energy_wh=energy_wh, token=token
    )


async def test_a_tier_counts_what_the_same_card_charged_earlier_in_the_month(
    world: World, billing: BillingService
) -> None:
    await world.tariff(TIERED)
    in_february = await at(world, NOON - timedelta(days=3))
    first, second, third = [await at(world, NOON + n * 2 * HOUR) for n in range(3)]
    another = await at(world, NOON + 7 * HOUR, token="TAG-2")
    await billing.drain()

    assert await world.bills(in_february) == [("final", 1, "5.00")]
    assert await world.bills(first) == [("final", 1, "5.00")]
    assert await world.bills(second) == [("final", 1, "5.00")]
    assert await world.bills(third) == [("final", 1, "4.00")]  # 20 kWh before: 5 at 0.50, 5 at 0.30
    assert await world.bills(another) == [("final", 1, "5.00")]


async def test_the_cards_of_a_group_fill_their_tiers_together(
    world: World, billing: BillingService, source: TableSource
) -> None:
    await world.tariff(TIERED)
    for uid, group in (("TAG-1", "VANS"), ("TAG-2", "VANS"), ("TAG-3", "OTHERS")):
        await world.pool.execute(
            "INSERT INTO token_event (uid, kind, group_id, at) VALUES ($1, 'issued', $2, $3)",
            uid, group, NOON - timedelta(days=1),
        )  # fmt: skip
    await at(world, NOON, 20_000, token="TAG-1")
    await at(world, NOON, 20_000, token="TAG-3")
    session = await at(world, NOON + HOUR, token="TAG-2")
    source.customers[session] = Customer(token_group="VANS")
    await billing.drain()

    assert await world.bills(session) == [("final", 1, "4.00")]


async def test_a_bill_keeps_its_volume_whatever_is_known_of_the_month_later(
    world: World, billing: BillingService
) -> None:
    await world.tariff(TIERED)
    first = await at(world, NOON)
    second = await at(world, NOON + 2 * HOUR)
    await billing.drain()
    await world.change(first, energy_wh=Decimal(40_000))
    await world.tell_billing(second)
    await billing.drain()

    assert await world.bills(second) == [("final", 1, "5.00")]
    assert (await world.rating(second))["flags"] == []
    async with world.pool.acquire() as connection:
        explained = await history.explain_bill(connection, second, None)
    assert explained.rating.total_incl.text == "5.00"


async def imported(connection: Connection, *values: str, start: datetime = NOON) -> None:
    await price_series.add(
        connection,
        "day-ahead",
        [
            SeriesValue(start=start + n * HOUR, end=start + (n + 1) * HOUR, value=Decimal(value))
            for n, value in enumerate(values)
        ],
        currency="EUR",
    )


async def test_a_session_follows_the_series_hour_by_hour_and_its_bill_outlives_a_new_value(
    world: World, billing: BillingService
) -> None:
    await world.tariff(SPOT)
    async with world.pool.acquire() as connection:
        await imported(connection, "0.15", "0.05")
    half_past = NOON + timedelta(minutes=30)
    session = await at(world, half_past)  # 5 kWh at 0.10 + 2 x 0.15, 5 at 0.10 + 2 x 0.05: 2.00 + 1.00
    missing = await at(world, NOON + timedelta(hours=3))  # 0.10 + 2 x 0.20
    await billing.drain()
    async with world.pool.acquire() as connection:
        await imported(connection, "0.40", "0.40", "0.40", "0.40")
        explained = await history.explain_bill(connection, session, None)
    await world.tell_billing(session, missing)
    await billing.drain()

    assert await world.bills(session) == [("final", 1, "3.00")]
    assert await world.bills(missing) == [("final", 1, "5.00")]
    assert explained.rating.total_incl.text == "3.00"
    assert (await world.rating(missing))["notes"] == ["series_fallback"]


async def test_what_is_imported_twice_is_stored_once_and_the_newest_of_one_begin_counts(world: World) -> None:
    async with world.pool.acquire() as connection:
        await imported(connection, "0.15", "0.05")
        await imported(connection, "0.15", "0.06")
        [found] = await price_series.between(connection, ["day-ahead"], NOON, NOON + 2 * HOUR)
        stored = await connection.fetchval("SELECT count(*) FROM price_series_value")
        with pytest.raises(Refused, match="in EUR"):
            await price_series.add(connection, "day-ahead", found.values, currency="SEK")

    assert [each.value for each in found.values] == [Decimal("0.15"), Decimal("0.06")]
    assert stored == 3


def test_a_file_in_megawatt_hours_is_stored_per_kilowatt_hour_and_sorted() -> None:
    text = "start,value\n2026-03-29T03:00:00+02:00,91.25\n2026-03-29T01:00:00+01:00,-4.1\n"
    values = read_series(text, per=PerUnit.MWH, every=HOUR)

    assert [(each.start, each.value) for each in values] == [
        (datetime(2026, 3, 29, 0, tzinfo=UTC), Decimal("-0.0041")),
        (datetime(2026, 3, 29, 1, tzinfo=UTC), Decimal("0.09125")),
    ]
    assert values[0].end == values[1].start  # the hour that the clock skips is no gap


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("start,value\n2026-03-29T03:00:00,1\n", 2),
        ("start,value\n2026-03-29T03:00:00Z,cheap\n", 2),
        ("start,value\n2026-03-29T03:00:00Z,1\n2026-03-29T03:00:00Z,2\n", 3),
        ("start,value\n2026-03-29T03:00:00Z,0.0000001\n", 2),
        ("start,end,value\n2026-03-29T03:00:00Z,2026-03-29T02:00:00Z,1\n", 2),
    ],
)
def test_a_line_that_cannot_be_used_is_named(text: str, line: int) -> None:
    with pytest.raises(Refused, match="1 line") as refused:
        read_series(text, per=PerUnit.KWH, every=HOUR)

    problems = refused.value.details["problems"]
    assert isinstance(problems, list)
    assert [each["line"] for each in problems] == [line]


def test_a_month_begins_at_the_sites_midnight() -> None:
    assert month_start(datetime(2026, 3, 31, 22, 30, tzinfo=UTC), "Europe/Berlin") == datetime(
        2026, 3, 31, 22, 0, tzinfo=UTC
    )


async def test_a_series_in_another_currency_prices_nothing_and_says_so(world: World, billing: BillingService) -> None:
    await world.tariff(SPOT)
    async with world.pool.acquire() as connection:
        value = SeriesValue(start=NOON, end=NOON + HOUR, value=Decimal("0.15"))
        await price_series.add(connection, "day-ahead", [value], currency="CZK")
    session = await at(world, NOON)
    await billing.drain()
    state = await world.rating(session)

    assert await world.bills(session) == []
    assert state["holds"] == ["currency_mismatch"]
    assert "day-ahead that it follows in CZK" in state["notes"][0]


async def test_the_values_of_a_session_do_not_depend_on_who_is_billed_beside_it(
    world: World, billing: BillingService
) -> None:
    await world.tariff(SPOT)
    async with world.pool.acquire() as connection:
        await imported(connection, "0.15", "0.05", "0.25")
    ends_on_the_hour = await at(world, NOON)
    await billing.drain()
    alike = await at(world, NOON)
    await at(world, NOON + HOUR)
    await billing.drain()

    async with world.pool.acquire() as connection:
        rows = await connection.fetch(
            "SELECT inputs -> 'terms' AS terms FROM bill WHERE session = ANY($1::integer[])", [ends_on_the_hour, alike]
        )
    assert len(rows) == 2
    assert rows[0]["terms"] == rows[1]["terms"]


async def test_what_others_used_meanwhile_is_no_reason_for_a_correction(
    world: World, billing: BillingService, source: TableSource, clock: Clock
) -> None:
    await world.tariff(TIERED)
    session = await at(world, NOON)
    await billing.drain()
    await at(world, NOON - 2 * HOUR)  # told late: the month's volume before the session is another now
    await billing.drain()

    async with world.pool.acquire() as connection:
        with pytest.raises(AlreadyDone):
            await rerate(connection, source, session, now=clock.now, reason="asked for", actor="ada")


async def simulated(world: World, draft: str) -> list[str | None]:
    async with world.pool.acquire() as connection, connection.transaction(readonly=True):
        chosen = Selection(since=NOON - HOUR, until=NOON + 24 * HOUR)
        found = [each async for each in simulate(connection, read_tariff(draft), chosen)]
    return [None if each.after is None else each.after.text for each in found]


async def test_a_simulated_tier_counts_the_month_of_which_the_bill_says_nothing(
    world: World, billing: BillingService, source: TableSource
) -> None:
    await world.tariff(tariff_file())
    await world.token("TAG-2", "TAG-3", group="VANS")
    source.groups = {"TAG-2": "VANS", "TAG-3": "VANS"}
    for n in range(3):
        await at(world, NOON + n * 2 * HOUR)
    await at(world, NOON + 6 * HOUR, 20_000, token="TAG-2")
    await at(world, NOON + 8 * HOUR, token="TAG-3")
    await billing.drain()

    assert await simulated(world, TIERED) == ["5.00", "5.00", "4.00", "10.00", "4.00"]


async def test_a_simulated_series_has_the_values_of_which_the_bill_says_nothing(
    world: World, billing: BillingService
) -> None:
    await world.tariff(tariff_file())
    async with world.pool.acquire() as connection:
        await imported(connection, "0.15", "0.05")
    await at(world, NOON + timedelta(minutes=30))
    await at(world, NOON + timedelta(hours=3))
    await billing.drain()

    assert await simulated(world, SPOT) == ["3.00", "5.00"]


async def test_a_simulated_series_has_the_values_that_the_bill_keeps(world: World, billing: BillingService) -> None:
    await world.tariff(SPOT)
    async with world.pool.acquire() as connection:
        await imported(connection, "0.15", "0.05")
    await at(world, NOON + timedelta(minutes=30))
    await billing.drain()
    async with world.pool.acquire() as connection:
        await imported(connection, "0.40", "0.40")

    assert await simulated(world, SPOT) == ["3.00"]
