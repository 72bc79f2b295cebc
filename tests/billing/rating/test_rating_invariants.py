"""What holds for every tariff and every session."""

from __future__ import annotations

from dataclasses import replace
from datetime import time, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.money import Money
from billing.rating.engine import rate
from billing.rating.explanation import recompute
from billing.rating.policy import DEFAULT_POLICY, PRICE_POLICY, RatingPolicy
from billing.rating.rating import Note, Rating, Segment
from billing.rating.rating_json import rating_from_json, rating_to_json
from billing.rating.usage import PeriodKind, Usage
from billing.tariffs.tariff import (
    Component,
    Dimension,
    Element,
    ReservationKind,
    Restrictions,
    Tariff,
    TaxIncluded,
)
from tests.billing.rating.worlds import cuts, tariffs, until, usages
from tests.examples import tried

FEW = tried(60)
MANY = settings(max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
WINDOWS = [(time(0), time(2, 30)), (time(2, 30), time(8)), (time(8), time(20)), (time(20), time(0))]


def lines_net(rating: Rating) -> Fraction:
    segments = sum((line.excl_tax for line in rating.segments), Fraction(0))
    return segments + sum((line.excl_tax for line in rating.adjustments), Fraction(0))


def lines_gross(rating: Rating) -> Fraction:
    segments = sum((line.incl_tax for line in rating.segments), Fraction(0))
    return segments + sum((line.incl_tax for line in rating.adjustments), Fraction(0))


def check_sums(rating: Rating) -> None:
    """Lines, components and tax groups add up to the totals, exactly and rounded; net plus tax is gross per rate."""
    zero = Money(0, rating.currency)
    assert lines_net(rating) == rating.excl_tax
    assert lines_gross(rating) == rating.incl_tax
    assert sum(part.excl_tax_exact for part in rating.components) == rating.excl_tax
    assert sum((part.excl_tax for part in rating.components), zero) == rating.total_excl
    assert sum(group.net_exact + group.tax_exact for group in rating.tax_groups) == rating.incl_tax
    assert sum((group.net for group in rating.tax_groups), zero) == rating.total_excl
    assert sum((group.tax for group in rating.tax_groups), zero) == rating.total_tax
    assert rating.total_excl + rating.total_tax == rating.total_incl
    for group in rating.tax_groups:
        assert group.net.minor >= 0
        assert group.tax.minor >= 0
        if not rating.adjustments:
            assert group.tax_exact == group.net_exact * Fraction(group.vat or 0) / 100


@FEW
@given(usage=usages(), tariff=tariffs(), final=st.booleans(), policy=st.sampled_from([PRICE_POLICY, DEFAULT_POLICY]))
def test_lines_components_and_tax_groups_add_up_to_the_total(
    usage: Usage, tariff: Tariff, final: bool, policy: RatingPolicy
) -> None:
    check_sums(rate(usage, tariff, policy, final=final))


@pytest.mark.slow
@MANY
@given(usage=usages(), tariff=tariffs(), final=st.booleans())
def test_ten_thousand_random_sessions_add_up_to_their_totals(usage: Usage, tariff: Tariff, final: bool) -> None:
    rating = rate(usage, tariff, DEFAULT_POLICY, final=final)

    check_sums(rating)
    assert recompute(rating).total_incl == rating.total_incl


@FEW
@given(usage=usages(), tariff=tariffs(), final=st.booleans())
def test_an_explanation_recomputes_to_the_cent_and_a_stored_rating_loses_nothing(
    usage: Usage, tariff: Tariff, final: bool
) -> None:
    rating = rate(usage, tariff, DEFAULT_POLICY, final=final)
    again = recompute(rating)

    assert (again.total_excl, again.total_tax, again.total_incl) == (
        rating.total_excl,
        rating.total_tax,
        rating.total_incl,
    )
    assert rating_from_json(rating_to_json(rating)) == rating


@FEW
@given(data=st.data(), usage=usages(), tariff=tariffs())
def test_cutting_a_period_changes_nothing(data: st.DataObject, usage: Usage, tariff: Tariff) -> None:
    cut = data.draw(cuts(usage))

    assert rate(cut, tariff, PRICE_POLICY, final=True) == rate(usage, tariff, PRICE_POLICY, final=True)


def of(rating: Rating, *dimensions: Dimension) -> list[Segment]:
    return [segment for segment in rating.segments if segment.dimension in dimensions]


@FEW
@given(usage=usages(), tariff=tariffs())
def test_segments_tile_the_session_with_its_real_seconds_and_energy(usage: Usage, tariff: Tariff) -> None:
    everything = Element(components=tuple(Component(type=kind, price=Decimal(1)) for kind in Dimension))
    rating = rate(usage, replace(tariff, elements=(*tariff.elements, everything)), PRICE_POLICY, final=False)

    timed = (of(rating, Dimension.TIME, Dimension.PARKING_TIME), of(rating, Dimension.OCCUPANCY))
    for lines in (of(rating, Dimension.ENERGY), *timed):
        assert lines[0].start == usage.periods[0].start
        assert lines[-1].end == usage.periods[-1].end
        assert all(earlier.end == later.start for earlier, later in pairwise(lines))
    elapsed = (usage.periods[-1].end - usage.periods[0].start) // timedelta(microseconds=1)
    seconds = sum(line.quantity_used for line in of(rating, Dimension.TIME, Dimension.PARKING_TIME))
    assert seconds * 1_000_000 == elapsed
    energy = sum((period.energy_wh or Decimal(0) for period in usage.periods), Decimal(0))
    assert sum(line.quantity_used for line in of(rating, Dimension.ENERGY)) == energy == rating.energy_wh


@FEW
@given(usage=usages(), tariff=tariffs(limits=False))
def test_the_step_surplus_is_below_one_step_and_completes_the_last_priced_line(usage: Usage, tariff: Tariff) -> None:
    rating = rate(usage, tariff, PRICE_POLICY, final=True)

    for dimensions in ((Dimension.ENERGY,), (Dimension.TIME, Dimension.PARKING_TIME), (Dimension.OCCUPANCY,)):
        raised = [line for line in of(rating, *dimensions) if line.quantity_billed != line.quantity_used]
        assert len(raised) <= 1
        for line in raised:
            assert line.element is not None
            same = [other for other in of(rating, line.dimension) if other.element is not None and other.quantity_used]
            step = next(c.step for c in tariff.elements[line.element].components if c.type is line.dimension)
            assert line is same[-1]
            assert 0 < line.quantity_billed - line.quantity_used < step
            assert sum(other.quantity_billed for other in same) % step == 0


@FEW
@given(usage=usages(), tariff=tariffs(limits=False, step_max=1))
def test_a_step_of_one_adds_nothing_to_whole_quantities(usage: Usage, tariff: Tariff) -> None:
    rating = rate(usage, tariff, PRICE_POLICY, final=True)

    for dimension in (Dimension.ENERGY, Dimension.TIME, Dimension.PARKING_TIME, Dimension.OCCUPANCY):
        used = sum(line.quantity_used for line in of(rating, dimension) if line.element is not None)
        billed = sum(line.quantity_billed for line in of(rating, dimension))
        if used == int(used):
            assert billed == sum(line.quantity_used for line in of(rating, dimension))


@FEW
@given(usage=usages(), tariff=tariffs())
def test_a_final_total_lies_between_its_limits_and_tax_is_never_negative(usage: Usage, tariff: Tariff) -> None:
    rating = rate(usage, tariff, PRICE_POLICY, final=True)

    low, high = tariff.min_price, tariff.max_price
    assert low is None or high is not None or rating.excl_tax >= low.before_taxes
    assert high is None or rating.excl_tax <= high.before_taxes
    if tariff.tax_included is not TaxIncluded.NOT_APPLICABLE:
        assert high is None or high.after_taxes is None or rating.incl_tax <= high.after_taxes
        assert low is None or low.after_taxes is None or high is not None or rating.incl_tax >= low.after_taxes
    assert rating.incl_tax >= rating.excl_tax >= 0


@FEW
@given(usage=usages(), tariff=tariffs(limits=False), factor=st.integers(2, 9))
def test_prices_times_a_factor_give_totals_times_that_factor(usage: Usage, tariff: Tariff, factor: int) -> None:
    dearer = replace(
        tariff,
        elements=tuple(
            replace(e, components=tuple(replace(c, price=c.price * factor) for c in e.components))
            for e in tariff.elements
        ),
    )

    once, times = (rate(usage, each, PRICE_POLICY, final=True) for each in (tariff, dearer))
    assert times.excl_tax == once.excl_tax * factor
    assert times.incl_tax == once.incl_tax * factor


@FEW
@given(data=st.data(), usage=usages(), tariff=tariffs(), policy=st.sampled_from([PRICE_POLICY, DEFAULT_POLICY]))
def test_an_interim_never_falls_while_facts_are_appended(
    data: st.DataObject, usage: Usage, tariff: Tariff, policy: RatingPolicy
) -> None:
    length = int((usage.periods[-1].end - usage.periods[0].start).total_seconds())
    early, late = sorted(data.draw(st.tuples(st.integers(1, length), st.integers(1, length))))
    before, after = (rate(until(usage, seconds), tariff, policy, final=False) for seconds in (early, late))

    assert before.excl_tax <= after.excl_tax
    # With a limit before tax only, the tax follows the mix of rates of a total that is already cut.
    if tariff.max_price is None or tariff.max_price.after_taxes is not None:
        assert before.incl_tax <= after.incl_tax


@FEW
@given(usage=usages(), tariff=tariffs(), policy=st.sampled_from([PRICE_POLICY, DEFAULT_POLICY]))
def test_interim_plus_step_surplus_and_limits_is_the_final(usage: Usage, tariff: Tariff, policy: RatingPolicy) -> None:
    interim = rate(usage, tariff, policy, final=False)
    final = rate(usage, tariff, policy, final=True)
    unlimited = replace(tariff, min_price=None, max_price=None)
    plain = rate(usage, unlimited, PRICE_POLICY, final=False)

    surplus = sum(
        (line.excl_tax * (1 - Fraction(line.quantity_used) / Fraction(line.quantity_billed or 1)))
        for line in final.segments
        if line.note is Note.STEP_SURPLUS
    )
    waived = Note.WAIVED in final.notes
    net = Fraction(0) if waived else plain.excl_tax + surplus
    if tariff.min_price and not waived:
        net = max(net, Fraction(tariff.min_price.before_taxes))
    assert final.excl_tax == (min(net, Fraction(tariff.max_price.before_taxes)) if tariff.max_price else net)
    shown = Fraction(0) if waived else plain.excl_tax
    assert interim.excl_tax == (min(shown, Fraction(tariff.max_price.before_taxes)) if tariff.max_price else shown)
    assert interim.excl_tax <= final.excl_tax


@FEW
@given(usage=usages(), tariff=tariffs(limits=False), kind=st.sampled_from(ReservationKind))
def test_reservation_elements_never_price_a_session(usage: Usage, tariff: Tariff, kind: ReservationKind) -> None:
    reserving = tuple(replace(e, restrictions=replace(e.restrictions, reservation=kind)) for e in tariff.elements)

    alone = rate(usage, replace(tariff, elements=reserving), PRICE_POLICY, final=True)
    beside = rate(usage, replace(tariff, elements=(*tariff.elements, *reserving)), PRICE_POLICY, final=True)

    assert alone.total_incl.minor == 0
    assert beside == rate(usage, tariff, PRICE_POLICY, final=True)


@FEW
@given(
    usage=usages(kinds=(PeriodKind.RESERVATION_EXPIRED,)),
    tariff=tariffs(limits=False),
)
def test_session_elements_never_price_a_reservation(usage: Usage, tariff: Tariff) -> None:
    rating = rate(usage, tariff, PRICE_POLICY, final=True)

    assert rating.segments == ()
    assert rating.total_incl.minor == 0


@FEW
@given(usage=usages(), tariff=tariffs())
def test_an_element_that_never_matches_changes_nothing(usage: Usage, tariff: Tariff) -> None:
    dead = Element(
        components=tuple(Component(type=kind, price=Decimal(99), vat=Decimal(19)) for kind in Dimension),
        restrictions=Restrictions(max_kwh=Decimal(0)),
    )
    plain = rate(usage, tariff, PRICE_POLICY, final=True)
    behind = rate(usage, replace(tariff, elements=(*tariff.elements, dead)), PRICE_POLICY, final=True)
    ahead = rate(usage, replace(tariff, elements=(dead, *tariff.elements)), PRICE_POLICY, final=True)

    for other in (behind, ahead):
        assert (other.excl_tax, other.incl_tax) == (plain.excl_tax, plain.incl_tax)


@FEW
@given(usage=usages(), data=st.data())
def test_the_order_of_elements_that_never_match_together_changes_nothing(usage: Usage, data: st.DataObject) -> None:
    hours = [Restrictions(start_time=start, end_time=end) for start, end in WINDOWS]
    elements = tuple(
        Element(components=tuple(Component(type=kind, price=Decimal(rank)) for kind in Dimension), restrictions=window)
        for rank, window in enumerate(hours, start=1)
    )
    tariff = Tariff(id="HOURS", currency="EUR", elements=elements)
    shuffled = replace(tariff, elements=tuple(data.draw(st.permutations(elements))))

    assert rate(usage, shuffled, PRICE_POLICY, final=True).excl_tax == (
        rate(usage, tariff, PRICE_POLICY, final=True).excl_tax
    )
