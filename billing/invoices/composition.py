"""Lines, taxes and totals of a document from what waits to be invoiced (RULES.md 21, tariffs' invariants 12, 13, 18). Pure.

Every amount of a document is worked out here, once, in integers of the minor unit; an amount is rounded where a line or a
tax group comes into being, and nowhere else. The order in which charges are handed over changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from decimal import Decimal
from fractions import Fraction
from typing import Final, TypedDict

from billing.invoices.charge import BilledCharge, PricedCharge
from billing.invoices.document import GroupBy, Line, LineKind, Tax, TaxGroup, TaxMode
from billing.money import allocate, minor_digits, round_units

ONE: Final = Decimal(1)
PIECE: Final = "C62"
"""UN/ECE recommendation 20: one."""
_KINDS: Final = tuple(LineKind)


class Amounts(TypedDict):
    """The three amounts of a line."""

    net_minor: int
    tax_minor: int
    gross_minor: int


class CannotBeInvoiced(ValueError):
    """This charge fits on no invoice: the text says which and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxedCharge:
    """Something at a price with the tax that was found for it."""

    charge: PricedCharge
    tax: Tax


@dataclass(frozen=True, slots=True, kw_only=True)
class Discount:
    """Less on the lines of `sources`, on all unless said: a percentage, or an amount in the terms of the tax mode."""

    name: str
    percent: Decimal | None = None
    amount_minor: int | None = None
    sources: frozenset[str] | None = None

    def __post_init__(self) -> None:
        assert (self.percent is None) != (self.amount_minor is None), "a discount is a percentage or an amount"


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """The figures of a document."""

    lines: tuple[Line, ...]
    tax_groups: tuple[TaxGroup, ...]

    @property
    def gross_minor(self) -> int:
        return sum(group.gross_minor for group in self.tax_groups)


def tax_mode(charges: Iterable[BilledCharge | TaxedCharge], *, private: bool, per_line: bool = False) -> TaxMode:
    """How the tax of a document follows: gross is kept for private customers, and where any price is meant with tax."""
    if private or any(_price_with_tax(each) for each in charges):
        return TaxMode.KEEP_GROSS
    return TaxMode.PER_LINE if per_line else TaxMode.SUM_THEN_ROUND


def _price_with_tax(each: BilledCharge | TaxedCharge) -> bool:
    return each.price_with_tax if isinstance(each, BilledCharge) else each.charge.price_with_tax


def compose(
    charges: Sequence[BilledCharge | TaxedCharge],
    *,
    mode: TaxMode,
    currency: str,
    discounts: Sequence[Discount] = (),
    grouped_by: Sequence[GroupBy] = (),
) -> Composed:
    """Work out a document.

    What a fee gives back, such as the rest of a period after an upgrade, is a line below zero: as much as the same tax's
    other lines come to, and no more.

    Raises:
        CannotBeInvoiced: a charge is in another currency, comes twice, or would take a tax group below zero.
    """
    _require_fitting(charges, currency)
    drafts = [line for each in charges for line in _drafts(each, mode, currency)]
    drafts.sort(key=lambda line: _place(line, grouped_by))
    drafts = _discounted(drafts, discounts, mode)
    _require_no_credit(drafts, mode)
    groups = _groups(drafts, mode)
    lines = _taxed(drafts, groups, mode)
    return Composed(
        lines=tuple(replace(line, position=n) for n, line in enumerate(lines, start=1)), tax_groups=tuple(groups)
    )


def _require_fitting(charges: Sequence[BilledCharge | TaxedCharge], currency: str) -> None:
    seen = set()
    for each in charges:
        bare = each if isinstance(each, BilledCharge) else each.charge
        if bare.currency != currency:
            raise CannotBeInvoiced(f"{bare.source} is in {bare.currency}, the document in {currency}")
        if bare.source in seen:
            raise CannotBeInvoiced(f"{bare.source} comes twice")
        seen.add(bare.source)


def _require_no_credit(lines: Sequence[Line], mode: TaxMode) -> None:
    bases: dict[Tax, int] = {}
    for line in lines:
        bases[line.tax] = bases.get(line.tax, 0) + base_of(line, mode)
    for tax, base in bases.items():
        if base < 0:
            back = next(line.source for line in lines if line.tax == tax and base_of(line, mode) < 0)
            raise CannotBeInvoiced(
                f"{back} gives back more than is to pay under {tax.category} {tax.rate} %: it waits for a document that bears it"
            )


def _place(line: Line, grouped_by: Sequence[GroupBy]) -> tuple[object, ...]:
    """By group, kind, time, source and tax: never by the order in which charges came."""
    groups = tuple(line.labels.get(each.value, "") for each in grouped_by)
    when = "" if line.session is None else line.session.ended_at.astimezone(UTC).isoformat()
    return (groups, _KINDS.index(line.kind), when, line.days or (), line.source, line.tax.order)


def _drafts(each: BilledCharge | TaxedCharge, mode: TaxMode, currency: str) -> list[Line]:
    """Lines with their amount in the terms of the mode: gross or net; the other two are still to be worked out."""
    if isinstance(each, BilledCharge):
        return _of_bill(each)
    charge, factor = each.charge, Fraction(1)
    if mode is TaxMode.KEEP_GROSS and not charge.price_with_tax:
        factor = 1 + _rate(each.tax)
    elif mode is not TaxMode.KEEP_GROSS and charge.price_with_tax:
        factor = 1 / (1 + _rate(each.tax))
    scale = factor * 10 ** minor_digits(currency)
    exact = Fraction(charge.quantity) * Fraction(charge.unit_price)
    minor = round_units((exact - Fraction(charge.discount)) * scale)
    return [
        Line(
            position=0, kind=charge.kind, source=charge.source, name=charge.name, description=charge.description,
            quantity=charge.quantity, unit=charge.unit, unit_price=charge.unit_price if factor == 1 else None, tax=each.tax,
            days=charge.days, labels=dict(charge.labels), discount_minor=round_units(exact * scale) - minor,
            discount_name=charge.discount_name, **_amount(minor, mode),
        )
    ]  # fmt: skip


def _of_bill(each: BilledCharge) -> list[Line]:
    lines = []
    single = len(each.parts) == 1
    kwh = Decimal(each.session.energy_wh) / 1000
    for part in sorted(each.parts, key=lambda part: part.tax.order):
        if part.gross_minor < 0 or part.net_minor < 0:
            raise CannotBeInvoiced(f"{each.source} is below zero: it is a credit, not an invoice's line")
        lines.append(
            Line(
                position=0, kind=LineKind.SESSION, source=each.source, name=each.name, description=each.description,
                quantity=kwh if single else ONE, unit="KWH" if single else PIECE, unit_price=None, tax=part.tax,
                net_minor=part.net_minor, tax_minor=part.tax_minor, gross_minor=part.gross_minor,
                days=(each.day, each.day), labels=dict(each.labels), session=each.session,
            )
        )  # fmt: skip
    return lines


def _amount(minor: int, mode: TaxMode) -> Amounts:
    if mode is TaxMode.KEEP_GROSS:
        return {"net_minor": 0, "tax_minor": minor, "gross_minor": minor}
    return {"net_minor": minor, "tax_minor": 0, "gross_minor": minor}


def base_of(line: Line, mode: TaxMode) -> int:
    """The amount of a line in the terms of the mode."""
    return line.gross_minor if mode is TaxMode.KEEP_GROSS else line.net_minor


def _rate(tax: Tax) -> Fraction:
    return Fraction(tax.rate) / 100


def _discounted(lines: list[Line], discounts: Sequence[Discount], mode: TaxMode) -> list[Line]:
    for discount in discounts:
        chosen = [
            n
            for n, line in enumerate(lines)
            if base_of(line, mode) > 0 and (discount.sources is None or line.source in discount.sources)
        ]
        shares = _shares([lines[n] for n in chosen], discount, mode)
        for n, share in zip(chosen, shares, strict=True):
            if share:
                lines[n] = _less(lines[n], share, discount.name, mode)
    return lines


def _shares(lines: Sequence[Line], discount: Discount, mode: TaxMode) -> list[int]:
    """What each line gives: over tax groups first, then over the lines of each, by largest remainder in a fixed order."""
    bases = [base_of(line, mode) for line in lines]
    whole = sum(bases)
    if discount.percent is not None:
        wanted = round_units(whole * Fraction(discount.percent) / 100)
    else:
        wanted = discount.amount_minor or 0
    wanted = min(max(wanted, 0), whole)
    if not wanted:
        return [0] * len(lines)
    taxes = sorted({line.tax.order for line in lines})
    by_tax = {tax: [n for n, line in enumerate(lines) if line.tax.order == tax] for tax in taxes}
    parts = allocate(wanted, [sum(bases[n] for n in by_tax[tax]) for tax in taxes])
    shares = [0] * len(lines)
    for tax, part in zip(taxes, parts, strict=True):
        members = sorted(by_tax[tax], key=lambda n: (lines[n].source, lines[n].tax.order))
        for n, share in zip(members, allocate(part, [bases[n] for n in members]), strict=True):
            shares[n] = share
    return shares


def _less(line: Line, share: int, name: str, mode: TaxMode) -> Line:
    left = base_of(line, mode) - share
    assert left >= 0, "no line goes below zero"
    told = name if line.discount_name is None else f"{line.discount_name}, {name}"
    return replace(line, discount_minor=line.discount_minor + share, discount_name=told, **_amount(left, mode))


def _groups(lines: Sequence[Line], mode: TaxMode) -> list[TaxGroup]:
    bases: dict[Tax, list[int]] = {}
    for line in lines:
        bases.setdefault(line.tax, []).append(base_of(line, mode))
    return [_group(tax, bases[tax], mode) for tax in sorted(bases, key=lambda tax: tax.order)]


def _group(tax: Tax, bases: Sequence[int], mode: TaxMode) -> TaxGroup:
    rate, whole = _rate(tax), sum(bases)
    match mode:
        case TaxMode.KEEP_GROSS:
            net = round_units(whole / (1 + rate))
            return TaxGroup(tax=tax, net_minor=net, tax_minor=whole - net)
        case TaxMode.SUM_THEN_ROUND:
            return TaxGroup(tax=tax, net_minor=whole, tax_minor=round_units(whole * rate))
        case TaxMode.PER_LINE:
            return TaxGroup(tax=tax, net_minor=whole, tax_minor=sum(round_units(base * rate) for base in bases))


def _taxed(lines: Sequence[Line], groups: Sequence[TaxGroup], mode: TaxMode) -> list[Line]:
    """The lines with all three amounts, which add up to their groups'; a line for the cents by which shown nets differ."""
    if mode is TaxMode.KEEP_GROSS:
        done = [_net_of_gross(line) for line in lines]
        return done + [line for group in groups for line in rounding_lines(done, group)]
    taxes: dict[int, int] = {}
    for group in groups:
        members = [n for n, line in enumerate(lines) if line.tax == group.tax]
        by_source = sorted(members, key=lambda n: lines[n].source)
        if mode is TaxMode.PER_LINE:
            taxes |= {n: round_units(lines[n].net_minor * _rate(group.tax)) for n in members}
        else:
            taxes |= dict(zip(by_source, spread(group.tax_minor, [lines[n].net_minor for n in by_source]), strict=True))
    return [replace(line, tax_minor=taxes[n], gross_minor=line.net_minor + taxes[n]) for n, line in enumerate(lines)]


def spread(total_minor: int, bases: Sequence[int]) -> list[int]:
    """As allocate(), where some weights are below zero and their sum is not: each part is off by less than one unit."""
    whole = sum(bases)
    if not whole:
        assert not total_minor, "nothing is spread over nothing"
        return [0] * len(bases)
    shares = [divmod(total_minor * base, whole) for base in bases]
    parts = [part for part, _ in shares]
    for n in sorted(range(len(parts)), key=lambda n: (-shares[n][1], n))[: total_minor - sum(parts)]:
        parts[n] += 1
    assert sum(parts) == total_minor, "a split must lose nothing"
    return parts


def _net_of_gross(line: Line) -> Line:
    if line.kind is LineKind.SESSION and not line.discount_minor:
        return line  # as the session's own bill told it
    net = round_units(line.gross_minor / (1 + _rate(line.tax)))
    return replace(line, net_minor=net, tax_minor=line.gross_minor - net)


def rounding_lines(lines: Sequence[Line], group: TaxGroup) -> list[Line]:
    """The cents by which the nets of a tax group's lines differ from its own, if they do."""
    shown = sum(line.net_minor for line in lines if line.tax == group.tax)
    cents = group.net_minor - shown
    if not cents:
        return []
    tax = group.tax
    return [
        Line(
            position=0, kind=LineKind.ROUNDING, source=f"rounding:{tax.category}:{tax.rate}", name="rounding",
            quantity=ONE, unit=PIECE, unit_price=None, tax=tax, net_minor=cents, tax_minor=-cents, gross_minor=0,
        )
    ]  # fmt: skip
