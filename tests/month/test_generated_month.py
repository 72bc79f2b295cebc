"""A month on bad networks closes: every kWh and every cent is billed, explained, displayed and told alike, or held."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from billing import Scope
from billing.bills import batch, history
from billing.bills.batch import Account, Days
from billing.bills.bill import BillKind, BillSummary
from billing.bills.cdr import total_of
from billing.bills.dossier import explained
from billing.cli_output import json_text
from billing.discounts import store as discounts
from billing.errors import Refused
from billing.price_series import store as price_series
from billing.rating.series import SeriesValue
from billing.tariffs import service as tariffs
from billing.taxes import service as taxes
from csms.database.pool import open_pool
from csms.sessions.service import Sessions
from simulators.charge_point import SimulatedChargePoint
from simulators.faults import MessageFaults
from tests.month import plan
from tests.month.checker import check
from tests.month.driven import AT_ONCE, Member, lived, network, station_of
from tests.world import LONG_AGO, World, open_world

DAYS = timedelta(days=30)
DRIVEN_S_MAX = 3000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    charge_points: int
    visits: int


SHORT, FULL = Size(charge_points=30, visits=6), Size(charge_points=200, visits=50)


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """What is left of it: the world, the charge points' own truth, and the books as they were closed."""

    world: World
    stations: list[SimulatedChargePoint]
    members: list[Member]
    networks: list[MessageFaults]
    accounts: list[Account]


@asynccontextmanager
async def month(database: str, directory: Path, size: Size) -> AsyncIterator[Month]:
    until = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
    # Its sessions run weeks ago and are seen running today: that alone makes none of them too long.
    async with open_world(database, directory, review={"duration_s_max_ac": str(60 * 24 * 3600)}) as world:
        members = await _opened(world, size, until - DAYS, until)
        networks = [network(number) for number, _ in enumerate(members, start=1)]
        stations = [station_of(*each) for each in zip(members, [world.ocpp_url] * len(members), networks, strict=True)]
        closing, turns = asyncio.Event(), asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for station, member in zip(stations, members, strict=True):
                group.create_task(lived(station, member.visits, turns, closing))
            async with asyncio.timeout(DRIVEN_S_MAX):
                while not all(_is_told(*each) for each in zip(stations, members, strict=True)):  # noqa: ASYNC110
                    await asyncio.sleep(0.2)
                await _billed(world)
            closing.set()
        accounts = await _closed(world, until)
        yield Month(world=world, stations=stations, members=members, networks=networks, accounts=accounts)


def _is_told(station: SimulatedChargePoint, member: Member) -> bool:
    ended = [each for each in station.truth.sessions if each.ended_at is not None]
    return len(ended) == len(member.visits) and len(station.outbox) == 0


async def _opened(world: World, size: Size, since: datetime, until: datetime) -> list[Member]:
    for site, zone, currency, country in plan.SITES:
        await world.site(site, time_zone=zone, currency=currency, country=country)
    changes_on = (until - DAYS / 2).date()
    await taxes.add_rules(world.connection, plan.tax_rules(changes_on), now=LONG_AGO, actor="operator")
    for rule in plan.concessions(LONG_AGO):
        await discounts.insert_rule(world.connection, rule, actor="operator")
    for card in plan.CARDS:
        await world.token(card)
    hours = [since + timedelta(hours=number) for number in range(int((until - since).total_seconds()) // 3600)]
    values = [
        SeriesValue(start=hour, end=hour + timedelta(hours=1), value=Decimal((hour.hour * 7) % 31 - 3).scaleb(-2))
        for hour in hours
        if hour.hour != 13  # a missing hour each day
    ]
    await price_series.add(world.connection, "spot", values, currency="EUR")
    members: list[Member] = []
    chosen = list(plan.tariffs())
    for number in range(size.charge_points):
        site, tariff, document = chosen[number % len(chosen)]
        if number < len(chosen):
            await world.tariff(document, assigned=False)
        key = await world.charge_point(f"CP-{number:03d}", site=site)
        await tariffs.assign(
            world.connection,
            tariff,
            scope=Scope.CHARGE_POINT,
            target=key.id,
            now=datetime.now(UTC),
            valid_from=LONG_AGO,
        )
        protocol = "ocpp1.6" if number % 2 == number // len(chosen) % 2 else "ocpp2.0.1"
        visits = plan.visits(number, size.visits, since=since, until=until)
        members.append(Member(key=key, protocol=protocol, visits=visits))
    return members


_WAITING = """
SELECT EXISTS (SELECT FROM session_due) OR EXISTS (SELECT FROM rating_due)
    OR EXISTS (SELECT FROM rating WHERE next_at <= now())
    OR EXISTS (SELECT FROM session s JOIN rating r ON r.session = s.id
                WHERE s.complete_at <= now() AND s.holds = '{}' AND r.holds = '{}' AND r.next_at IS NOT NULL)
"""


async def _billed(world: World) -> None:
    """Everything that can be billed is; three looks in a row, since a bill's display comes after it."""
    calm = 0
    while calm < 3:
        calm = 0 if await world.connection.fetchval(_WAITING) else calm + 1
        await asyncio.sleep(0.2)


async def _closed(world: World, until: datetime) -> list[Account]:
    """The operator closes the month, twice: the second time changes nothing."""
    days = Days(first=(until - DAYS - timedelta(days=2)).date(), last=(until + timedelta(days=2)).date())
    pool = await open_pool(world.dsn, size=2)
    try:
        sessions = Sessions(pool, world.settings)
        await sessions.prepare()
        for _ in range(2):
            made = [bills async for _, bills in batch.bill_period(pool, sessions, days, now=datetime.now(UTC)) if bills]
        assert made == []
        async with pool.acquire() as connection:
            return await batch.accounts(connection, days)
    finally:
        await pool.close()


@pytest.fixture(params=[SHORT, pytest.param(FULL, marks=pytest.mark.slow)], ids=["short", "full"])
async def closed(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> AsyncIterator[Month]:
    async with month(database, tmp_path, request.param) as lived_through:
        yield lived_through


async def test_a_month_with_faults_closes_to_the_cent_and_to_the_watt_hour(closed: Month) -> None:
    rows = await _sessions(closed.world)
    bills = {row["id"]: await history.bills_of(closed.world.connection, row["id"]) for row in rows}
    visits = sum(len(member.visits) for member in closed.members)

    assert len(rows) >= visits
    counts = Counter(_state(row, bills[row["id"]]) for row in rows)
    assert counts["unexplained"] == 0, counts
    # Whose stop is lost is known to have ended when the next vehicle comes: nobody came after the last one.
    assert counts["running"] == sum(member.visits[-1].fault == "stop_lost" for member in closed.members), counts
    assert counts["billed"] > visits * 0.8, counts
    assert counts["held"] > 0, "a month without a held session has met no fault"
    _check_accounts(closed, rows, bills)
    _check_registers(closed, rows)
    await _check_bills(closed, bills)
    _check_displays(closed, rows, bills)


_ROWS = """
SELECT s.*, c.site, coalesce(r.holds, '{}') AS billing_holds, r.next_at
  FROM session s JOIN charge_point c ON c.id = s.charge_point LEFT JOIN rating r ON r.session = s.id ORDER BY s.id
"""


async def _sessions(world: World) -> list[Any]:
    return list(await world.connection.fetch(_ROWS))


def _final(bills: list[BillSummary]) -> BillSummary | None:
    return next((bill for bill in reversed(bills) if bill.kind is not BillKind.INTERIM), None)


def _state(row: Any, bills: list[BillSummary]) -> str:
    """Billed, held with a review entry, dropped, running - or what nobody can explain."""
    if _final(bills) is not None:
        return "billed"
    if row["dropped"]:
        return "dropped"
    if row["holds"] or row["billing_holds"]:
        return "held"
    return "running" if row["ended_at"] is None else "unexplained"


def _check_accounts(closed: Month, rows: list[Any], bills: dict[int, list[BillSummary]]) -> None:
    """The books of the closed period agree with the bills, and no kWh of a meter is without a state."""
    finals = {row["id"]: final for row in rows if (final := _final(bills[row["id"]])) is not None}
    for account in closed.accounts:
        own = [finals[row["id"]] for row in rows if row["site"] == account.site and row["id"] in finals]
        assert account.kwh_unexplained == 0, account
        assert account.waiting == 0, account
        assert account.billed + account.corrected == len(own)
        assert account.total_incl.minor == sum(bill.total_incl.minor for bill in own)
        assert account.kwh_billed == sum((bill.energy_wh for bill in own), Decimal(0)).scaleb(-3)


def _check_registers(closed: Month, rows: list[Any]) -> None:
    """What a charge point's meter said at both ends of a stay is what its session has, except where a fault says why."""
    known: dict[tuple[str, str], list[Any]] = {}
    for row in rows:
        known.setdefault((row["charge_point"], row["transaction"]), []).append(row)
    checked = 0
    for station, member in zip(closed.stations, closed.members, strict=True):
        for truth, visit in zip(station.truth.sessions, member.visits, strict=True):
            if visit.fault in ("stop_lost", "register_jumps"):
                continue
            [row] = known[station.identity, str(truth.transaction_id)]
            assert truth.declared_wh is not None
            assert row["energy_wh"] == truth.declared_wh.quantize(Decimal("0.001")), (dict(row), truth)
            checked += 1
    assert checked > len(rows) * 0.8


async def _check_bills(closed: Month, bills: dict[int, list[BillSummary]]) -> None:
    """Each bill: its explanation gives it to the cent, receipt and CDR say the same, interims stay below the final."""
    connection, checked = closed.world.connection, Counter[str]()
    for session, own in bills.items():
        for bill in own:
            printed = json.loads(json_text(explained(await history.explain_bill(connection, session, bill.seq))))
            assert check(printed) == (bill.total_excl.decimal, bill.total_incl.decimal)
            receipt = await history.receipt_of(connection, session, bill.seq)
            assert receipt.text.startswith(f"{bill.payable.text} {bill.currency} for ")
            checked[bill.kind.value] += 1
        final = _final(own)
        if final is not None and final.incentives.minor:
            with pytest.raises(Refused, match="paid by others"):
                await history.cdrs_of(connection, session)
            checked["paid by others"] += 1
        elif final is not None:
            [cdr] = await history.cdrs_of(connection, session)
            assert total_of(cdr, final.currency) == final.total_incl
            assert abs(cdr["total_energy"] - final.energy_wh / 1000) <= Decimal("0.0001")
    assert all(checked[kind] > 0 for kind in ("interim", "final", "paid by others")), checked


def _check_displays(closed: Month, rows: list[Any], bills: dict[int, list[BillSummary]]) -> None:
    """A display showed nothing but bills of its session, and at last the final one, unless the network swallowed that."""
    sessions = {(row["charge_point"], row["transaction"]): row["id"] for row in rows}
    shown_last: dict[int, Decimal] = {}
    for station in closed.stations:
        for shown in station.truth.displayed:
            session = sessions[station.identity, str(shown.transaction_id)]
            assert shown.total in {bill.payable.decimal for bill in bills[session]}, (station.identity, shown)
            shown_last[session] = shown.total
    finals = {session: final for session, own in bills.items() if (final := _final(own)) is not None}
    wrong = {
        session: (str(shown), finals[session].payable.text)
        for session, shown in shown_last.items()
        if session in finals and shown != finals[session].payable.decimal
    }
    swallowed = sum(faults.injected.get("lose_answer", 0) for faults in closed.networks)
    assert len(shown_last) > len(finals) * 0.8
    assert len(wrong) <= min(swallowed, 1 + len(finals) // 100), wrong
