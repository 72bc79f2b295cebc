"""Open sessions get another tariff by an operator's act: downward, with a trail, and never upward unless the law allows it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.bills import ceiling, history
from billing.bills.bill import CommittedBill
from billing.bills.billable import BillableSession
from billing.bills.ceiling import Candidate
from billing.bills.recalculation import (
    OpenSessions,
    Outcome,
    Recalculated,
    Recalculation,
    compared,
    count_open,
    recalculate,
)
from billing.bills.rerating import rerate
from billing.bills.service import BillingService
from billing.discounts import entry as discounts
from billing.discounts.rule import Rule
from billing.errors import AlreadyDone, NotFound, Refused
from billing.policies.policies import Policies
from billing.rating.rating import Basis, ComponentName, Effect
from billing.rating.terms import NO_TERMS
from billing.tariffs.assignment import TariffVersion
from billing.tariffs.tariff import parse_tariff
from billing.taxes import service as taxes
from billing.taxes.tax_rule import Category, TaxRule
from tests.billing.bills.conftest import Clock
from tests.billing.bills.world import BEFORE, NOON, TableSource, World, one_period, tariff_file

EVERYTHING = OpenSessions()
LAW = "terms of use 4.2"


@dataclass
class Operator:
    world: World
    source: TableSource
    clock: Clock

    async def recalculates(
        self,
        chosen: OpenSessions = EVERYTHING,
        *,
        to: tuple[str, int | None] | None = None,
        legal_basis: str | None = None,
        dry_run: bool = False,
        reason: str = "price cut",
    ) -> dict[int, Recalculated]:
        act = Recalculation(reason=reason, actor="ada", to=to, legal_basis=legal_basis)
        found: dict[int, Recalculated] = {}
        async for batch in recalculate(self.world.pool, self.source, chosen, act, now=self.clock.now, dry_run=dry_run):
            found |= {each.session: each for each in batch}
        return found

    async def trail(self, session: int) -> list[dict[str, Any]]:
        async with self.world.pool.acquire() as connection:
            return await history.recalculations_of(connection, session)


@pytest.fixture
def operator(world: World, source: TableSource, clock: Clock) -> Operator:
    return Operator(world, source, clock)


@pytest.fixture
async def running(world: World, billing: BillingService) -> int:
    """10 kWh at 0.50 so far, shown as an interim of 5.00; the tariff has a version of 0.40 since."""
    await world.tariff(tariff_file(price="0.50"))
    session = await world.running(energy_wh=10_000)
    await billing.drain()
    await world.tariff(tariff_file(price="0.40"), default=False, now=NOON + timedelta(hours=1))
    return session


def outcome(done: Recalculated) -> tuple[str, str | None, str | None]:
    told = done.to_dict()
    return done.outcome.value, told["before_incl_tax"], told["after_incl_tax"]  # type: ignore[return-value]


async def test_a_running_session_gets_the_cheaper_version_from_its_first_kwh_on(
    world: World, billing: BillingService, operator: Operator, running: int, announced: list[CommittedBill]
) -> None:
    tried = await operator.recalculates(dry_run=True)
    await billing.drain()
    before = await world.bills(running)
    done = await operator.recalculates(reason="price cut of today")
    await billing.drain()
    shown = await world.bills(running)
    await world.change(
        running, energy_wh=Decimal(20_000), ended_at=NOON + timedelta(hours=2), complete_at=NOON + timedelta(hours=2)
    )
    await billing.drain()

    assert outcome(tried[running]) == outcome(done[running]) == ("applied", "5.00", "4.00")
    assert before == [("interim", 1, "5.00")]
    assert shown == [("interim", 1, "5.00"), ("interim", 2, "4.00")]
    assert [each.bill.total_incl.text for each in announced] == ["5.00", "4.00", "8.00"]
    assert (await world.bills(running))[-1] == ("final", 3, "8.00")
    [act] = await operator.trail(running)
    assert (act["tariff_before"], act["version_before"], act["version_after"]) == ("day", 1, 2)
    assert (act["before_incl_tax"], act["after_incl_tax"], act["reason"], act["actor"]) == (
        "5.00", "4.00", "price cut of today", "ada",
    )  # fmt: skip


async def test_the_display_follows_where_no_fact_has_come_since(
    world: World, billing: BillingService, operator: Operator, source: TableSource
) -> None:
    source.online = False
    await world.tariff(tariff_file(price="0.50"))
    session = await world.running(energy_wh=10_000)
    await billing.drain()
    await world.tariff(tariff_file(price="0.50", flat="0.00"), default=False, now=NOON + timedelta(hours=1))

    await operator.recalculates()
    await billing.drain()

    assert await world.bills(session) == [("interim", 1, "5.00"), ("interim", 2, "5.00")]


async def test_what_was_done_is_not_done_again(
    billing: BillingService, world: World, operator: Operator, running: int
) -> None:
    await operator.recalculates()
    await billing.drain()
    bills = await world.bills(running)

    again = await operator.recalculates()
    await billing.drain()

    assert outcome(again[running]) == ("unchanged", "4.00", "4.00")
    assert len(await operator.trail(running)) == 1
    assert await world.bills(running) == bills


async def test_a_dearer_tariff_is_refused_and_the_session_stays_as_it_is(
    world: World, billing: BillingService, operator: Operator, running: int
) -> None:
    await world.tariff(tariff_file("fair", price="0.70"), default=False)
    other = await world.running(energy_wh=0, charge_point="CP-1", started_at=NOON + timedelta(minutes=1))
    await billing.drain()

    done = await operator.recalculates(to=("fair", None))
    await billing.drain()

    assert outcome(done[running]) == ("upward", "5.00", "7.00")
    assert done[running].why_not == "it would cost 2.00 more"
    assert done[other].outcome is Outcome.APPLIED
    assert await operator.trail(running) == []
    assert (await world.rating(running))["tariff"] == "day"


async def test_a_legal_basis_lets_it_rise_and_stays_on_record(
    world: World, billing: BillingService, operator: Operator, running: int
) -> None:
    await world.tariff(tariff_file("fair", price="0.70"), default=False)

    done = await operator.recalculates(to=("fair", 1), legal_basis=LAW)
    await world.change(running, ended_at=NOON + timedelta(hours=2), complete_at=NOON + timedelta(hours=2))
    await billing.drain()

    assert outcome(done[running]) == ("applied", "5.00", "7.00")
    assert (await world.bills(running))[-1] == ("final", 2, "7.00")
    [act] = await operator.trail(running)
    assert act["legal_basis"] == LAW


async def test_what_is_cheaper_now_and_dearer_later_costs_what_it_would_have(
    world: World, billing: BillingService, operator: Operator, running: int
) -> None:
    """0.30 per kWh, but at least 9.00: at 10 kWh 3.00 is shown, and 9.00 would be the bill. By the old one it is 5.00."""
    document = json.loads(tariff_file("least", price="0.30"), parse_float=str) | {
        "min_price": {"after_taxes": "9.00", "before_taxes": "7.50"}
    }
    await world.tariff(json.dumps(document), default=False)

    done = await operator.recalculates(to=("least", None))
    await billing.drain()
    shown = (await world.bills(running))[-1]
    await world.change(running, ended_at=NOON + timedelta(hours=2), complete_at=NOON + timedelta(hours=2))
    await billing.drain()

    assert outcome(done[running]) == ("applied", "5.00", "3.00")
    assert shown == ("interim", 2, "3.00")
    assert (await world.bills(running))[-1] == ("final", 3, "5.00")
    async with world.pool.acquire() as connection:
        explained = await history.explain_bill(connection, running, None)
    assert (explained.bill.tariff, explained.bill.tariff_version) == ("day", 1)


async def test_a_late_fact_is_weighed_and_corrected_within_the_same_promise(
    world: World, billing: BillingService, operator: Operator, running: int, clock: Clock, source: TableSource
) -> None:
    await world.tariff(tariff_file("fees", price="0.10", flat="4.50"), default=False)
    await world.change(running, energy_wh=Decimal(12_000))
    await operator.recalculates(to=("fees", None))
    await world.change(
        running, energy_wh=Decimal(11_000), ended_at=NOON + timedelta(hours=2), complete_at=NOON + timedelta(hours=2)
    )
    await billing.drain()
    await world.change(running, energy_wh=Decimal(2_000))
    await billing.drain()
    [late] = [note for note in (await world.rating(running))["notes"] if note.startswith("late_fact")]

    async with world.pool.acquire() as connection, connection.transaction():
        corrected = await rerate(connection, source, running, now=clock.now, reason="late readings", actor="ada")

    assert (await world.bills(running))[1] == ("final", 2, "5.50")  # 5.60 by the new one
    assert late == "late_fact: -9.000 kWh, -4.50 EUR"
    assert (corrected.after.tariff, corrected.after.total_incl.text) == ("day", "1.00")


async def test_what_a_driver_pays_is_compared_not_what_a_third_party_pays_too(
    world: World, billing: BillingService, operator: Operator
) -> None:
    """10.00 of which a ministry pays 2.00, against 9.50 of which it pays nothing."""
    await world.tariff(tariff_file(price="1.00"))
    await world.tariff(tariff_file("plain", price="0.95"), default=False)
    await world.tariff(tariff_file("low", price="0.60"), default=False)
    paid = Rule(
        id="it", label="It", effect=Effect.INCENTIVE, basis=Basis.FIXED, value=Decimal(2), party="Ministry",
        tariff="day", turn=100, valid_from=BEFORE, entered_at=BEFORE,
    )  # fmt: skip
    async with world.pool.acquire() as connection:
        await discounts.add(connection, paid, actor="ada")
    session = await world.running(energy_wh=10_000)
    await billing.drain()

    dearer = await operator.recalculates(to=("plain", None))
    cheaper = await operator.recalculates(to=("low", None))

    assert outcome(dearer[session]) == ("upward", "8.00", "9.50")
    assert dearer[session].why_not == "it would cost 1.50 more"
    assert outcome(cheaper[session]) == ("applied", "8.00", "6.00")


async def test_a_session_is_held_while_a_tariff_that_it_may_not_exceed_says_no_amount(
    world: World, billing: BillingService, operator: Operator
) -> None:
    """Tax rules came since, and none is for the parking of the old tariff. The new one asks for more by the end."""
    parked = json.loads(tariff_file(price="0.50"), parse_float=str)
    parked["elements"][0]["price_components"].append(
        {"type": "PARKING_TIME", "price": "1", "vat": "19", "step_size": 1}
    )
    await world.tariff(json.dumps(parked))
    await world.tariff(tariff_file("fees", price="0.60"), default=False)
    session = await world.running(energy_wh=0)
    await billing.drain()
    await operator.recalculates(to=("fees", None))
    await tax(world, ComponentName.ENERGY)
    end = NOON + timedelta(hours=1)
    await world.change(session, energy_wh=Decimal(10_000), ended_at=end, complete_at=end)
    await billing.drain()
    held, before = (await world.rating(session))["holds"], await world.bills(session)
    await tax(world, ComponentName.PARKING)
    await world.tell_billing(session)
    await billing.drain()

    assert held == ["tax_undecided"]
    assert [each for each in before if each[0] == "final"] == []
    assert (await world.bills(session))[-1][::2] == ("final", "5.00")


async def tax(world: World, supply: ComponentName) -> None:
    rule = TaxRule(
        id=f"DE-{supply.value}", country="DE", category=Category.STANDARD, valid_from=date(2021, 1, 1),
        rate=Decimal(19), supply=supply,
    )  # fmt: skip
    async with world.pool.acquire() as connection:
        await taxes.add_rules(connection, [rule], now=NOON, actor="ada")


async def test_after_the_final_bill_its_own_tariff_weighs_late_facts(
    world: World, billing: BillingService, operator: Operator, running: int, clock: Clock, source: TableSource
) -> None:
    """And the bill that an operator asks for then keeps the promise: at 2 kWh the old tariff is the cheaper one."""
    await world.tariff(tariff_file("fees", price="0.10", flat="4.50"), default=False)
    await world.change(running, energy_wh=Decimal(12_000))
    await operator.recalculates(to=("fees", None))
    await world.change(running, ended_at=NOON + timedelta(hours=2), complete_at=NOON + timedelta(hours=2))
    await billing.drain()
    final = (await world.bills(running))[-1]
    await world.change(running, energy_wh=Decimal(2_000))
    await billing.drain()
    [late] = [note for note in (await world.rating(running))["notes"] if note.startswith("late_fact")]

    async with world.pool.acquire() as connection, connection.transaction():
        corrected = await rerate(connection, source, running, now=clock.now, reason="late readings", actor="ada")

    assert final[::2] == ("final", "5.70")
    assert late == "late_fact: -10.000 kWh, -1.00 EUR"
    assert (corrected.after.tariff, corrected.after.total_incl.text) == ("day", "1.00")


async def test_a_tariff_by_which_an_operator_rated_anew_stays(
    world: World, billing: BillingService, operator: Operator, running: int, clock: Clock, source: TableSource
) -> None:
    await world.tariff(tariff_file("fair", price="0.70"), default=False)
    await operator.recalculates()
    await world.change(running, ended_at=NOON + timedelta(hours=2), complete_at=NOON + timedelta(hours=2))
    await billing.drain()

    async with world.pool.acquire() as connection, connection.transaction():
        agreed = await rerate(
            connection, source, running, now=clock.now, reason="as agreed", actor="ada", choice=("fair", None)
        )
        with pytest.raises(AlreadyDone, match="tariff fair version 1"):
            await rerate(connection, source, running, now=clock.now, reason="once more", actor="ada")

    assert agreed.after.total_incl.text == "7.00"


async def test_facts_that_move_the_begin_do_not_choose_the_tariff_anew(
    world: World, billing: BillingService, operator: Operator, running: int
) -> None:
    await operator.recalculates()
    await world.change(running, started_at=NOON - timedelta(hours=1))
    await billing.drain()

    rating = await world.rating(running)
    assert (rating["tariff"], rating["tariff_version"], rating["recalculated"]) == ("day", 2, True)


async def test_only_open_sessions_of_what_is_named_are_looked_at(
    world: World, billing: BillingService, operator: Operator, running: int
) -> None:
    await world.site("beach")
    await world.charge_point("CP-2", "beach")
    billed = await world.session(started_at=NOON - timedelta(hours=3), ended_at=NOON - timedelta(hours=2))
    away = await world.running(charge_point="CP-2", energy_wh=1000)
    waiting = await world.session(complete_at=NOON + timedelta(days=30))
    await billing.drain()

    everywhere = await operator.recalculates(dry_run=True)
    here = await operator.recalculates(OpenSessions(site="depot"), dry_run=True)
    async with world.pool.acquire() as connection:
        count = await count_open(connection, OpenSessions(tariff="day"))

    assert billed not in everywhere
    assert set(everywhere) == {running, away, waiting}
    assert set(here) == {running, waiting}
    assert count == 3


async def test_sessions_that_cannot_be_compared_are_told_and_left(
    world: World, operator: Operator, running: int
) -> None:
    await world.tariff(tariff_file("francs", currency="CHF"), default=False)

    done = await operator.recalculates(to=("francs", None))

    assert (done[running].outcome, done[running].why_not) == (
        Outcome.NOT_RATED, "tariff francs is in CHF, site depot in EUR",
    )  # fmt: skip
    assert await operator.trail(running) == []


@pytest.mark.usefixtures("running")
async def test_an_act_names_what_exists_and_says_why(operator: Operator) -> None:
    for wrong in (OpenSessions(tariff="none"), OpenSessions(site="nowhere")):
        with pytest.raises(NotFound):
            await operator.recalculates(wrong)
    with pytest.raises(NotFound, match="has no version 9"):
        await operator.recalculates(to=("day", 9))
    with pytest.raises(NotFound, match="no tariff none"):
        await operator.recalculates(to=("none", None))
    with pytest.raises(Refused, match="for a reason"):
        await operator.recalculates(reason=" ")
    with pytest.raises(Refused, match="legal basis is empty"):
        await operator.recalculates(legal_basis=" ")


async def test_the_database_itself_refuses_a_rise_without_a_legal_basis_and_a_change_of_the_trail(
    world: World, operator: Operator, running: int
) -> None:
    row = (
        "INSERT INTO recalculation (session, tariff_before, version_before, tariff_after, version_after, currency,"
        " before_minor, after_minor, as_of, reason, actor, at)"
        " VALUES ($1, 'day', 1, 'day', 2, 'EUR', 500, 501, now(), 'why', 'ada', now())"
    )
    with pytest.raises(asyncpg.CheckViolationError):
        await world.pool.execute(row, running)
    await operator.recalculates()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await world.pool.execute("UPDATE recalculation SET reason = 'another'")


# --- whatever the prices are -----------------------------------------------------------------------------------------

PRICES = st.integers(0, 90).map(lambda cents: f"0.{cents:02}")
FEES = st.none() | st.integers(0, 9).map(lambda euros: f"{euros}.00")


def candidate(session: BillableSession, number: int, price: str, flat: str | None) -> Candidate:
    body = json.loads(tariff_file("day", price, flat=flat), parse_float=str)
    version = TariffVersion(tariff=parse_tariff(body, version=number), valid_from=BEFORE, entered_at=BEFORE)
    return Candidate(version=version, session=session, terms=NO_TERMS)


def at_energy(energy_wh: int, *, closed: bool) -> BillableSession:
    end = NOON + timedelta(hours=1)
    return BillableSession(
        id=1, charge_point="CP-1", site="depot", country="DE", currency="EUR", time_zone="Europe/Berlin", token="T",
        priced_from=NOON, started_at=NOON, ended_at=end if closed else None, complete_at=None, closed=closed,
        dropped=False, holds=frozenset(), released=frozenset(), energy_wh=Decimal(energy_wh), as_of=end,
        usage=one_period(NOON, end, Decimal(energy_wh)), inputs_hash=b"",
    )  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    first=st.tuples(PRICES, FEES),
    acts=st.lists(st.tuples(PRICES, FEES, st.integers(0, 20_000)), min_size=1, max_size=5),
    last_wh=st.integers(0, 40_000),
)
def test_however_often_tariffs_change_nobody_pays_more_than_by_the_first(
    first: tuple[str, str | None], acts: list[tuple[str, str | None, int]], last_wh: int
) -> None:
    """Without a legal basis; and what an act shows as its result is what is due then."""
    policies, energy = Policies(), 0
    may_price: list[tuple[int, str, str | None]] = [(1, *first)]
    for number, (price, flat, more) in enumerate(acts, start=2):
        energy += more
        session = at_energy(energy, closed=False)
        had = [candidate(session, *each) for each in may_price]
        done = compared(had, candidate(session, number, price, flat), policies, at_will=False)
        assert done.before is not None
        assert done.after is not None
        if done.outcome is Outcome.APPLIED:
            assert done.after.minor <= done.before.minor
            may_price.insert(0, (number, price, flat))
        else:
            assert done.after.minor > done.before.minor

    session = at_energy(energy + last_wh, closed=True)
    last = [candidate(session, *each) for each in may_price]
    pays = ceiling.cheapest(last, policies).amount(policies)
    assert pays.minor <= last[-1].amount(policies).minor  # by the first
    assert pays.minor == min(each.amount(policies).minor for each in last)
