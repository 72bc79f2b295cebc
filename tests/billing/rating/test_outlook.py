"""What a display is told of a running session's prices to come: the engine's own choice, ahead of time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from billing.rating.engine import rate
from billing.rating.outlook import NO_OUTLOOK, Grace, Outlook, Prices, outlook, prices_at_start
from billing.rating.policy import PRICE_POLICY
from billing.rating.rating import AppliedTax, ComponentName, Segment
from billing.rating.terms import Terms
from billing.rating.usage import Period, PeriodKind, Usage
from billing.tariffs.offer import taxed
from billing.tariffs.tariff import DAYS, Dimension, Tariff, parse_tariff
from tests.billing.rating.worlds import CLOCKS, components, tariffs, usages

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday
HOUR = timedelta(hours=1)
_DIMENSIONS = {
    PeriodKind.CHARGING: (Dimension.ENERGY, Dimension.TIME, Dimension.OCCUPANCY),
    PeriodKind.PARKING: (Dimension.ENERGY, Dimension.PARKING_TIME, Dimension.OCCUPANCY),
}


def _gone_on(usage: Usage, until: datetime) -> Usage:
    """The usage with its newest stretch going on; nothing flows, so that nothing but time changes."""
    last = usage.periods[-1]
    more = replace(last, start=last.end, end=until, energy_wh=Decimal(0) if last.power_w is None else None)
    return Usage(time_zone=usage.time_zone, periods=(*usage.periods, more))


def _price(segment: Segment, tariff: Tariff) -> Decimal:
    price = segment.unit_price
    return Decimal(0) if price is None else taxed(price, segment.vat, tariff.tax_included)


def _priced(usage: Usage, tariff: Tariff, at: datetime) -> Prices:
    """What the engine takes in the stretch that holds or begins with this instant."""
    kind = usage.periods[-1].kind
    return {
        each.dimension: _price(each, tariff)
        for each in rate(usage, tariff, PRICE_POLICY, final=False).segments
        if each.dimension in _DIMENSIONS[kind] and each.start <= at < each.end
    }


def _said(prices: Prices, usage: Usage) -> Prices:
    """Of both what charging costs and what parking costs, that which the newest stretch is priced by."""
    return {key: price for key, price in prices.items() if key in _DIMENSIONS[usage.periods[-1].kind]}


BY_TIME = st.fixed_dictionaries(
    {},
    optional={
        "start_time": st.sampled_from(CLOCKS),
        "end_time": st.sampled_from(CLOCKS),
        "day_of_week": st.lists(st.sampled_from(DAYS), min_size=1, unique=True),
        "min_duration": st.integers(0, 6 * 3600),
        "max_duration": st.integers(0, 6 * 3600),
    },
)


@st.composite
def _by_time(draw: st.DrawFn) -> Tariff:
    """Prices that only the clock and the duration change."""
    elements = [
        {"price_components": draw(components(list(Dimension), 1)), "restrictions": draw(BY_TIME)}
        for _ in range(draw(st.integers(1, 4)))
    ]
    included = draw(st.sampled_from(["YES", "NO", "N/A"]))
    return parse_tariff({"id": "RANDOM", "currency": "EUR", "tax_included": included, "elements": elements})


@given(usage=usages(), tariff=_by_time())
def test_what_is_foretold_is_what_the_engine_then_takes(usage: Usage, tariff: Tariff) -> None:
    seen, end = outlook(usage, tariff), usage.periods[-1].end
    until = end + timedelta(hours=24) if seen.change is None else seen.change.at
    onward = _gone_on(usage, until + HOUR)

    for part in range(8):
        assert _said(seen.now, usage) == _priced(onward, tariff, end + part * (until - end) / 8)
    assert _said(seen.now, usage) == _priced(onward, tariff, until - timedelta(microseconds=1))
    if seen.change is not None:
        assert seen.change.at > end
        assert seen.change.prices != seen.now
        assert _said(seen.change.prices, usage) == _priced(onward, tariff, seen.change.at)


@given(usage=usages(), tariff=tariffs())
def test_any_session_under_any_tariff_has_an_outlook(usage: Usage, tariff: Tariff) -> None:
    seen = outlook(usage, tariff)
    known = {part.type for element in tariff.elements for part in element.components}

    assert set(seen.now) <= known - {Dimension.FLAT}
    assert seen.watch_wh is None or seen.watch_wh > sum(each.energy_wh or 0 for each in usage.periods) - 1


def _tariff(*elements: dict[str, Any]) -> Tariff:
    return parse_tariff({"id": "T", "currency": "EUR", "tax_included": "NO", "elements": list(elements)})


def _element(type_: str, price: str, **restrictions: Any) -> dict[str, Any]:
    part = {"type": type_, "price": price, "vat": "20", "step_size": 1}
    return {"price_components": [part], "restrictions": restrictions}


def _charged(*, kwh: int = 10, end: datetime = NOON + HOUR) -> Usage:
    period = Period(kind=PeriodKind.CHARGING, start=NOON, end=end, energy_wh=Decimal(kwh * 1000))
    return Usage(time_zone="UTC", periods=(period,))


def _outlook(*elements: dict[str, Any], usage: Usage | None = None, **more: Any) -> Outlook:
    return outlook(usage or _charged(), _tariff(*elements), **more)


def test_a_price_of_the_evening_is_foretold_at_noon() -> None:
    seen = _outlook(
        _element("ENERGY", "0.30", start_time="20:00", end_time="08:00"),
        _element("ENERGY", "0.50"),
    )

    assert seen.now == {Dimension.ENERGY: Decimal("0.60")}
    assert seen.change is not None
    assert (seen.change.at, seen.change.prices) == (NOON + 8 * HOUR, {Dimension.ENERGY: Decimal("0.36")})


def test_a_price_of_the_weekend_is_foretold_on_monday() -> None:
    seen = _outlook(
        _element("ENERGY", "0.30", day_of_week=["SATURDAY", "SUNDAY"]),
        _element("ENERGY", "0.50"),
    )

    assert seen.change is not None
    assert seen.change.at == datetime(2026, 3, 7, tzinfo=UTC)


def test_a_price_after_some_time_of_the_session_is_foretold() -> None:
    seen = _outlook(_element("TIME", "6", min_duration=3 * 3600), _element("ENERGY", "0.50"))

    assert seen.now == {Dimension.TIME: Decimal(0), Dimension.ENERGY: Decimal("0.60")}
    assert seen.change is not None
    assert seen.change.at == NOON + 3 * HOUR
    assert seen.change.prices == {Dimension.TIME: Decimal("7.2"), Dimension.ENERGY: Decimal("0.60")}


def test_what_depends_on_energy_or_power_is_watched_and_not_foretold() -> None:
    seen = _outlook(
        _element("ENERGY", "0.30", start_time="20:00", end_time="08:00", min_power="50"),
        _element("ENERGY", "0.40", min_kwh="20"),
        _element("ENERGY", "0.50"),
    )

    assert seen.change is None
    assert (seen.watch_wh, seen.watch_w) == (Decimal(20_000), Decimal(50_000))


def test_a_pause_is_watched_where_it_has_another_price() -> None:
    assert _outlook(_element("ENERGY", "0.30"), _element("PARKING_TIME", "6")).watch_idle
    assert not _outlook(_element("ENERGY", "0.30")).watch_idle


def test_the_tax_of_a_rule_stands_in_what_is_told() -> None:
    tax = AppliedTax(component=ComponentName.ENERGY, rate=Decimal(10), rule="reduced", category="S")

    assert _outlook(_element("ENERGY", "0.50"), terms=Terms(taxes=(tax,))).now == {Dimension.ENERGY: Decimal("0.55")}


def test_before_a_session_has_begun_there_is_nothing_to_tell() -> None:
    kept = Period(kind=PeriodKind.RESERVATION, start=NOON, end=NOON + HOUR)

    assert _outlook(_element("ENERGY", "1"), usage=Usage(time_zone="UTC", periods=(kept,))) == NO_OUTLOOK


def _idle_fee(grace_s: int) -> dict[str, Any]:
    part = {"type": "PARKING_TIME", "price": "6", "vat": "20", "step_size": 1, "x_idle": {"grace_s": grace_s}}
    return {"price_components": [part]}


def test_free_parking_that_is_left_is_said_with_the_price_after_it() -> None:
    charging = _outlook(_idle_fee(600))
    parked = Period(kind=PeriodKind.PARKING, start=NOON + HOUR, end=NOON + HOUR + timedelta(minutes=4))
    waiting = _outlook(_idle_fee(600), usage=Usage(time_zone="UTC", periods=(*_charged().periods, parked)))

    assert (charging.grace, charging.change) == (Grace(seconds=600, then=Decimal("7.2")), None)
    assert waiting.grace == Grace(seconds=360, then=Decimal("7.2"))
    assert waiting.change is not None
    assert waiting.change.at == NOON + HOUR + timedelta(minutes=10)
    assert waiting.change.prices == {Dimension.PARKING_TIME: Decimal("7.2")}


def test_without_a_session_there_is_the_price_of_its_first_moment() -> None:
    tariff = _tariff(
        _element("FLAT", "1"),
        _element("ENERGY", "0.30", start_time="20:00", end_time="08:00"),
        _element("ENERGY", "0.50"),
        _element("TIME", "3", min_power="50"),
    )

    assert prices_at_start(tariff, NOON, "UTC") == {Dimension.FLAT: Decimal("1.2"), Dimension.ENERGY: Decimal("0.60")}
    assert prices_at_start(tariff, NOON + 9 * HOUR, "UTC")[Dimension.ENERGY] == Decimal("0.36")
