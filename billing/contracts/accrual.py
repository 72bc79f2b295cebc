"""What has fallen due of what recurs, up to a day, and what must be taken back. Pure.

What is billed of a subscription is a chain of cells: stretches of days, none of them twice, each within one period and at
one price. Days that are missing get a new cell when they fall due; a cell that reaches beyond the end of its subscription
loses these days when the end has come, and they are credited. Prices and discounts of a cell stay what they were.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date
from fractions import Fraction
from typing import Final

from billing.contracts import pricing
from billing.contracts.contract_charge import ONE, PIECE, ContractCharge
from billing.contracts.days import DAY, Days
from billing.contracts.discount import Given, Line, Target, on_plan
from billing.contracts.plan import Timing
from billing.contracts.pricing import IndexOn, Missing, Price
from billing.contracts.proration import part_minor
from billing.contracts.recurrence import Period, period_of
from billing.contracts.standing import Cell, Standing, Subscription
from billing.invoices.document import LineKind
from billing.money import Money, allocate

CELLS_MAX: Final = 600
"""Of one subscription at once: fifty years of months. What is left comes the next time."""


@dataclass(frozen=True, slots=True)
class Hold:
    """What would have fallen due and cannot be charged, and why."""

    source: str
    why: str


@dataclass(frozen=True, slots=True)
class NewCell:
    """Days that are billed now, and their charge."""

    subscription: int
    line: int
    cell: Cell
    charge: ContractCharge


@dataclass(frozen=True, slots=True)
class Shrunk:
    """A cell that ends sooner, and the charge that takes back what it billed beyond."""

    source: str
    until: date
    charge: ContractCharge


@dataclass(slots=True)
class Accrued:
    """What is to be done of a contract. `next_on`: when to look again; None: no more."""

    cells: list[NewCell] = field(default_factory=list)
    shrunk: list[Shrunk] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    next_on: date | None = None

    def look_on(self, day: date | None) -> None:
        if day is not None:
            self.next_on = day if self.next_on is None else min(self.next_on, day)


def accrue(contract: Standing, until: date, index_on: IndexOn) -> Accrued:
    """What of its subscriptions has fallen due up to a day, that day too."""
    done = Accrued()
    for subscription in contract.subscriptions:
        cells = _taken_back(contract, subscription, until, done)
        _extend(contract, subscription, cells, until, index_on, done)
    return done


def _taken_back(contract: Standing, subscription: Subscription, until: date, done: Accrued) -> list[Cell]:
    """Cells as they are once the days beyond the end are credited; those whose end has not come stay."""
    end = contract.days_of(subscription).until
    cells = []
    for cell in subscription.cells:
        if end is None or cell.until <= end or cell.days.is_empty:
            cells.append(cell)
        elif end > until:
            done.look_on(end)
            cells.append(cell)
        else:
            shorter = Days(cell.days.first, max(end, cell.days.first))
            assert shorter.until is not None, "it was just given one"
            done.shrunk.append(Shrunk(cell.source, shorter.until, _credit(contract, subscription, cell, shorter.until)))
            cells.append(replace(cell, days=shorter))
    return cells


def _credit(contract: Standing, subscription: Subscription, cell: Cell, until: date) -> ContractCharge:
    """What the days of a cell from `until` on were billed, after discounts; taxed as they were."""
    back = Days(until, cell.until)
    taken = part_minor(cell.net_minor, cell.period, back)
    return ContractCharge(
        source=f"{cell.source}:credit:{until.isoformat()}",
        kind=LineKind.SUBSCRIPTION,
        contract=contract.id,
        subscription=subscription.id,
        name=cell.name,
        description=_share(back, cell.period),
        quantity=-ONE,
        unit=PIECE,
        unit_price=Money(taken, cell.currency).decimal,
        currency=cell.currency,
        price_with_tax=cell.price_with_tax,
        supply=cell.supply,
        country=cell.country,
        tax_point=cell.tax_point,
        due_on=until,
        days=back,
        corrects=cell.source,
    )


def _extend(
    contract: Standing, subscription: Subscription, cells: list[Cell], until: date, index_on: IndexOn, done: Accrued
) -> None:
    days = contract.days_of(subscription)
    begin = max([cell.until for cell in cells if not cell.days.is_empty], default=days.first)
    sources = {cell.source for cell in cells}
    for _ in range(CELLS_MAX):
        if begin not in days:
            return
        plan, anchor = subscription.plan, subscription.anchor
        period = period_of(plan.interval, anchor, begin)
        due_on = max(period.first, days.first) if plan.timing is Timing.ADVANCE else _end_of(period, days) - DAY
        if due_on > until:
            done.look_on(due_on)
            return
        part = Days(begin, _next_cut(contract, subscription, begin, _end_of(period, days)))
        source = _source(subscription.id, begin, sources)
        cell = _cell(contract, subscription, part, period, source, index_on)
        if isinstance(cell, Missing):
            done.holds.append(Hold(source, cell.why))
            done.look_on(due_on)
            return
        charge = _charge(contract, subscription, cell[0], cell[1], due_on)
        done.cells.append(NewCell(subscription.id, subscription.line, cell[0], charge))
        sources.add(source)
        begin = cell[0].until
    done.look_on(begin)


def _end_of(period: Period, days: Days) -> date:
    """The day after the last that a subscription has of a period."""
    return period.until if days.until is None else min(period.until, days.until)


def _source(subscription: int, day: date, taken: set[str]) -> str:
    """A day that was billed, taken back and is billed again has a number."""
    first = f"subscription:{subscription}:{day.isoformat()}"
    names = (first if number == 1 else f"{first}:{number}" for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def _next_cut(contract: Standing, subscription: Subscription, day: date, end: date) -> date:
    """Up to where the price and the discounts of a day hold, `end` at most."""
    found = pricing.cuts(subscription.plan.pricing, subscription.priced_from)
    for each in contract.discounts:
        if each.target is Target.PLANS and each.only in (None, subscription.plan_id):
            found += [bound for bound in (each.days.first, each.days.until) if bound is not None]
    return min([end, *(cut for cut in found if cut > day)])


def _cell(
    contract: Standing, subscription: Subscription, part: Days, period: Period, source: str, index_on: IndexOn
) -> tuple[Cell, Price] | Missing:
    price = _price(subscription, part.first, period, index_on)
    if isinstance(price, Missing):
        return price
    discounts = _discounts(contract, subscription, part.first, period, index_on)
    if isinstance(discounts, Missing):
        return discounts
    plan, gross = subscription.plan, _gross_minor(subscription, price)
    assert part.until is not None, "what is billed has an end"
    cell = Cell(
        source=source, days=part, period=period, price=price.amount, gross_minor=gross, discounts=tuple(discounts),
        name=plan.name, currency=plan.currency, price_with_tax=plan.price_with_tax, supply=plan.supply,
        country=contract.country, tax_point=part.until - DAY,
    )  # fmt: skip
    return cell, price


def _price(subscription: Subscription, day: date, period: Period, index_on: IndexOn) -> Price | Missing:
    """Steps count from their day on, an index from the first period that begins with it."""
    plan, start = subscription.plan, subscription.priced_from
    if isinstance(plan.pricing, pricing.Indexed):
        day = max(period.first, start)
    return pricing.price_on(plan.pricing, day, start=start, index_on=index_on)


def _gross_minor(subscription: Subscription, price: Price) -> int:
    exact = Fraction(subscription.quantity) * Fraction(price.amount)
    return Money.round_from(exact, subscription.plan.currency).minor


def _discounts(
    contract: Standing, subscription: Subscription, day: date, period: Period, index_on: IndexOn
) -> list[Given] | Missing:
    """What is taken from the whole period. An amount that others share needs their prices too."""
    if not any(each.is_for(Target.PLANS, subscription.plan_id, day) for each in contract.discounts):
        return []
    lines = []
    for other in contract.subscriptions:
        theirs = period_of(other.plan.interval, other.anchor, day)
        if day not in contract.days_of(other) or theirs.days != period.days:
            continue
        price = _price(other, day, theirs, index_on)
        if isinstance(price, Missing):
            return price
        lines.append(
            Line(
                key=str(other.id),
                name=other.plan_id,
                gross_minor=_gross_minor(other, price),
                begins=other.begins,
                interval=other.plan.interval,
                anchor=other.anchor,
                period=theirs,
                charged_until=contract.charged_until.get(other.line, {}),
            )
        )
    own = next(line for line in lines if line.key == str(subscription.id))
    return on_plan(contract.discounts, own, lines, day)


def _charge(contract: Standing, subscription: Subscription, cell: Cell, price: Price, due_on: date) -> ContractCharge:
    """A whole period at its price, or a part of it as one piece at what the part costs."""
    is_whole = cell.days == cell.period.days
    net = part_minor(cell.net_minor, cell.period, cell.days)
    gross = max(net, part_minor(cell.gross_minor, cell.period, cell.days))
    counted = f"{subscription.quantity.normalize():f} x {price.amount:f} x {_share(cell.days, cell.period)}"
    told = (subscription.plan.description, price.why, None if is_whole else counted)
    return ContractCharge(
        source=cell.source,
        kind=LineKind.SUBSCRIPTION,
        contract=contract.id,
        subscription=subscription.id,
        name=cell.name,
        description="; ".join(each for each in told if each) or None,
        quantity=subscription.quantity if is_whole else ONE,
        unit=subscription.plan.unit if is_whole else PIECE,
        unit_price=price.amount if is_whole else Money(gross, cell.currency).decimal,
        currency=cell.currency,
        price_with_tax=cell.price_with_tax,
        supply=cell.supply,
        country=cell.country,
        tax_point=cell.tax_point,
        due_on=due_on,
        days=cell.days,
        discounts=_shared(cell.discounts, gross - net),
    )


def _shared(discounts: tuple[Given, ...], minor: int) -> tuple[Given, ...]:
    """What is taken from a part, by what each takes from the whole."""
    if not discounts:
        return ()
    parts = allocate(minor, [each.minor for each in discounts])
    return tuple(Given(each.discount, each.label, part) for each, part in zip(discounts, parts, strict=True) if part)


def _share(days: Days, period: Period) -> str:
    assert days.until is not None, "a part of a period ends"
    return f"{(days.until - days.first).days}/{period.length}"
