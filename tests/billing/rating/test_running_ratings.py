"""An interim that goes on from what is known of a session's first periods is the one rated from the start."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from billing.rating.engine import rate
from billing.rating.policy import DEFAULT_POLICY
from billing.rating.running import Running, advance
from billing.rating.terms import NO_TERMS
from billing.rating.usage import Period, PeriodKind, Usage
from billing.tariffs.tariff import Tariff
from tests.billing.rating.worlds import part_of, tariffs, until, usages
from tests.examples import tried

FEW = tried(60)


@st.composite
def sampled(draw: st.DrawFn) -> Usage:
    """A session with many periods, reserved before it or not."""
    usage = draw(usages())
    periods = []
    for period in usage.periods:
        seconds = int((period.end - period.start).total_seconds())
        marks = sorted({0, seconds, *draw(st.lists(st.integers(0, seconds), max_size=5))})
        periods += [part_of(period, since, till) for since, till in pairwise(marks)]
    if draw(st.booleans()):
        start = periods[0].start - timedelta(hours=1)
        kept = Period(kind=PeriodKind.RESERVATION, start=start, end=periods[0].start)
        periods.insert(0, kept)
    return replace(usage, periods=tuple(periods))


@FEW
@given(data=st.data(), usage=sampled(), tariff=tariffs())
def test_going_on_from_any_beginning_gives_what_rating_from_the_start_gives(
    data: st.DataObject, usage: Usage, tariff: Tariff
) -> None:
    running: Running | None = None
    for count in sorted(data.draw(st.sets(st.integers(1, len(usage.periods)), min_size=1, max_size=5))):
        known = replace(usage, periods=usage.periods[:count])
        running = advance(running, known, tariff, NO_TERMS)
        for final in (False, True):
            afresh = rate(known, tariff, DEFAULT_POLICY, final=final)
            assert rate(known, tariff, DEFAULT_POLICY, final=final, running=running) == afresh


@FEW
@given(data=st.data(), usage=usages(), tariff=tariffs())
def test_the_period_that_is_still_growing_is_rated_as_it_is_now(
    data: st.DataObject, usage: Usage, tariff: Tariff
) -> None:
    running: Running | None = None
    for seconds in sorted(data.draw(st.lists(st.integers(1, 24 * 3600), min_size=1, max_size=6))):
        known = until(usage, seconds)
        running = advance(running, known, tariff, NO_TERMS)

        afresh = rate(known, tariff, DEFAULT_POLICY, final=False)
        assert rate(known, tariff, DEFAULT_POLICY, final=False, running=running) == afresh


@FEW
@given(data=st.data(), usage=usages(), tariff=tariffs(), other=tariffs())
def test_another_past_another_tariff_or_another_zone_is_rated_anew(
    data: st.DataObject, usage: Usage, tariff: Tariff, other: Tariff
) -> None:
    running = advance(None, usage, tariff, NO_TERMS)
    changed = data.draw(st.integers(0, len(usage.periods) - 1))
    periods = list(usage.periods)
    periods[changed] = replace(periods[changed], energy_wh=(periods[changed].energy_wh or Decimal(0)) + 1)
    past, zone = replace(usage, periods=tuple(periods)), replace(usage, time_zone="Asia/Tokyo")

    for known, applied in ((past, tariff), (zone, tariff), (usage, other)):
        afresh = rate(known, applied, DEFAULT_POLICY, final=False)
        assert rate(known, applied, DEFAULT_POLICY, final=False, running=running) == afresh
