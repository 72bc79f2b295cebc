"""Rules beside tariffs on real bills: who gets what, how often, and who pays the rest."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing.bills import history
from billing.bills.rerating import rerate
from billing.bills.service import BillingService, BillingSettings
from billing.discounts import entry
from billing.discounts.claims import claims_of, sums_of
from billing.discounts.rule import Bearer, Rule, Subject
from billing.discounts.service import concessions_of
from billing.discounts.store import LOCK_SPACE
from billing.errors import AlreadyDone, NotFound, Refused
from billing.rating.rating import Basis, ComponentName, Effect
from billing.tariffs.assignment import Place, Scope
from csms.database.pool import open_pool
from tests.billing.bills.conftest import Clock
from tests.billing.bills.world import BEFORE, NOON, TableSource, World, tariff_file

DAY = timedelta(days=1)


def rule(effect: Effect, basis: Basis, value: str, **more: Any) -> Rule:
    named = {"id": "it", "label": "It", "turn": 100, "valid_from": BEFORE, "entered_at": BEFORE}
    if basis is Basis.FREE_KWH:
        named["component"] = ComponentName.ENERGY
    return Rule(**(named | {"effect": effect, "basis": basis, "value": Decimal(value)} | more))


def discount(basis: Basis, value: str, **more: Any) -> Rule:
    return rule(Effect.DISCOUNT, basis, value, **more)


def incentive(basis: Basis, value: str, **more: Any) -> Rule:
    return rule(Effect.INCENTIVE, basis, value, **({"party": "Ministry"} | more))


async def add(world: World, *rules: Rule) -> None:
    async with world.pool.acquire() as connection:
        for each in rules:
            await entry.add(connection, each, actor="ada")


async def redeem(world: World, code: str, token: str, *, now: datetime = BEFORE) -> entry.Redemption:
    async with world.pool.acquire() as connection, connection.transaction():
        return await entry.redeem(connection, code, token, now=now, actor="ada")


async def correct(world: World, source: TableSource, clock: Clock, session: int) -> str:
    """Rate a session anew; gives what is to pay."""
    async with world.pool.acquire() as connection, connection.transaction():
        done = await rerate(connection, source, session, now=clock.now, reason="asked for", actor="ada")
    return done.after.payable.text


async def totals(world: World, *sessions: int) -> list[str]:
    """With tax, of the bills that count."""
    return [(await world.bills(session))[-1][2] for session in sessions]


async def month_of_claims(world: World, party: str | None = None) -> list[tuple[str, int, str]]:
    async with world.pool.acquire() as connection:
        found = await claims_of(connection, date(2026, 3, 1), party=party)
    return [(each.party, each.session, each.amount.text) for each in found]


@pytest.fixture
async def shop(world: World) -> World:
    """10 kWh cost 5.00 with tax, before anything is conceded."""
    await world.tariff(tariff_file(price="0.50"))
    await world.token("TAG-1", "TAG-2", "TAG-3")
    return world


async def test_a_discount_of_a_site_is_on_its_bills_and_in_their_explanation(
    shop: World, billing: BillingService
) -> None:
    await shop.site("harbour")
    await shop.charge_point("CP-2", "harbour")
    await add(shop, discount(Basis.PERCENT, "10", scope=Scope.SITE, target="harbour"))
    there, elsewhere = await shop.session(charge_point="CP-2"), await shop.session()

    await billing.drain()

    assert await totals(shop, there, elsewhere) == ["4.50", "5.00"]
    async with shop.pool.acquire() as connection:
        explained = await history.explain_bill(connection, there, None)
        [listed] = await history.bills_of(connection, there)
    assert [(line.what, line.unit_price, line.incl_tax) for line in explained.lines][1] == ("discount", "-10 %", "-0.5")
    assert listed.payable.text == "4.50"
    used = await shop.pool.fetchrow("SELECT session, rule, amount, currency FROM concession_use")
    assert tuple(used) == (there, "it", Decimal("-0.5"), "EUR")


async def test_what_is_entered_after_a_session_began_does_not_change_it(shop: World, billing: BillingService) -> None:
    await add(shop, discount(Basis.FIXED, "1", entered_at=NOON + timedelta(seconds=1)))
    before = await shop.session()
    after = await shop.session(started_at=NOON + timedelta(minutes=5))

    await billing.drain()

    assert await totals(shop, before, after) == ["5.00", "4.00"]


async def test_an_end_takes_nothing_from_sessions_that_began_before_it_was_said(
    shop: World, billing: BillingService
) -> None:
    await add(shop, discount(Basis.FIXED, "1"))
    async with shop.pool.acquire() as connection:
        said_at = NOON + timedelta(minutes=1)
        await entry.end(connection, Effect.DISCOUNT, "it", valid_to=NOON - DAY, now=said_at, actor="ada")
        with pytest.raises(AlreadyDone):
            await entry.end(connection, Effect.DISCOUNT, "it", valid_to=NOON, now=said_at, actor="ada")
    before = await shop.session()
    after = await shop.session(started_at=NOON + timedelta(minutes=5))

    await billing.drain()

    assert await totals(shop, before, after) == ["4.00", "5.00"]


async def test_free_kwh_of_a_month_are_used_up_one_session_after_the_other(
    shop: World, billing: BillingService
) -> None:
    await add(shop, discount(Basis.FREE_KWH, "12"))
    march = [await shop.session() for _ in range(3)]
    other_card = await shop.session(token="TAG-2")
    # 23:30 UTC on the last day of March is April at the site
    april = await shop.session(started_at=datetime(2026, 3, 31, 23, 30, tzinfo=UTC), ended_at=datetime(2026, 4, 1, 1, tzinfo=UTC))  # fmt: skip

    await billing.drain()

    # 10 of 12 kWh, then 2 of 2, then nothing; all billed in one batch
    assert await totals(shop, *march, other_card, april) == ["0.00", "4.00", "5.00", "0.00", "0.00"]
    assert await shop.pool.fetchval("SELECT sum(free_kwh) FROM concession_use WHERE month = '2026-03-01'") == 22


async def test_two_allowances_are_used_for_different_kwh(shop: World, billing: BillingService) -> None:
    await add(shop, discount(Basis.FREE_KWH, "6", id="coupon"), discount(Basis.FREE_KWH, "7", id="plan", turn=50))
    first, second = await shop.session(), await shop.session()

    await billing.drain()

    # 7 of the plan and 3 of the coupon, then 3 of the coupon
    assert await totals(shop, first, second) == ["0.00", "3.50"]
    used = await shop.pool.fetch("SELECT rule, sum(free_kwh) AS kwh FROM concession_use GROUP BY rule ORDER BY rule")
    assert [tuple(row) for row in used] == [("coupon", 6), ("plan", 7)]


async def test_all_limits_of_a_batch_are_locked_in_its_first_round(shop: World) -> None:
    await shop.charge_point("CP-2")
    shared = discount(Basis.FIXED, "1", id="shared", uses_max=9)
    of_second = discount(Basis.FIXED, "1", id="at-2", uses_max=9, scope=Scope.CHARGE_POINT, target="CP-2")
    await add(shop, shared, of_second)
    everywhere = Place(charge_point="CP-1", site="default", currency="EUR", at=NOON)
    subjects = {
        session: Subject(session=session, place=place, token="TAG-1", tariff=None, time_zone="UTC", ended=True)
        for session, place in ((1, everywhere), (2, replace(everywhere, charge_point="CP-2")))
    }

    async with shop.pool.acquire() as connection, connection.transaction():
        first = await concessions_of(connection, subjects)
        held = await _locks(shop)
        second = await concessions_of(connection, {2: subjects[2]})

        assert (list(first), list(second)) == ([1], [2])
        assert held == await _locks(shop) == 2


async def _locks(world: World) -> int:
    """How many limits anybody holds."""
    query = """SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.classid::bigint = $1"""
    return int(await world.pool.fetchval(query, LOCK_SPACE))


async def test_a_token_group_shares_its_free_kwh(shop: World, billing: BillingService, source: TableSource) -> None:
    source.groups = {"TAG-1": "flat-7", "TAG-2": "flat-7"}
    await add(shop, discount(Basis.FREE_KWH, "15", bearer=Bearer.TOKEN_GROUP))
    sessions = [await shop.session(token=token) for token in ("TAG-1", "TAG-2", "TAG-3")]

    await billing.drain()

    assert await totals(shop, *sessions) == ["0.00", "2.50", "5.00"]


async def test_an_interim_takes_what_is_left_of_the_free_kwh(shop: World, billing: BillingService) -> None:
    await add(shop, discount(Basis.FREE_KWH, "12"))
    done = await shop.session(started_at=NOON - DAY, ended_at=NOON - DAY + timedelta(hours=1))
    await billing.drain()
    running = await shop.running(energy_wh=20_000)
    await billing.drain()

    # 20 kWh, 2 of them free
    assert await totals(shop, done, running) == ["0.00", "9.00"]


async def test_a_coupon_is_for_those_who_redeemed_it_as_often_as_it_says(shop: World, billing: BillingService) -> None:
    await add(shop, discount(Basis.FIXED, "2", coupon="SPRING", redemptions_max=2, uses_each_max=1))
    await redeem(shop, "spring", "tag-1")
    await redeem(shop, "SPRING", "TAG-2", now=NOON + timedelta(minutes=1))
    first, second = await shop.session(), await shop.session()
    too_early, later = await shop.session(token="TAG-2"), await shop.session(token="TAG-2", started_at=NOON + timedelta(minutes=5))  # fmt: skip
    without = await shop.session(token="TAG-3")

    await billing.drain()

    assert await totals(shop, first, second, too_early, later, without) == ["3.00", "5.00", "5.00", "3.00", "5.00"]
    with pytest.raises(AlreadyDone, match="already"):
        await redeem(shop, "SPRING", "TAG-1")
    with pytest.raises(Refused, match="2 tokens of 2"):
        await redeem(shop, "SPRING", "TAG-3")
    with pytest.raises(NotFound, match="no coupon SUMMER"):
        await redeem(shop, "summer", "TAG-3")


async def test_two_nodes_cannot_both_use_the_last_use(
    shop: World, database: str, source: TableSource, clock: Clock
) -> None:
    await add(shop, discount(Basis.FIXED, "2", uses_max=3), discount(Basis.FREE_KWH, "4", id="free", turn=50))
    sessions = [await shop.session() for _ in range(24)]
    pools = [await open_pool(database, size=2, name=f"node-{number}") for number in range(2)]
    nodes = [
        BillingService(pool, source, BillingSettings(sweep_interval_s=0.01, batch_size=3), clock=clock)
        for pool in pools
    ]

    try:
        await asyncio.gather(*(node.drain() for node in nodes))
        for node in nodes:
            await node.drain()
    finally:
        for pool in pools:
            pool.terminate()

    # 4 kWh are free for one of them, or for two in part; three get 2.00 off
    assert sum(Decimal(total) for total in await totals(shop, *sessions)) == 24 * 5 - 4 * Decimal("0.50") - 3 * 2
    used = Counter(row["rule"] for row in await shop.pool.fetch("SELECT rule FROM concession_use"))
    assert used == {"it": 3, "free": 1}


async def test_a_coupon_is_not_redeemed_more_often_than_it_may_at_the_same_time(shop: World) -> None:
    await add(shop, discount(Basis.FIXED, "2", coupon="SPRING", redemptions_max=2))

    outcomes = await asyncio.gather(
        *(redeem(shop, "SPRING", token) for token in ("TAG-1", "TAG-2", "TAG-3")), return_exceptions=True
    )

    assert sorted(type(each) is entry.Redemption for each in outcomes) == [False, True, True]
    assert sum(isinstance(each, Refused) for each in outcomes) == 1


async def test_loyalty_looks_at_what_was_billed_of_the_month_before(shop: World, billing: BillingService) -> None:
    await add(shop, discount(Basis.PERCENT, "50", last_month_kwh_min=Decimal(15)))
    february = [
        await shop.session(started_at=NOON - days * DAY, ended_at=NOON - days * DAY + timedelta(hours=1), token=token)
        for days, token in ((10, "TAG-1"), (11, "TAG-1"), (12, "TAG-2"))
    ]
    await billing.drain()
    loyal, other = await shop.session(), await shop.session(token="TAG-2")

    await billing.drain()

    assert await totals(shop, *february, loyal, other) == ["5.00", "5.00", "5.00", "2.50", "5.00"]


async def test_loyalty_of_a_token_group_counts_all_its_tokens(
    world: World, billing: BillingService, source: TableSource
) -> None:
    await world.tariff(tariff_file(price="0.50"))
    await world.token("TAG-1", "TAG-2", group="fleet")
    source.groups = {"TAG-1": "fleet", "TAG-2": "fleet"}
    await add(world, discount(Basis.PERCENT, "50", last_month_kwh_min=Decimal(15), bearer=Bearer.TOKEN_GROUP))
    for token in ("TAG-1", "TAG-2"):
        await world.session(started_at=NOON - 10 * DAY, ended_at=NOON - 10 * DAY + timedelta(hours=1), token=token)
    await billing.drain()
    session = await world.session()

    await billing.drain()

    assert await totals(world, session) == ["2.50"]


async def test_an_incentive_is_payable_less_and_a_claim_more(shop: World, billing: BillingService) -> None:
    await add(shop, incentive(Basis.PER_KWH, "0.10"), incentive(Basis.FIXED, "0.50", id="city", party="City"))
    session = await shop.session()

    await billing.drain()

    async with shop.pool.acquire() as connection:
        [bill] = await history.bills_of(connection, session)
        explained = await history.explain_bill(connection, session, None)
        sums = sums_of(await claims_of(connection, date(2026, 3, 1)))
    assert (bill.total_incl.text, bill.payable.text) == ("5.00", "3.50")
    assert await month_of_claims(shop) == [("City", session, "0.50"), ("Ministry", session, "1.00")]
    assert [each.to_dict() for each in sums] == [
        {"party": "City", "bills": 1, "amount": "0.50", "currency": "EUR"},
        {"party": "Ministry", "bills": 1, "amount": "1.00", "currency": "EUR"},
    ]
    assert [(line.what, line.incl_tax) for line in explained.lines[-3:]] == [
        ("incentive", "-0.50"),
        ("incentive", "-1.00"),
        ("payable", "3.50"),
    ]


async def test_a_correction_claims_the_difference_and_gives_uses_back(
    shop: World, billing: BillingService, source: TableSource, clock: Clock
) -> None:
    await add(shop, incentive(Basis.PER_KWH, "0.10"), discount(Basis.FREE_KWH, "10", id="free"))
    session = await shop.session()
    await billing.drain()
    assert await month_of_claims(shop) == []  # all of it was free
    await shop.change(session, energy_wh=Decimal(20_000))

    assert await correct(shop, source, clock, session) == "3.00"
    assert await month_of_claims(shop) == [("Ministry", session, "2.00")]
    await shop.change(session, energy_wh=Decimal(15_000))
    assert await correct(shop, source, clock, session) == "1.00"
    assert await month_of_claims(shop, "Ministry") == [("Ministry", session, "2.00"), ("Ministry", session, "-0.50")]
    await shop.change(session, energy_wh=Decimal(4_000))
    assert await correct(shop, source, clock, session) == "0.00"
    assert [amount for _, _, amount in await month_of_claims(shop)] == ["2.00", "-0.50", "-1.50"]

    following = await shop.session()
    await billing.drain()
    # 6 kWh are left; 4 x 0.50 less 10 x 0.10
    async with shop.pool.acquire() as connection:
        [bill] = await history.bills_of(connection, following)
    assert (bill.total_incl.text, bill.payable.text) == ("2.00", "1.00")


async def test_a_session_that_is_waived_or_held_uses_nothing(shop: World, billing: BillingService) -> None:
    await add(shop, discount(Basis.FIXED, "1", uses_max=1))
    waived, held = await shop.session(energy_wh=50), await shop.session(holds=["overlap"])
    await billing.drain()
    session = await shop.session()

    await billing.drain()

    assert await totals(shop, waived, session) == ["0.00", "4.00"]
    assert await shop.bills(held) == []


@pytest.mark.parametrize(
    ("wanted", "error", "why"),
    [
        (discount(Basis.PERCENT, "101"), Refused, "more than there is"),
        (discount(Basis.FIXED, "0"), Refused, "not above zero"),
        (discount(Basis.FIXED, "1", currency="PLN"), Refused, "its sites in EUR"),
        (discount(Basis.FIXED, "1", currency="EURO"), Refused, "no currency"),
        (discount(Basis.FIXED, "1", redemptions_max=3), Refused, "only a coupon"),
        (discount(Basis.FIXED, "1", valid_to=BEFORE), Refused, "not after its begin"),
        (discount(Basis.FIXED, "1", scope=Scope.SITE, target="nowhere"), NotFound, "no site nowhere"),
        (discount(Basis.FIXED, "1", token="NOBODY"), NotFound, "no token NOBODY"),
        (discount(Basis.FIXED, "1", tariff="night"), NotFound, "no tariff night"),
    ],
)  # fmt: skip
async def test_a_rule_that_cannot_be_is_refused(shop: World, wanted: Rule, error: type[Exception], why: str) -> None:
    with pytest.raises(error, match=why):
        await add(shop, wanted)


async def test_ids_and_codes_are_given_once(shop: World) -> None:
    await add(shop, discount(Basis.FIXED, "1", coupon="SPRING"))

    with pytest.raises(AlreadyDone, match="there is a discount it"):
        await add(shop, incentive(Basis.FIXED, "1"))
    with pytest.raises(AlreadyDone, match="coupon SPRING belongs"):
        await add(shop, discount(Basis.FIXED, "1", id="other", coupon="SPRING"))


@pytest.mark.parametrize("table", ["concession_rule", "concession_end", "coupon_redemption", "concession_use", "claim"])
async def test_what_was_entered_is_never_changed(shop: World, table: str) -> None:
    assert await shop.pool.fetchval("SELECT csms_is_append_only($1::text::regclass)", table)
