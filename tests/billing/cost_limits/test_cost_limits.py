"""Which limit decides, and what the billing worker makes of it: amounts, stops, outcomes."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.bills.service import BillingService
from billing.cost_limits.cost_limit import CostLimit, LimitScope, ceiling_of, in_force, next_change
from billing.cost_limits.entry import LimitWanted, list_limits, set_limit, standing_of
from billing.errors import AlreadyDone, NotFound, Refused
from billing.money import Money
from billing.tariffs.assignment import Customer
from tests.billing.bills.conftest import Clock, announced, billing, clock, source, world
from tests.billing.bills.world import NOON, TableSource, World, tariff_file

__all__ = ["announced", "billing", "clock", "source", "world"]

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
INSTANTS = st.integers(-5, 5).map(lambda hours: NOON + hours * HOUR)
AMOUNTS = st.none() | st.builds(Money, st.integers(0, 5000), st.sampled_from(["EUR", "PLN"]))


@st.composite
def histories(draw: st.DrawFn) -> list[CostLimit]:
    count = draw(st.integers(0, 8))
    return [
        CostLimit(
            id=n,
            scope=draw(st.sampled_from(LimitScope)),
            target=draw(st.sampled_from(["A", "B"])),
            amount=draw(AMOUNTS),
            is_total=draw(st.booleans()),
            valid_from=draw(INSTANTS),
            reason="prepaid",
            actor="ada",
            entered_at=NOON,
        )
        for n in range(count)
    ]


@given(histories(), INSTANTS)
def test_of_each_token_group_and_session_the_newest_limit_that_has_begun_counts(
    limits: list[CostLimit], at: datetime
) -> None:
    found = in_force(limits, at=at)

    assert len({each.slot for each in found}) == len(found)
    for each in found:
        begun = [other for other in limits if other.slot == each.slot and other.valid_from <= at]
        assert each.amount is not None
        assert all((other.valid_from, other.id) <= (each.valid_from, each.id) for other in begun)
    change = next_change(limits, after=at)
    assert change is None or in_force(limits, at=change - timedelta(microseconds=1)) == found


@given(histories(), st.dictionaries(st.integers(0, 7), st.integers(0, 6000)), st.integers(0, 6000))
def test_the_least_that_limits_leave_decides_and_is_never_below_zero(
    limits: list[CostLimit], spent: dict[int, int], minor: int
) -> None:
    force = in_force(limits, at=NOON)
    ceiling = ceiling_of(force, currency="EUR", spent_minor=spent)

    assert (ceiling is None) == (not force)
    if ceiling is None:
        return
    lefts = []
    for each in force:
        assert each.amount is not None
        left = each.amount.minor - (spent.get(each.id, 0) if each.is_total else 0)
        lefts.append(max(left, 0) if each.amount.currency == "EUR" else 0)
    assert ceiling.amount == Money(min(lefts), "EUR")
    assert ceiling.reached_by(Money(minor, "EUR")) == (minor >= min(lefts))


async def enter(world: World, amount: str | None, now: datetime, **more: object) -> CostLimit:
    values = {"scope": LimitScope.TOKEN, "target": "TAG-1", "reason": "prepaid", "actor": "ada", **more}
    async with world.pool.acquire() as connection:
        wanted = LimitWanted(amount=None if amount is None else Decimal(amount), **values)  # type: ignore[arg-type]
        return await set_limit(connection, wanted, now=now)


@pytest.fixture
async def priced(world: World) -> World:
    """0.50 EUR a kWh, and a token that is known."""
    await world.tariff(tariff_file(price="0.50"))
    await world.pool.execute(
        "INSERT INTO token_event (uid, kind, group_id, at) VALUES ('TAG-1', 'issued', 'G', $1)", NOON
    )
    return world


async def stops(world: World) -> list[tuple[int, int, int]]:
    rows = await world.pool.fetch("SELECT session, ceiling_minor, amount_minor FROM cost_stop ORDER BY session, seq")
    return [tuple(row) for row in rows]


async def due(world: World) -> list[int]:
    return [row["session"] for row in await world.pool.fetch("SELECT session FROM cost_stop_due")]


async def test_a_session_at_its_limit_gets_an_interim_bill_and_a_stop_once(
    priced: World, billing: BillingService, clock: Clock
) -> None:
    session = await priced.running()
    await enter(priced, "1.00", NOON)
    clock.now = NOON + 5 * MINUTE
    await priced.change(session, energy_wh=Decimal(1980))  # 0.99
    await billing.drain()
    before = await stops(priced), await priced.bills(session)
    await priced.change(session, energy_wh=Decimal(2010))  # 1.005 is 1.01
    await billing.drain()
    await priced.change(session, energy_wh=Decimal(2500))
    await billing.drain()

    assert before == ([], [])
    assert await stops(priced) == [(session, 100, 101)]
    assert await due(priced) == [session]
    assert await priced.bills(session) == [("interim", 1, "1.01")]


async def test_time_alone_brings_a_session_to_its_limit_within_a_minute(
    world: World, billing: BillingService, clock: Clock
) -> None:
    await world.tariff(tariff_file(price="0").replace('"ENERGY"', '"TIME"').replace('"price": 0', '"price": 6.00'))
    await world.pool.execute("INSERT INTO token_event (uid, kind, at) VALUES ('TAG-1', 'issued', $1)", NOON)
    session = await world.running(energy_wh=5_000)
    await enter(world, "1.00", NOON)
    clock.now = NOON + 9 * MINUTE
    await billing.drain()
    next_at = (await world.rating(session))["next_at"]
    clock.now = NOON + 10 * MINUTE
    await billing.drain()

    assert next_at == NOON + 10 * MINUTE
    assert await stops(world) == [(session, 100, 100)]


async def test_a_hold_withdraws_a_stop_and_a_release_decides_it_anew(
    priced: World, billing: BillingService, clock: Clock
) -> None:
    session = await priced.running()
    await enter(priced, "1.00", NOON)
    clock.now = NOON + 5 * MINUTE
    await priced.change(session, energy_wh=Decimal(3000))
    await billing.drain()
    await priced.change(session, holds=["energy_over_power"])
    await billing.drain()
    while_held = await due(priced)
    await priced.release(session, "energy_over_power")
    await billing.drain()

    assert while_held == []
    assert await due(priced) == [session]
    assert await stops(priced) == [(session, 100, 150), (session, 100, 150)]


async def test_the_outcome_is_written_with_the_final_bill(
    priced: World, source: TableSource, billing: BillingService, clock: Clock
) -> None:
    session = await priced.running()
    await enter(priced, "1.00", NOON, scope=LimitScope.TOKEN_GROUP, target="G")
    source.customers[session] = Customer(token_group="G")
    clock.now = NOON + 5 * MINUTE
    await priced.change(session, energy_wh=Decimal(2000))
    await billing.drain()
    await priced.change(session, energy_wh=Decimal(2400), ended_at=clock.now, complete_at=clock.now)
    await billing.drain()
    async with priced.pool.acquire() as connection:
        told = await standing_of(connection, session)

    assert told is not None
    assert (told["may_cost"], told["amount_at_stop"], told["final"], told["overshoot"]) == (
        "1.00", "1.00", "1.20", "0.20",
    )  # fmt: skip
    assert (told["scope"], told["stop_is_due"], told["currency"]) == ("token_group", False, "EUR")
    assert await due(priced) == []
    assert await priced.pool.fetchval("SELECT count(*) FROM cost_watch") == 0


async def test_a_session_told_after_its_end_has_an_outcome_by_the_limit_of_then(
    priced: World, billing: BillingService
) -> None:
    """It came from a queue: nobody could have stopped it, and what it is above its limit is on record all the same."""
    await enter(priced, "4.00", NOON - HOUR)
    await enter(priced, "1.00", NOON + 90 * MINUTE)
    session = await priced.session()
    await billing.drain()
    async with priced.pool.acquire() as connection:
        told = await standing_of(connection, session)

    assert told is not None
    assert (told["may_cost"], told["final"], told["overshoot"], told["stop_decided_at"]) == (
        "4.00",
        "5.00",
        "1.00",
        None,
    )


async def test_a_limit_that_begins_later_is_heeded_when_it_begins(
    priced: World, billing: BillingService, clock: Clock
) -> None:
    session = await priced.running()
    clock.now = NOON + 5 * MINUTE
    await priced.change(session, energy_wh=Decimal(3000))
    await enter(priced, "1.00", clock.now, valid_from=NOON + 7 * MINUTE)
    await billing.drain()
    next_at, none_yet = (await priced.rating(session))["next_at"], await stops(priced)
    clock.now = NOON + 7 * MINUTE
    await billing.drain()

    assert (next_at, none_yet) == (NOON + 7 * MINUTE, [])
    assert await stops(priced) == [(session, 100, 150)]


@pytest.mark.parametrize(("scope", "target"), [(LimitScope.TOKEN, "TAG-1"), (LimitScope.TOKEN_GROUP, "G")])
async def test_a_balance_counts_what_had_not_ended_when_it_began(
    priced: World, source: TableSource, billing: BillingService, clock: Clock, scope: LimitScope, target: str
) -> None:
    await priced.session(started_at=NOON - 3 * HOUR, ended_at=NOON - 2 * HOUR, complete_at=NOON - 2 * HOUR)
    await enter(priced, "8.00", NOON, is_total=True, scope=scope, target=target)
    await priced.session()  # 5.00
    first, second = await priced.running(), await priced.running()
    source.customers |= {each: Customer(token_group="G") for each in (first, second)}
    clock.now = NOON + 2 * HOUR
    await priced.change(first, energy_wh=Decimal(2000))
    await billing.drain()
    await priced.change(second, energy_wh=Decimal(3000))
    await billing.drain()
    async with priced.pool.acquire() as connection:
        [listed] = await list_limits(connection, now=clock.now)

    # 8.00 - 5.00 - 1.00 leave the second 2.00, which it has not come to with 1.50.
    assert await stops(priced) == []
    assert (listed["left"], listed["total"], listed["state"]) == ("0.50", True, "in force")
    await priced.change(second, energy_wh=Decimal(4000))
    await billing.drain()
    assert await stops(priced) == [(second, 200, 200)]


@pytest.mark.parametrize(("scope", "target"), [(LimitScope.TOKEN, "TAG-1"), (LimitScope.TOKEN_GROUP, "G")])
async def test_a_session_that_is_dropped_gives_back_what_it_took_of_a_balance(
    priced: World, source: TableSource, billing: BillingService, clock: Clock, scope: LimitScope, target: str
) -> None:
    """What was shown of it is owed by nobody; a final bill from before the drop is."""
    await enter(priced, "50.00", NOON - HOUR, is_total=True, scope=scope, target=target)
    billed = await priced.session()  # 5.00
    running = await priced.running()
    source.customers |= {each: Customer(token_group="G") for each in (billed, running)}
    clock.now = NOON + 2 * HOUR
    await priced.change(running, energy_wh=Decimal(24_800))
    await billing.drain()

    async def left() -> str | None:
        async with priced.pool.acquire() as connection:
            [listed] = await list_limits(connection, now=clock.now)
        return listed["left"]  # type: ignore[return-value]

    before = await left()
    for each in (billed, running):
        await priced.change(each, dropped="by an operator")
    await billing.drain()

    assert (before, await left()) == ("32.60", "45.00")


@pytest.mark.parametrize(
    ("amount", "more", "error", "told"),
    [
        ("1.005", {}, Refused, "finer"),
        ("-1", {}, Refused, "no limit"),
        ("5.00", {"currency": "USD"}, Refused, "no site charges in USD"),
        ("5.00", {"reason": " "}, Refused, "reason"),
        ("5.00", {"target": "TAG-9"}, NotFound, "no token TAG-9"),
        ("5.00", {"scope": LimitScope.TOKEN_GROUP, "target": "NONE"}, NotFound, "group NONE"),
        ("5.00", {"scope": LimitScope.SESSION, "target": "99"}, NotFound, "no session 99"),
        (None, {}, AlreadyDone, "no limit"),
    ],
)
async def test_a_limit_that_cannot_be_is_refused_by_name(
    priced: World, amount: str | None, more: dict[str, object], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        await enter(priced, amount, NOON, **more)


async def test_limits_are_never_edited_and_a_later_one_is_not_overtaken(priced: World) -> None:
    await enter(priced, "5.00", NOON)
    with pytest.raises(AlreadyDone, match="already"):
        await enter(priced, "5.00", NOON + HOUR)
    with pytest.raises(Refused, match="has begun later"):
        await enter(priced, "7.00", NOON + HOUR, valid_from=NOON - HOUR)
    ended = await priced.session()
    with pytest.raises(Refused, match="has ended"):
        await enter(priced, "7.00", NOON, scope=LimitScope.SESSION, target=str(ended))
    running = await priced.running()
    with pytest.raises(Refused, match="charged in EUR"):
        await enter(priced, "7.00", NOON, scope=LimitScope.SESSION, target=str(running), currency="PLN")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await priced.pool.execute("UPDATE cost_limit SET amount_minor = 1")
    await enter(priced, None, NOON + HOUR)

    assert await priced.pool.fetchval("SELECT count(*) FROM cost_limit") == 2
