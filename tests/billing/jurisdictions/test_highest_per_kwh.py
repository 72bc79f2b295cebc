"""The most that a kWh can cost: no session that the engine rates is dearer."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from billing.jurisdictions.bound import Bound, Sizes, Unbounded, highest_per_kwh
from billing.jurisdictions.display import display_price
from billing.jurisdictions.profile import profiles
from billing.rating.engine import rate
from billing.rating.policy import PRICE_POLICY
from billing.rating.terms import Terms
from billing.rating.usage import Usage
from billing.tariffs.price_list import Charge
from billing.tariffs.tariff import Component, Dimension, Element, Tariff
from tests.billing.jurisdictions.samples import part, plain, tariff
from tests.billing.rating.test_rating_invariants import FEW
from tests.billing.rating.test_tariff_extensions import extended, terms
from tests.billing.rating.worlds import tariffs, usages

WH_PER_KWH = 1000
HOUR = timedelta(hours=1)


def whole_wh(usage: Usage) -> Usage:
    """The usage in whole Wh, as meters count."""
    periods = (
        replace(each, energy_wh=None if each.energy_wh is None else Decimal(int(each.energy_wh)))
        for each in usage.periods
    )
    return replace(usage, periods=tuple(periods))


def paid_per_kwh(usage: Usage, priced: Tariff) -> Fraction:
    return rate(usage, priced, PRICE_POLICY, final=True).incl_tax / energy_kwh(usage)


def energy_kwh(usage: Usage) -> Fraction:
    return sum((Fraction(each.energy_wh or 0) for each in usage.periods), Fraction(0)) / WH_PER_KWH


@FEW
@given(priced=tariffs(), usage=usages().map(whole_wh))
def test_no_session_of_its_size_or_larger_costs_more_per_kwh(priced: Tariff, usage: Usage) -> None:
    energy = energy_kwh(usage)
    assume(energy)
    hours = Decimal(-(-(usage.periods[-1].end - usage.periods[0].start) // timedelta(minutes=6))) / 10

    bound = highest_per_kwh(priced, Sizes(energy_kwh_min=_exact(energy), duration_h_max=hours))

    assert isinstance(bound, Bound)
    assert paid_per_kwh(usage, priced) <= bound.per_kwh


@FEW
@given(priced=extended(), usage=usages().map(whole_wh), beside=terms())
def test_tiers_series_and_idle_fees_keep_the_maximum_too(priced: Tariff, usage: Usage, beside: Terms) -> None:
    energy = energy_kwh(usage)
    assume(energy)
    hours = Decimal(-(-(usage.periods[-1].end - usage.periods[0].start) // timedelta(minutes=6))) / 10
    bound = highest_per_kwh(priced, Sizes(energy_kwh_min=_exact(energy), duration_h_max=hours))
    paid = rate(usage, priced, PRICE_POLICY, final=True, terms=beside).incl_tax / energy

    assert paid <= bound.per_kwh if isinstance(bound, Bound) else bound.because == (Charge.ENERGY,)


def _exact(kwh: Fraction) -> Decimal:
    return Decimal(kwh.numerator) / Decimal(kwh.denominator)


def energy_alone(priced: Tariff) -> Tariff:
    """The tariff without what leaves the price per kWh open."""
    kept = [
        replace(element, components=tuple(replace(each, step_size=1) for each in parts))
        for element in priced.elements
        if (parts := tuple(each for each in element.components if each.type is Dimension.ENERGY))
    ]
    fallback = Element(components=(Component(type=Dimension.ENERGY, price=Decimal("0.79"), vat=Decimal(20)),))
    return replace(priced, elements=(*kept, fallback), min_price=None)


@FEW
@given(priced=tariffs().map(energy_alone), usage=usages().map(whole_wh), data=st.data())
def test_a_price_per_kwh_alone_is_bounded_for_every_session(priced: Tariff, usage: Usage, data: st.DataObject) -> None:
    assume(energy_kwh(usage))
    bound = highest_per_kwh(priced, data.draw(st.sampled_from([Sizes(), Sizes(duration_h_max=Decimal(1))])))

    assert isinstance(bound, Bound)
    assert paid_per_kwh(usage, priced) <= bound.per_kwh


@FEW
@given(priced=tariffs(), usage=usages().map(whole_wh))
def test_the_maximum_that_is_displayed_is_one(priced: Tariff, usage: Usage) -> None:
    assume(energy_kwh(usage))
    shown = display_price(priced, profiles()["uk-pcpr"]).highest

    assert shown is not None
    assert isinstance(shown, Unbounded) or paid_per_kwh(usage, priced) <= shown.per_kwh


@pytest.mark.parametrize(
    ("lifted", "priced"),
    [
        ((Charge.SESSION,), plain(part("FLAT", "0.35"))),
        ((Charge.TIME,), plain(part("TIME", "3.00"))),
        ((Charge.IDLE,), plain(part("PARKING_TIME", "3.00"), max_price={"before_taxes": 50})),
        ((Charge.MINIMUM,), plain(min_price={"before_taxes": 1})),
        ((Charge.ENERGY,), tariff(([part(step_size=500)], {}))),
        ((Charge.ENERGY,), tariff(([part(x_series={"name": "SPOT", "factor": 1, "fallback": 1})], {}))),
        ((Charge.OCCUPANCY,), plain(part("X_OCCUPANCY", "3.00"))),
    ],
)
def test_without_sizes_each_fee_leaves_the_price_per_kwh_open(lifted: tuple[Charge, ...], priced: Tariff) -> None:
    assert highest_per_kwh(priced) == Unbounded(lifted)


def test_worked_by_hand() -> None:
    """10 kWh in 2 h: 5.00 + 0.35 + 2 h at 3.00, the dearer of charging and idling, = 11.35; 1.135 per kWh."""
    fees = plain(part("FLAT", "0.35"), part("TIME", "1.50"), part("PARKING_TIME", "3.00"))
    sizes = Sizes(energy_kwh_min=Decimal(10), duration_h_max=Decimal(2))

    assert highest_per_kwh(fees, sizes) == Bound(Fraction("1.135"), sizes)


def test_occupancy_comes_on_top_of_charging_time() -> None:
    """10 kWh in 2 h: 5.00 + 2 h at 1.50 and at 6.00, and 59 s of a started minute at 0.10, = 20.0983; 2.00983 per kWh."""
    both = plain(part("TIME", "1.50"), part("X_OCCUPANCY", "6.00", step_size=60))
    sizes = Sizes(energy_kwh_min=Decimal(10), duration_h_max=Decimal(2))

    assert highest_per_kwh(both, sizes) == Bound(Fraction(200983333, 10**8) + Fraction(1, 3 * 10**8), sizes)


def test_the_dearest_tier_counts() -> None:
    rising = tariff(([part(x_tiers=[{"from_kwh": 100, "price": "0.70"}])], {}))

    assert highest_per_kwh(rising) == Bound(Fraction("0.7"), Sizes())


def test_a_step_adds_less_than_itself() -> None:
    """10 kWh in steps of 500 Wh: at most 10.499 kWh are billed, 5.2495 for 10 kWh."""
    sizes = Sizes(energy_kwh_min=Decimal(10))

    assert highest_per_kwh(tariff(([part(step_size=500)], {})), sizes) == Bound(Fraction("0.52495"), sizes)


def test_a_maximum_of_the_session_bounds_what_grows_with_time() -> None:
    """At most 20.00 before 20 % tax, so 24.00; over 10 kWh 2.40 per kWh."""
    capped = plain(part("TIME", "3.00"), max_price={"before_taxes": 20})
    sizes = Sizes(energy_kwh_min=Decimal(10))

    assert highest_per_kwh(capped, sizes) == Bound(Fraction("2.4"), sizes)


def test_a_minimum_that_raises_the_tax_alone_counts_in_the_maximum() -> None:
    """1 Wh is raised to 1.00 and, with tax, to 1.10; the maximum of 1.00 before tax cuts neither: 1100 per kWh."""
    odd = tariff(
        ([part(price="0", vat=None)], {}),
        min_price={"before_taxes": 1, "after_taxes": "1.1"},
        max_price={"before_taxes": 1},
    )
    sizes = Sizes(energy_kwh_min=Decimal("0.001"))

    assert highest_per_kwh(odd, sizes) == Bound(Fraction(1100), sizes)


def test_the_dearest_band_counts_and_one_that_nothing_reaches_does_not() -> None:
    bands = tariff(
        ([part(price="0.40")], {"start_time": "22:00", "end_time": "06:00"}), ([part()], {}), ([part(price="9")], {})
    )

    assert highest_per_kwh(bands) == Bound(Fraction("0.5"), Sizes())
