"""Discounts of a contract, as operators enter and end them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from billing.contracts.changes import Act
from billing.contracts.days import Days
from billing.contracts.discount import Discount, Target, mistakes
from billing.contracts.entered import minor_of
from billing.contracts.keeping import locked, plain
from billing.contracts.plans import require_plan
from billing.contracts.project import WantedDiscount
from billing.contracts.store import SQL
from billing.errors import AlreadyDone, NotFound, Refused
from billing.sql import Connection


async def add_discount(
    connection: Connection, contract: str, wanted: WantedDiscount, act: Act, *, start: date | None = None
) -> int:
    """A discount on what recurs or on items; what is billed already keeps its price. The id of the discount.

    Raises:
        NotFound: no such contract or plan.
        Refused: it cannot be.
    """
    async with connection.transaction():
        loaded = await locked(connection, contract, act)
        begin = loaded.standing.terms.starts_on if start is None else start
        days = Days(wanted.after.after(begin), None if wanted.until is None else wanted.until.after(begin))
        amount = None if wanted.amount is None else minor_of(wanted.amount, loaded.standing.currency)
        rule = Discount(
            id=0, label=wanted.label, target=wanted.target, days=days, percent=wanted.percent, amount_minor=amount,
            periods=wanted.periods, only=wanted.only,
        )  # fmt: skip
        wrong = mistakes(rule)
        if wrong:
            raise Refused(f"discount {wanted.label}: {wrong[0]}", "correct it", details={"problems": wrong})
        if rule.only is not None and rule.target is Target.PLANS:
            await require_plan(connection, rule.only)
        new: int = await SQL.insert_discount.fetchval(
            connection, contract=contract, label=rule.label, target=rule.target.value, only_for=rule.only,
            percent=rule.percent, amount_minor=amount, from_day=days.first, until_day=days.until, periods=rule.periods,
            created_at=act.now,
        )  # fmt: skip
        body = {"discount": new, "label": rule.label, "target": rule.target.value, "only": rule.only}
        body |= {"percent": _text(rule.percent), "amount": _text(wanted.amount), "periods": rule.periods}
        body |= {"from_day": days.first.isoformat(), "until_day": plain(days.until)}
        await act.tell(connection, "discount", contract, after=body)
        return new


def _text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"


async def end_discount(connection: Connection, contract: str, discount: int, act: Act, *, on: date) -> None:
    """From the day `on` it is given no more.

    Raises:
        NotFound: the contract has no such discount.
        AlreadyDone: it has ended by then.
    """
    async with connection.transaction():
        loaded = await locked(connection, contract, act)
        known = next((each for each in loaded.standing.discounts if each.id == discount), None)
        if known is None:
            raise NotFound(f"contract {contract} has no discount {discount}", f"see csms contract show {contract}")
        if known.days.until is not None and known.days.until <= on:
            raise AlreadyDone(f"discount {discount} ends on {known.days.last}", "nothing to do")
        await SQL.end_discount.execute(connection, id=discount, until_day=on)
        before: Mapping[str, object] = {"discount": discount, "until_day": plain(known.days.until)}
        await act.tell(
            connection, "discount_end", contract, before=before, after={**before, "until_day": on.isoformat()}
        )
