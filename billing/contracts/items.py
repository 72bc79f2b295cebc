"""One-time items and sums in parts, as operators enter, cancel and declare them reached."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from billing.contracts import handover, milestones, plan
from billing.contracts.changes import Act
from billing.contracts.days import FIRST_DAY, LAST_DAY
from billing.contracts.entered import minor_of, no_country, require_quantity
from billing.contracts.keeping import locked, plain, today_of
from billing.contracts.milestones import Part
from billing.contracts.pricing import PLACES_MAX
from billing.contracts.project import WantedItem, WantedSplit
from billing.contracts.store import SQL, Row
from billing.errors import AlreadyDone, NotFound, Refused
from billing.money import Money
from billing.sql import Connection

PRICE_MAX = Decimal(10**9)


async def add(connection: Connection, contract: str, wanted: WantedItem, act: Act, *, start: date | None = None) -> int:
    """An item that falls due once. Its day counts from `start`, the contract's begin unless said. The id of the item.

    Raises:
        NotFound: no such contract.
        Refused: it cannot be.
    """
    require_quantity(wanted.quantity)
    problems = plan.of_line(wanted.name, wanted.unit, wanted.supply, wanted.description)
    price = wanted.unit_price
    if not (price.is_finite() and 0 <= price < PRICE_MAX and price == round(price, PLACES_MAX)):
        problems.append(f"a price is from zero to below {PRICE_MAX}, with at most {PLACES_MAX} decimals, not {price}")
    problems += [] if wanted.country is None else no_country(wanted.country)
    if problems:
        raise Refused(f"item {wanted.name}: {problems[0]}", "correct it", details={"problems": problems})
    async with connection.transaction():
        loaded = await locked(connection, contract, act)
        due_on = wanted.after.after(loaded.standing.terms.starts_on if start is None else start)
        _require_day(due_on)
        new: int = await SQL.insert_item.fetchval(
            connection, contract=contract, name=wanted.name, description=wanted.description, quantity=wanted.quantity,
            unit=wanted.unit, unit_price=price, supply=wanted.supply, country=wanted.country, due_on=due_on,
            price_with_tax=_with_tax(loaded.row, wanted.price_with_tax), created_at=act.now,
        )  # fmt: skip
        body = {"item": new, "name": wanted.name, "quantity": f"{wanted.quantity:f}", "unit_price": f"{price:f}"}
        await act.tell(connection, "item", contract, after=body | {"due_on": due_on.isoformat()})
        return new


def _with_tax(row: Row, wanted: bool | None) -> bool:
    return bool(row["price_with_tax"]) if wanted is None else wanted


def _require_day(day: date) -> None:
    if not FIRST_DAY <= day <= LAST_DAY:
        raise Refused(f"days are between {FIRST_DAY} and {LAST_DAY}, not {day}", "correct it")


async def split(
    connection: Connection, contract: str, wanted: WantedSplit, act: Act, *, start: date | None = None
) -> int:
    """A sum that is paid in parts. The id of the whole.

    Raises:
        NotFound: no such contract.
        Refused: the parts are not the whole, or something else cannot be.
    """
    async with connection.transaction():
        loaded = await locked(connection, contract, act)
        begin = loaded.standing.terms.starts_on if start is None else start
        parts = [
            Part(
                name=each.name, percent=each.percent, event=each.event,
                due_on=None if each.after is None else each.after.after(begin),
            )
            for each in wanted.parts
        ]  # fmt: skip
        problems = plan.of_line(wanted.name, "C62", wanted.supply, None) + milestones.mistakes(parts)
        problems += [] if wanted.country is None else no_country(wanted.country)
        if problems:
            raise Refused(f"sum {wanted.name}: {problems[0]}", "correct it", details={"problems": problems})
        for part in parts:
            _require_day(part.due_on or begin)
        total_minor = minor_of(wanted.total, loaded.standing.currency)
        amounts = milestones.amounts_minor(total_minor, parts)
        new: int = await SQL.insert_split.fetchval(
            connection, contract=contract, name=wanted.name, total_minor=total_minor, supply=wanted.supply,
            country=wanted.country, price_with_tax=_with_tax(loaded.row, wanted.price_with_tax), created_at=act.now,
        )  # fmt: skip
        await SQL.insert_milestones.execute(
            connection, split=new, names=[each.name for each in parts], percents=[each.percent for each in parts],
            amounts=amounts, events=[each.event for each in parts], days=[each.due_on for each in parts],
        )  # fmt: skip
        body = {"split": new, "name": wanted.name, "total": f"{wanted.total:f}", "parts": len(parts)}
        await act.tell(connection, "split", contract, after=body)
        return new


async def cancel(connection: Connection, item: int, act: Act) -> None:
    """An item that will not be invoiced.

    Raises:
        NotFound: no such item.
        Refused: it is on a document.
        AlreadyDone: it was cancelled before.
    """
    row = await SQL.list_items.fetchrow(connection, contract=None, id=item)
    if row is None:
        raise NotFound(f"no item {item}", "list them with csms item list")
    async with connection.transaction():
        await locked(connection, row["contract"], act)
        [row] = await SQL.list_items.fetch(connection, contract=None, id=item)
        _require_open(row, f"item {item}")
        await SQL.cancel_item.execute(connection, id=item, at=act.now)
        await _cancel_charge(connection, row, act)
        body = {"item": item, "name": row["name"]}
        await act.tell(connection, "item_cancel", row["contract"], before=body)


async def cancel_milestone(connection: Connection, milestone: int, act: Act) -> None:
    """A part of a sum that will not be invoiced; the others stay what they are.

    Raises:
        NotFound: no such milestone.
        Refused: it is on a document.
        AlreadyDone: it was cancelled before.
    """
    async with connection.transaction():
        row = await _milestone(connection, milestone, act)
        _require_open(row, f"milestone {milestone}")
        await SQL.cancel_milestone.execute(connection, id=milestone, at=act.now)
        await _cancel_charge(connection, row, act)
        body = {"milestone": milestone, "name": row["name"], "amount": _amount(row)}
        await act.tell(connection, "milestone_cancel", row["contract"], before=body)


async def reach(connection: Connection, milestone: int, act: Act, *, on: date | None) -> None:
    """What a milestone waited for has happened, on a day (today unless said): it is due then.

    Raises:
        NotFound: no such milestone.
        Refused: it waits for no event, was cancelled, or the day is yet to come.
        AlreadyDone: it was reached before.
    """
    async with connection.transaction():
        row = await _milestone(connection, milestone, act)
        if row["event"] is None:
            raise Refused(f"milestone {milestone} waits for no event, it is due on {row['due_on']}", "nothing to do")
        if row["cancelled_at"] is not None:
            raise Refused(f"milestone {milestone} was cancelled", f"see csms contract show {row['contract']}")
        if row["due_on"] is not None:
            raise AlreadyDone(f"milestone {milestone} was reached on {row['due_on']}", "nothing to do")
        today = today_of(await locked(connection, row["contract"], act), act)
        day = on or today
        if day > today:
            raise Refused(f"{day} has not come where the customer is", "declare it reached when it is")
        await SQL.set_milestone_due.execute(connection, id=milestone, due_on=day)
        body = {"milestone": milestone, "name": row["name"], "event": row["event"], "due_on": plain(day)}
        await act.tell(connection, "milestone_reach", row["contract"], after=body)


async def _milestone(connection: Connection, milestone: int, act: Act) -> Row:
    """As it is once its contract is held."""
    row = await SQL.list_milestones.fetchrow(connection, contract=None, id=milestone)
    if row is None:
        raise NotFound(f"no milestone {milestone}", "csms contract milestones lists those of a contract")
    await locked(connection, row["contract"], act)
    [held] = await SQL.list_milestones.fetch(connection, contract=None, id=milestone)
    return held


def _require_open(row: Row, name: str) -> None:
    if row["cancelled_at"] is not None:
        raise AlreadyDone(f"{name} was cancelled", "nothing to do")
    if row["fate"] == "invoiced":
        raise Refused(f"{name} is on document {row['document']}", "credit it there: csms credit create")


async def _cancel_charge(connection: Connection, row: Row, act: Act) -> None:
    if row["source"] is not None and row["fate"] is None:
        await handover.cancel(connection, [row["source"]], actor=act.actor, now=act.now)


def _amount(row: Row) -> str:
    return Money(row["amount_minor"], row["currency"]).text
