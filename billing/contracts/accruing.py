"""Orders arise by themselves: what falls due of contracts is charged, once each, whoever and however many look.

A contract is read, decided purely, and written in a transaction of its own that takes nothing where the contract has
changed meanwhile, by an operator or by another node; then it is looked at again. No lock is ever on two contracts.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Final
from zoneinfo import ZoneInfo

import asyncpg

from billing.contracts import store
from billing.contracts.accrual import Hold, NewCell
from billing.contracts.allowance import NewAllowance
from billing.contracts.contract_charge import ContractCharge
from billing.contracts.days import LAST_DAY
from billing.contracts.dues import Dues, dues
from billing.contracts.index import index_in, load_series
from billing.contracts.store import SQL, Loaded
from billing.discounts import store as discounts
from billing.discounts.rule import Bearer, Rule
from billing.errors import Refused
from billing.rating.rating import Basis, ComponentName, Effect
from billing.sql import Connection
from billing.tariffs.assignment import Audience
from billing.time_zones import NoSuchZone, zone_named

AT_A_TIME: Final = 200
"""Contracts that are read together."""
TRIES_MAX: Final = 3
"""How often a contract that others change meanwhile is looked at in one run."""
ACTOR: Final = "contracts"
"""Who makes the rules for included kWh."""
TURN: Final = 100
"""Of these rules among discounts."""


@dataclass(slots=True)
class Accrual:
    """What a run has done. `busy`: contracts that others were changing; the next run sees to them."""

    contracts: int = 0
    charges: list[ContractCharge] = field(default_factory=list)
    holds: list[tuple[str, Hold]] = field(default_factory=list)
    busy: list[str] = field(default_factory=list)


async def accrue(
    connection: Connection,
    *,
    now: datetime,
    until: date | None = None,
    contracts: Sequence[str] | None = None,
    dry_run: bool = False,
) -> Accrual:
    """Charge what has fallen due of all contracts, or of some, up to now or to a day, each by its customer's calendar.

    Call it outside a transaction, or in one that is taken back. It may be stopped anywhere and run again, and by several at once. With `dry_run` it
    only tells; that too is decided from what is stored.

    Raises:
        Refused: a day that no calendar of ours has.
    """
    if until is not None and until > LAST_DAY:
        raise Refused(f"{until} is after {LAST_DAY}", "choose an earlier day")
    done = Accrual()
    async for day, ids in _batches(connection, now=now, until=until, contracts=contracts):
        todo = list(ids)
        for _ in range(TRIES_MAX):
            todo = await _settle(connection, todo, day, now=now, dry_run=dry_run, done=done)
            if not todo:
                break
        done.busy += todo
    return done


async def _batches(
    connection: Connection, *, now: datetime, until: date | None, contracts: Sequence[str] | None
) -> AsyncIterator[tuple[date, list[str]]]:
    """Contracts of which something is due, with the day that their customers have; no contract twice."""
    zones = [row["time_zone"] for row in await SQL.zones_due.fetch(connection)]
    days = {zone: until or today_in(zone, now) for zone in zones}
    after = ""
    while True:
        rows = await SQL.contracts_due.fetch(
            connection, zones=list(days), days=list(days.values()), after=after,
            ids=None if contracts is None else list(contracts), limit=AT_A_TIME,
        )  # fmt: skip
        if not rows:
            return
        after = rows[-1]["id"]
        for day in sorted({row["day"] for row in rows}):
            yield day, [row["id"] for row in rows if row["day"] == day]


def today_in(time_zone: str, now: datetime) -> date:
    """The day that a customer's calendar shows; that of UTC where nobody knows the zone."""
    try:
        zone = zone_named(time_zone)
    except NoSuchZone:
        zone = ZoneInfo("UTC")
    return now.astimezone(zone).date()


async def _settle(
    connection: Connection, ids: Sequence[str], day: date, *, now: datetime, dry_run: bool, done: Accrual
) -> list[str]:
    """Those that changed while they were decided."""
    loaded = await store.load(connection, ids, since=day)
    series = await load_series(connection, (each.standing for each in loaded), day)
    changed = []
    for each in loaded:
        standing = each.standing
        try:
            found = dues(standing, day, index_in(series, standing.time_zone))
        except NoSuchZone:
            done.holds.append((standing.id, Hold(standing.id, f"time zone {standing.time_zone} is not known")))
            continue
        charges = found.charges if dry_run else await _write(connection, each, found, day, now=now, done=done)
        if charges is None:
            changed.append(standing.id)
            continue
        done.contracts += 1
        done.charges += charges
        done.holds += [(standing.id, hold) for hold in found.holds]
    return changed


async def _write(
    connection: Connection, loaded: Loaded, found: Dues, day: date, *, now: datetime, done: Accrual
) -> list[ContractCharge] | None:
    """What was charged; None: the contract has changed since it was read, and nothing was written."""
    if _is_as_stored(loaded, found, day):
        return []
    try:
        async with connection.transaction():
            return found.charges if await _store(connection, loaded, found, day, now=now) else None
    except (
        asyncpg.IntegrityConstraintViolationError,
        asyncpg.DataError,
    ) as wrong:  # a defect of one contract is not to stop all others
        hold = Hold(loaded.standing.id, f"it cannot be stored: {wrong}")
        await _store_holds(connection, loaded.standing.id, [*found.holds, hold], now=now)
        done.holds.append((loaded.standing.id, hold))
        return []


def _is_as_stored(loaded: Loaded, found: Dues, day: date) -> bool:
    return (
        not found.charges
        and not found.allowed.new
        and not found.allowed.ended
        and found.next_on == loaded.next_on
        and {hold.source: hold.why for hold in found.holds} == dict(loaded.holds)
        and set(found.reminding.due) <= set(loaded.reminders.values())
        and not _moot(loaded, found, day)
    )


def _moot(loaded: Loaded, found: Dues, day: date) -> list[int]:
    """Reminders that nobody has sent and that no deadline asks for any more."""
    deadlines = {each.deadline for each in found.reminding.due}
    return [
        id_ for id_ in sorted(loaded.unsent)
        if loaded.reminders[id_].deadline not in deadlines and loaded.reminders[id_].deadline.on >= day
    ]  # fmt: skip


async def _store(connection: Connection, loaded: Loaded, found: Dues, day: date, *, now: datetime) -> bool:
    contract = loaded.standing
    taken = await SQL.take_if_unchanged.fetchval(
        connection, id=contract.id, revision=contract.revision, next_on=found.next_on
    )
    if taken is None:
        return False
    if found.accrued.shrunk:
        await SQL.shrink_cells.execute(
            connection,
            sources=[each.source for each in found.accrued.shrunk],
            untils=[each.until for each in found.accrued.shrunk],
        )
    if found.charges:
        rows = json.dumps([store.charge_to_json(each) for each in found.charges])
        await SQL.insert_charges.execute(connection, rows=rows, created_at=now)
    if found.accrued.cells:
        await SQL.insert_cells.execute(connection, rows=json.dumps([_cell_row(each) for each in found.accrued.cells]))
    await _store_holds(connection, contract.id, found.holds, now=now)
    await _store_allowances(connection, loaded, found, now=now)
    await _store_reminders(connection, loaded, found, day)
    return True


def _cell_row(new: NewCell) -> dict[str, object]:
    cell = new.cell
    return {
        "source": cell.source,
        "subscription": new.subscription,
        "line": new.line,
        "from_day": cell.days.first.isoformat(),
        "until_day": cell.until.isoformat(),
        "period_from": cell.period.first.isoformat(),
        "period_until": cell.period.until.isoformat(),
        "price": f"{cell.price:f}",
        "gross_minor": cell.gross_minor,
        "discounts": store.given_to_json(cell.discounts),
    }


async def _store_holds(connection: Connection, contract: str, holds: Sequence[Hold], *, now: datetime) -> None:
    sources = [each.source for each in holds]
    await SQL.delete_holds.execute(connection, contract=contract, sources=sources)
    if holds:
        await SQL.insert_holds.execute(
            connection, contract=contract, sources=sources, whys=[each.why for each in holds], since=now
        )


async def _store_allowances(connection: Connection, loaded: Loaded, found: Dues, *, now: datetime) -> None:
    zone = loaded.standing.time_zone
    for ended in found.allowed.ended:
        await SQL.end_allowance.execute(connection, rule=ended.rule, until_day=ended.until)
        await discounts.SQL.insert_end.execute(
            connection, rule=ended.rule, valid_to=midnight(ended.until, zone), entered_at=now, actor=ACTOR
        )
    for new in found.allowed.new:
        assert new.days.until is not None, "kWh are for a period"
        is_new = await discounts.insert_rule(connection, rule_of(new, zone, now=now), actor=ACTOR)
        assert is_new, f"rule {new.rule} is there already"
        await SQL.insert_allowances.execute(
            connection, rule=new.rule, subscription=new.subscription, bearer=new.bearer.id, from_day=new.days.first,
            until_day=new.days.until, kwh=new.kwh,
        )  # fmt: skip


def rule_of(new: NewAllowance, time_zone: str, *, now: datetime) -> Rule:
    """The discount rule by which the rating gives included kWh."""
    assert new.days.until is not None, "kWh are for a period"
    return Rule(
        id=new.rule,
        label=new.label,
        effect=Effect.DISCOUNT,
        basis=Basis.FREE_KWH,
        value=new.kwh,
        turn=TURN,
        component=ComponentName.ENERGY,
        audience=Audience(token_group=new.bearer.token_group),
        token=new.bearer.token,
        whole_life=True,
        bearer=Bearer.TOKEN if new.bearer.token is not None else Bearer.TOKEN_GROUP,
        valid_from=midnight(new.days.first, time_zone),
        valid_to=midnight(new.days.until, time_zone),
        entered_at=now,
    )


def midnight(day: date, time_zone: str) -> datetime:
    """The first instant of a day of this calendar, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=zone_named(time_zone)).astimezone(UTC)


async def _store_reminders(connection: Connection, loaded: Loaded, found: Dues, day: date) -> None:
    moot = _moot(loaded, found, day)
    if moot:
        await SQL.delete_reminders.execute(connection, ids=moot)
    due = found.reminding.due
    if due:
        await SQL.insert_reminders.execute(
            connection,
            contract=loaded.standing.id,
            kinds=[each.deadline.kind.value for each in due],
            abouts=[each.deadline.about for each in due],
            deadlines=[each.deadline.on for each in due],
            days=[each.remind_on for each in due],
        )
