"""What surcharges, discounts and incentives do to the amounts of a session (RULES.md 28-30). Pure and exact.

Surcharges come after waiving and before min_price and max_price, so that max_price stays a promise; discounts after
both, so that min_price takes nothing back. Each acts on what those before it left of its part of the total, and
changes its tax groups in proportion: net and tax by one factor, never below zero. Incentives change neither price nor
tax, as what a third party pays belongs to the taxable amount (Directive 2006/112/EC, Article 73).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Final

from billing.money import Money, Rounding
from billing.rating import limits
from billing.rating.limits import Amount, BucketKey, Buckets
from billing.rating.rating import (
    Adjustment,
    Basis,
    ComponentName,
    Concession,
    Effect,
    Incentive,
    Note,
)
from billing.rating.terms import Terms
from billing.tariffs.tariff import TaxIncluded

_NOTES: Final = {Effect.SURCHARGE: Note.SURCHARGE, Effect.DISCOUNT: Note.DISCOUNT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """What concessions look at beside amounts. `fallback`: where a surcharge goes that finds nothing priced."""

    tax_included: TaxIncluded
    kwh: Fraction
    fallback: BucketKey
    terms: Terms

    def base(self, amount: Amount) -> Fraction:
        """An amount as the tariff states its prices."""
        return amount.gross if self.tax_included is TaxIncluded.YES else amount.net


def in_order(concessions: Iterable[Concession]) -> tuple[Concession, ...]:
    """As they act: by order, then by id."""
    return tuple(sorted(concessions, key=lambda each: (each.order, each.id)))


def apply(effect: Effect, buckets: Buckets, sale: Sale) -> tuple[Buckets, list[Adjustment]]:
    """The buckets after every surcharge or every discount, with the lines of each."""
    lines: list[Adjustment] = []
    given = Fraction(0)
    for each in sale.terms.concessions:
        if each.effect is not effect:
            continue
        if effect is Effect.SURCHARGE:
            changed = _surcharged(buckets, each, sale)
        elif each.basis is Basis.FREE_KWH:
            changed = _scaled(buckets, ComponentName.ENERGY, 1 - _free_share(each, sale.kwh - given))
            given += min(Fraction(each.left_kwh), sale.kwh - given)
        else:
            changed = _discounted(buckets, each, sale)
        made = limits.adjustments(_NOTES[effect], buckets, changed)
        lines += [replace(line, concession=each.id, label=each.label) for line in made]
        buckets = changed
    return buckets, lines


def _discounted(buckets: Buckets, each: Concession, sale: Sale) -> Buckets:
    """What is left of its part; a part that costs nothing stays as it is."""
    if each.basis is Basis.PERCENT:
        share = Fraction(each.value) / 100
    else:
        base = sale.base(_part(buckets, each.component))
        share = _worth(each, sale.kwh) / base if base > 0 else Fraction(0)
    return _scaled(buckets, each.component, 1 - min(Fraction(1), share))


def _free_share(each: Concession, kwh: Fraction) -> Fraction:
    """The share of the energy price that free kWh take, of the kWh that none before it made free.

    All of it before the first kWh, as at the first: else a surcharge on energy would be shown and then vanish.
    """
    left = Fraction(each.left_kwh)
    return left / kwh if left < kwh else Fraction(1 if left else 0)


def _surcharged(buckets: Buckets, each: Concession, sale: Sale) -> Buckets:
    """Its part raised; an amount on the total is a fee, at the rate of a tax rule or else at the total's rates.

    Where nothing is priced it is an amount of its own at its own rate.
    """
    if each.basis is Basis.PERCENT:
        return _scaled(buckets, each.component, 1 + Fraction(each.value) / 100)
    worth, base = _worth(each, sale.kwh), sale.base(_part(buckets, each.component))
    ruled = each.component is None and sale.terms.tax_of(ComponentName.FLAT) is not None
    if base <= 0 or ruled:
        key = _home(buckets, each, sale)
        return buckets | {key: buckets.get(key, Amount()) + limits.split_tax(worth, key[1], sale.tax_included)}
    if each.component is not None:
        return _scaled(buckets, each.component, 1 + worth / base)
    return _with_fee(buckets, worth / base)


def _with_fee(buckets: Buckets, share: Fraction) -> Buckets:
    """So much of the total more, as a fee at the total's rates: what other parts cost does not change."""
    fees: Buckets = {
        (ComponentName.FLAT, rate): Amount(amount.net * share, amount.tax * share)
        for rate, amount in limits.by_rate(buckets).items()
        if amount != Amount()
    }
    return buckets | {key: buckets.get(key, Amount()) + fee for key, fee in fees.items()}


def _home(buckets: Buckets, each: Concession, sale: Sale) -> BucketKey:
    """Where an amount goes that nothing is scaled for, and its rate: a tax rule's, else the part's, else its own."""
    component = each.component or ComponentName.FLAT
    if sale.tax_included is TaxIncluded.NOT_APPLICABLE:
        return component, None
    tax = sale.terms.tax_of(component)
    if tax is not None:
        return component, tax.rate
    if each.component is None and buckets:
        return component, sale.fallback[1]
    return next((key for key in buckets if key[0] is component), (component, each.vat))


def _worth(each: Concession, kwh: Fraction) -> Fraction:
    """The amount of a concession that is no share."""
    return Fraction(each.value) * kwh if each.basis is Basis.PER_KWH else Fraction(each.value)


def _part(buckets: Buckets, component: ComponentName | None) -> Amount:
    return limits.add_up(amount for (own, _), amount in buckets.items() if component in (None, own))


def _scaled(buckets: Buckets, component: ComponentName | None, factor: Fraction) -> Buckets:
    return {
        key: Amount(amount.net * factor, amount.tax * factor) if component in (None, key[0]) else amount
        for key, amount in buckets.items()
    }


def paid_by_others(
    concessions: Iterable[Concession], *, kwh: Fraction, exact: Fraction, total: Money, rounding: Rounding
) -> tuple[Incentive, ...]:
    """What third parties pay of a total with tax, in order; all of it at most.

    Whoever covers the exact rest pays all that is left: what was rounded before leaves no unit behind.
    """
    found: list[Incentive] = []
    for each in concessions:
        if each.effect is not Effect.INCENTIVE or each.party is None:
            continue
        worth = min(_worth(each, kwh), exact)
        rounded = Money.round_from(worth, total.currency, rounding)
        amount = total if worth == exact else min(rounded, total, key=lambda money: money.minor)
        if amount.minor > 0:
            found.append(Incentive(concession=each.id, label=each.label, party=each.party, amount=amount, exact=worth))
            exact, total = exact - worth, total - amount
    return tuple(found)


def effective(
    offered: Iterable[Concession], lines: Iterable[Adjustment], incentives: Iterable[Incentive]
) -> tuple[Concession, ...]:
    """Those that changed something."""
    told = {line.concession for line in lines} | {each.concession for each in incentives}
    return tuple(each for each in offered if each.id in told)


def free_kwh_of(offered: Iterable[Concession], energy_wh: Decimal) -> dict[str, Decimal]:
    """What a session of so much energy takes from the month's free kWh, by concession in the order in which they act."""
    taken: dict[str, Decimal] = {}
    rest = energy_wh.scaleb(-3)
    for each in offered:
        if each.basis is Basis.FREE_KWH:
            taken[each.id] = min(each.left_kwh, rest)
            rest -= taken[each.id]
    return taken
