"""Amounts by component and tax rate, and what waiving, min_price and max_price do to them. Exact; rounds nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Final

from billing.rating.rating import Adjustment, ComponentName, Note
from billing.tariffs.tariff import PriceLimit, TaxIncluded

BucketKey = tuple[ComponentName, Decimal | None]


@dataclass(frozen=True, slots=True)
class Amount:
    """Exact net and tax, in the major unit."""

    net: Fraction = Fraction(0)
    tax: Fraction = Fraction(0)

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.net + other.net, self.tax + other.tax)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.net - other.net, self.tax - other.tax)

    @property
    def gross(self) -> Fraction:
        """Net plus tax."""
        return self.net + self.tax


_NOTHING: Final = Amount()

Buckets = dict[BucketKey, Amount]
"""The total, divided by component and VAT rate."""


def add_up(amounts: Iterable[Amount]) -> Amount:
    """The sum of amounts."""
    total = None
    for amount in amounts:
        total = amount if total is None else total + amount
    return total or _NOTHING


def by_rate(buckets: Buckets) -> dict[Decimal | None, Amount]:
    """The total divided by VAT rate: rates in rising order, no rate last, whatever order the lines have."""
    if len(buckets) == 1:
        return {rate: amount for (_, rate), amount in buckets.items()}
    rates = sorted({rate for _, rate in buckets if rate is not None})
    no_rate: list[Decimal | None] = [None] if any(rate is None for _, rate in buckets) else []
    return {rate: add_up(amount for (_, own), amount in buckets.items() if own == rate) for rate in [*rates, *no_rate]}


def waive(buckets: Buckets, kept: frozenset[ComponentName]) -> Buckets:
    """The buckets with every component but the kept ones at zero."""
    return {key: amount if key[0] in kept else Amount() for key, amount in buckets.items()}


def raise_to(limit: PriceLimit, buckets: Buckets, fallback: BucketKey, *, taxed: bool) -> Buckets:
    """The buckets with the totals before and after tax raised to min_price, each by itself."""
    return _clamp(limit, buckets, fallback, pick=max, taxed=taxed)


def cut_to(limit: PriceLimit, buckets: Buckets, fallback: BucketKey, *, taxed: bool) -> Buckets:
    """The buckets with the totals before and after tax cut to max_price, each by itself."""
    return _clamp(limit, buckets, fallback, pick=min, taxed=taxed)


def _clamp(
    limit: PriceLimit,
    buckets: Buckets,
    fallback: BucketKey,
    *,
    pick: Callable[[Fraction, Fraction], Fraction],
    taxed: bool,
) -> Buckets:
    """Move the totals to a limit; nets scale by one factor and taxes by another, so the groups keep their proportion.

    Without a limit after tax the tax scales as the net does. Where there is nothing to scale, `fallback` takes all, at
    its own rate. Where no tax applies (N/A) only the limit before tax means anything.
    """
    total = add_up(buckets.values())
    net = pick(total.net, Fraction(limit.before_taxes))
    if not taxed:
        tax = Fraction(0)
    elif limit.after_taxes is not None:
        tax = pick(total.gross, Fraction(limit.after_taxes)) - net
    elif total.net:
        tax = total.tax * net / total.net
    else:
        tax = net * rate_of(fallback[1])
    if (net, tax) == (total.net, total.tax):
        return buckets
    nets = _scale({key: amount.net for key, amount in buckets.items()}, net, fallback)
    weights = {key: amount.tax for key, amount in buckets.items()}
    taxes = _scale(weights if total.tax else nets, tax, fallback)
    return {key: Amount(nets.get(key, Fraction(0)), taxes.get(key, Fraction(0))) for key in nets | taxes}


def _scale(parts: dict[BucketKey, Fraction], total: Fraction, fallback: BucketKey) -> dict[BucketKey, Fraction]:
    whole = sum(parts.values())
    if not whole:
        return dict.fromkeys(parts, Fraction(0)) | {fallback: total}
    return {key: part * total / whole for key, part in parts.items()}


@lru_cache(maxsize=256)
def rate_of(vat: Decimal | None) -> Fraction:
    """A VAT percentage as a factor; none named is 0."""
    return Fraction(vat or 0) / 100


def split_tax(amount: Fraction, vat: Decimal | None, tax_included: TaxIncluded) -> Amount:
    """An amount at the tariff's prices as net and tax: tax on top, taken out of the price, or none."""
    factor = rate_of(vat)
    match tax_included:
        case TaxIncluded.NO:
            return Amount(amount, amount * factor)
        case TaxIncluded.YES:
            net = amount / (1 + factor)
            return Amount(net, amount - net)
        case TaxIncluded.NOT_APPLICABLE:
            return Amount(amount)


def adjustments(note: Note, before: Buckets, after: Buckets) -> list[Adjustment]:
    """One line per tax group for what lies between two states of the buckets."""
    old, new = by_rate(before), by_rate(after)
    changes = {rate: new.get(rate, Amount()) - old.get(rate, Amount()) for rate in new | old}
    return [
        Adjustment(note=note, vat=rate, excl_tax=change.net, incl_tax=change.gross)
        for rate, change in changes.items()
        if change != Amount()
    ]
