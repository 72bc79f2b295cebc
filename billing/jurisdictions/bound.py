"""The most that a kWh can cost under a tariff, everything included; or what stands against such a bound. Pure.

For sessions that are metered in whole Wh and s, before a total is rounded to the currency's minor unit. Reservations are
not part of it, nor is what lies outside a tariff (taxes by rule, discounts).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from billing.rating.matching import Candidate, Menu, Phase, menu_of
from billing.tariffs.price_list import CHARGES, Charge, gross, reachable
from billing.tariffs.tariff import Dimension, PriceLimit, Tariff, TaxIncluded

_WH_PER_KWH: Final = 1000
_S_PER_HOUR: Final = 3600
_BY_TIME: Final = (Dimension.TIME, Dimension.OCCUPANCY, Dimension.PARKING_TIME)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """The sessions that are meant: at least so much energy, at most so long. None: any."""

    energy_kwh_min: Decimal | None = None
    duration_h_max: Decimal | None = None


ANY_SIZE: Final = Sizes()


@dataclass(frozen=True, slots=True)
class Bound:
    """No session of these sizes costs more per kWh, with tax where the tariff names its rate."""

    per_kwh: Fraction
    sizes: Sizes


@dataclass(frozen=True, slots=True)
class Unbounded:
    """The price per kWh has no bound; each charge that lifts it, with what would have to be known."""

    because: tuple[Charge, ...]


def highest_per_kwh(tariff: Tariff, sizes: Sizes = ANY_SIZE) -> Bound | Unbounded:
    """The bound, or every charge for which there is none at these sizes."""
    lifted = tuple(lifts(tariff, sizes))
    if lifted:
        return Unbounded(lifted)
    menu = menu_of(tariff, Phase.SESSION)
    energy = _highest(tariff, menu, Dimension.ENERGY)
    if sizes.energy_kwh_min is None:
        return Bound(energy, sizes)
    least = Fraction(sizes.energy_kwh_min)
    total = energy * (least + _steps(menu, Dimension.ENERGY, _WH_PER_KWH)) + _highest(tariff, menu, Dimension.FLAT)
    cap = _cap(tariff)
    time_cost = _time_cost(tariff, menu, sizes.duration_h_max)
    if time_cost is None or _follows_series(menu):
        assert cap is not None, "what has no bound by itself is lifted unless it is capped"
        return Bound(cap / least, sizes)
    total += time_cost
    if tariff.min_price is not None:
        total = max(total, _limit(tariff, tariff.min_price))
    return Bound((total if cap is None else min(total, cap)) / least, sizes)


def lifts(tariff: Tariff, sizes: Sizes = ANY_SIZE) -> Iterator[Charge]:
    """Each charge that makes the price per kWh grow without a bound in sessions of these sizes."""
    menu = menu_of(tariff, Phase.SESSION)
    small = sizes.energy_kwh_min is None
    capped = _cap(tariff) is not None and not small
    stepped = small and _steps(menu, Dimension.ENERGY, _WH_PER_KWH) and _highest(tariff, menu, Dimension.ENERGY)
    if stepped or (_follows_series(menu) and not capped):
        yield Charge.ENERGY
    for dimension in _BY_TIME:
        if _highest(tariff, menu, dimension) and (small or sizes.duration_h_max is None) and not capped:
            yield CHARGES[Phase.SESSION, dimension]
    if small and _highest(tariff, menu, Dimension.FLAT):
        yield Charge.SESSION
    if small and tariff.min_price is not None and _limit(tariff, tariff.min_price):
        yield Charge.MINIMUM


def _reachable(menu: Menu, dimension: Dimension) -> tuple[Candidate, ...]:
    return tuple(reachable(menu.get(dimension, ())))


def _highest(tariff: Tariff, menu: Menu, dimension: Dimension) -> Fraction:
    """The dearest price, tiers included; what a series adds is not in it."""
    parts = [each.component for each in _reachable(menu, dimension)]
    asked = [
        (price, part.vat) for part in parts for price in (part.price, *(tier.price for tier in part.extensions.tiers))
    ]
    return max((gross(price, vat, tariff.tax_included) for price, vat in asked), default=Fraction(0))


def _follows_series(menu: Menu) -> bool:
    return any(each.component.extensions.series for each in _reachable(menu, Dimension.ENERGY))


def _steps(menu: Menu, dimension: Dimension, per_unit: int) -> Fraction:
    """How much a total can be rounded up at most, in units of the price; by less than one step."""
    longest = max((each.component.step for each in _reachable(menu, dimension)), default=1)
    return Fraction(longest - 1, per_unit)


def _time_cost(tariff: Tariff, menu: Menu, hours: Decimal | None) -> Fraction | None:
    """Charging and idle time share the session's hours, occupancy has all of them. None: nobody says how long it is."""
    prices = {each: _highest(tariff, menu, each) for each in _BY_TIME}
    if hours is None:
        return None if any(prices.values()) else Fraction(0)
    surplus = sum((price * _steps(menu, each, _S_PER_HOUR) for each, price in prices.items()), Fraction(0))
    shared = max(prices[Dimension.TIME], prices[Dimension.PARKING_TIME])
    return (shared + prices[Dimension.OCCUPANCY]) * Fraction(hours) + surplus


def _limit(tariff: Tariff, limit: PriceLimit) -> Fraction:
    """The most after tax to which a total can be raised."""
    after = limit.after_taxes
    taxed = tariff.tax_included is not TaxIncluded.NOT_APPLICABLE
    return Fraction(after) if taxed and after is not None else Fraction(limit.before_taxes) * _tax_factor(tariff)


def _cap(tariff: Tariff) -> Fraction | None:
    """The most after tax that max_price leaves. None: nothing is cut, or only before tax while tax has no bound.

    Where max_price says nothing of tax the tax is cut in proportion; min_price may have raised its share above any rate.
    """
    high, low = tariff.max_price, tariff.min_price
    if high is None:
        return None
    taxed = tariff.tax_included is not TaxIncluded.NOT_APPLICABLE
    if not taxed or high.after_taxes is not None or low is None or low.after_taxes is None:
        return _limit(tariff, high)
    if not low.before_taxes:
        return None
    return Fraction(high.before_taxes) * max(
        _tax_factor(tariff), Fraction(low.after_taxes) / Fraction(low.before_taxes)
    )


def _tax_factor(tariff: Tariff) -> Fraction:
    """A net amount times this holds the highest tax that any of the tariff's rates asks."""
    if tariff.tax_included is TaxIncluded.NOT_APPLICABLE:
        return Fraction(1)
    return 1 + max(Fraction(part.vat or 0) for element in tariff.elements for part in element.components) / 100
