"""What a tariff may say beyond OCPI: its amounts by hand, and what holds for all of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.rating.engine import rate
from billing.rating.explanation import explain, recompute
from billing.rating.policy import PRICE_POLICY
from billing.rating.rating import Note, Rating
from billing.rating.rating_json import rating_from_json, rating_to_json
from billing.rating.series import Series, SeriesValue
from billing.rating.terms import NO_TERMS, Terms
from billing.rating.usage import Period, PeriodKind, Usage
from billing.tariffs.tariff import Dimension, Tariff, TariffInvalid, parse_tariff, to_ocpi
from tests.billing.rating.worlds import STARTS, amounts, bodies, cuts, until, usages
from tests.examples import tried

FEW = tried(60)
NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


def tariff(*components: dict[str, Any], **more: Any) -> Tariff:
    parts = [{"step_size": 1, "vat": 0} | component for component in components]
    return parse_tariff(
        {"id": "T", "currency": "EUR", "tax_included": "NO", "elements": [{"price_components": parts}]} | more
    )


def stay(*stretches: tuple[PeriodKind, int, str], start: datetime = NOON, zone: str = "UTC") -> Usage:
    """Stretches of kind, seconds and Wh, one after the other."""
    periods = []
    for kind, seconds, energy in stretches:
        end = start + timedelta(seconds=seconds)
        periods.append(Period(kind=kind, start=start, end=end, energy_wh=Decimal(energy)))
        start = end
    return Usage(time_zone=zone, periods=tuple(periods))


def final(usage: Usage, body: Tariff, terms: Terms = NO_TERMS) -> Rating:
    return rate(usage, body, PRICE_POLICY, final=True, terms=terms)


CHARGING, PARKING = PeriodKind.CHARGING, PeriodKind.PARKING


def test_started_minutes_of_occupancy_are_rounded_once_over_charging_and_parking() -> None:
    # 10:30 charging and 5:10 parking are 15:40, so 16 started minutes; 6.00 an hour is 0.10 a minute: 1.60.
    # OCPI's TIME and PARKING_TIME would round the parking alone and bill 16:30.
    rating = final(
        stay((CHARGING, 630, "1000"), (PARKING, 310, "0")),
        tariff({"type": "X_OCCUPANCY", "price": "6.00", "step_size": 60}),
    )

    assert rating.total_excl.text == "1.60"
    assert [line.quantity_billed for line in rating.segments] == [Decimal(960)]


def test_a_stay_of_whole_minutes_is_not_rounded() -> None:
    rating = final(stay((CHARGING, 600, "1000")), tariff({"type": "X_OCCUPANCY", "price": "6.00", "step_size": 60}))

    assert rating.total_excl.text == "1.00"


def test_an_idle_fee_begins_after_its_grace_counted_over_all_parking_of_the_session() -> None:
    # Parking: 8 min, then charging, then 32 min. Grace is 10 min: 8 of it go in the first stretch, 2 in the second, so
    # 30 min are billed at 6.00 an hour: 3.00.
    fee = {"type": "PARKING_TIME", "price": "6.00", "x_idle": {"grace_s": 600}}
    rating = final(stay((PARKING, 480, "0"), (CHARGING, 600, "1000"), (PARKING, 1920, "0")), tariff(fee))

    assert rating.total_excl.text == "3.00"
    assert [(line.quantity_used, line.note) for line in rating.segments] == [
        (Decimal(480), Note.GRACE),
        (Decimal(120), Note.GRACE),
        (Decimal(1800), None),
    ]


def test_an_idle_fee_stops_at_its_cap_and_the_rest_of_the_bill_does_not() -> None:
    # 3 h at 6.00 would be 18.00, the cap is 12.00; 10 kWh at 0.40 are 4.00: 16.00 together.
    fee = {"type": "PARKING_TIME", "price": "6.00", "vat": "20", "x_idle": {"cap": "12.00"}}
    energy = {"type": "ENERGY", "price": "0.40", "vat": "10"}
    rating = final(stay((CHARGING, 3600, "10000"), (PARKING, 10800, "0")), tariff(fee, energy))

    assert rating.total_excl.text == "16.00"
    assert rating.total_tax.text == "2.80"  # 12.00 x 20 % + 4.00 x 10 %
    assert [(line.note, line.excl_tax, line.incl_tax) for line in rating.adjustments] == [
        (Note.IDLE_CAP, Fraction(-6), Fraction("-7.2"))
    ]


def test_the_cap_of_a_price_with_tax_is_a_price_with_tax() -> None:
    fee = {"type": "PARKING_TIME", "price": "6.00", "vat": "20", "x_idle": {"cap": "12.00"}}
    rating = final(stay((PARKING, 10800, "0")), tariff(fee, tax_included="YES"))

    assert (rating.total_incl.text, rating.total_excl.text) == ("12.00", "10.00")


def test_quiet_hours_of_an_idle_fee_are_the_sites_wall_clock() -> None:
    # Berlin in June is UTC+2. Parking from 19:00 UTC (21:00) to 06:00 UTC (08:00): quiet from 22:00 to 07:00, so one
    # hour before and one after are billed: 2 x 3.00 = 6.00.
    fee = {"type": "PARKING_TIME", "price": "3.00", "x_idle": {"quiet_from": "22:00", "quiet_to": "07:00"}}
    usage = stay((PARKING, 11 * 3600, "0"), start=NOON.replace(hour=19), zone="Europe/Berlin")
    rating = final(usage, tariff(fee))

    assert rating.total_excl.text == "6.00"
    assert [line.note for line in rating.segments] == [None, Note.QUIET, None]


def test_quiet_hours_across_the_longest_night_have_ten_hours() -> None:
    # Berlin, 24 October 2026, 22:00 to 07:00 next day with the hour put back: 10 h are quiet. Parking from 21:00 local
    # (19:00 UTC) for 12 h ends at 08:00 local (07:00 UTC): two hours at 3.00.
    fee = {"type": "PARKING_TIME", "price": "3.00", "x_idle": {"quiet_from": "22:00", "quiet_to": "07:00"}}
    usage = stay((PARKING, 12 * 3600, "0"), start=datetime(2026, 10, 24, 19, 0, tzinfo=UTC), zone="Europe/Berlin")
    rating = final(usage, tariff(fee))

    assert [line.quantity_used for line in rating.segments] == [Decimal(3600), Decimal(36000), Decimal(3600)]
    assert rating.total_excl.text == "6.00"


TIERED = {
    "type": "ENERGY",
    "price": "0.50",
    "x_tiers": [{"from_kwh": 100, "price": "0.40"}, {"from_kwh": 110, "price": "0.30"}],
}


@pytest.mark.parametrize(
    ("volume_wh", "total", "why"),
    [
        (None, "10.00", "20 kWh at 0.50"),
        (Decimal(80_000), "10.00", "the tier begins where the session ends"),
        (Decimal(95_000), "8.00", "5 at 0.50, 10 at 0.40, 5 at 0.30: 2.50 + 4.00 + 1.50"),
        (Decimal(100_000), "7.00", "10 at 0.40 and 10 at 0.30"),
        (Decimal(500_000), "6.00", "20 at 0.30"),
    ],
)
def test_volume_tiers_begin_where_the_month_reaches_them(volume_wh: Decimal | None, total: str, why: str) -> None:
    rating = final(stay((CHARGING, 3600, "20000")), tariff(TIERED), Terms(volume_wh=volume_wh))

    assert rating.total_excl.text == total, why


def hourly(*values: str | None, name: str = "spot", start: datetime = NOON) -> Terms:
    hours = [
        SeriesValue(start=start + timedelta(hours=n), end=start + timedelta(hours=n + 1), value=Decimal(value))
        for n, value in enumerate(values)
        if value is not None
    ]
    return Terms(series=(Series(name=name, values=tuple(hours)),))


SPOT = {"type": "ENERGY", "price": "0.10", "x_series": {"name": "spot", "factor": "1.2", "fallback": "0.25"}}


def test_a_price_series_prices_each_hour_by_its_value_and_a_missing_hour_by_the_fallback() -> None:
    # 10 kW for 3 h. 0.10 + 1.2 x 0.20 = 0.34; missing: 0.10 + 1.2 x 0.25 = 0.40; 0.10 + 1.2 x 0.05 = 0.16. Times 10: 9.00.
    rating = final(stay((CHARGING, 3 * 3600, "30000")), tariff(SPOT), hourly("0.20", None, "0.05"))

    assert [(line.unit_price, line.note) for line in rating.segments] == [
        (Decimal("0.340"), Note.SERIES),
        (Decimal("0.400"), Note.SERIES_FALLBACK),
        (Decimal("0.160"), Note.SERIES),
    ]
    assert rating.total_excl.text == "9.00"


def test_a_series_below_zero_never_makes_a_price_below_zero() -> None:
    rating = final(stay((CHARGING, 3600, "10000")), tariff(SPOT), hourly("-0.50"))

    assert [line.unit_price for line in rating.segments] == [Decimal(0)]


def test_the_explanation_names_what_an_extension_did() -> None:
    fee = {"type": "PARKING_TIME", "price": "6.00", "x_idle": {"grace_s": 600}}
    rating = final(stay((CHARGING, 3600, "10000"), (PARKING, 1200, "0")), tariff(SPOT, fee), hourly("0.20", "0.20"))

    rules = {line.rule for line in explain(rating) if line.what in ("ENERGY", "PARKING_TIME")}
    assert rules == {"element 0, price by the series", "element 0, free: within the idle fee's grace", "element 0"}


@pytest.mark.parametrize(
    ("component", "path"),
    [
        ({"type": "TIME", "price": 1, "x_idle": {"grace_s": 1}}, "x_idle"),
        ({"type": "FLAT", "price": 1, "x_tiers": [{"from_kwh": 1, "price": 1}]}, "x_tiers"),
        ({"type": "ENERGY", "price": 1, "x_tiers": [{"from_kwh": 0, "price": 1}]}, "x_tiers[0].from_kwh"),
        (
            {"type": "ENERGY", "price": 1, "x_tiers": [{"from_kwh": 5, "price": 1}, {"from_kwh": 5, "price": 2}]},
            "x_tiers",
        ),
        ({"type": "ENERGY", "price": 1, "x_series": {"name": "s", "factor": 1}}, "x_series.fallback"),
        ({"type": "PARKING_TIME", "price": 1, "x_idle": {"quiet_from": "22:00"}}, "x_idle.quiet_to"),
        ({"type": "PARKING_TIME", "price": 1, "x_idle": {"free": 1}}, "x_idle.free"),
        (
            SPOT | {"x_tiers": [{"from_kwh": 5, "price": 1}]},
            "x_series",
        ),
    ],
)
def test_an_extension_that_makes_no_sense_is_refused_where_it_stands(component: dict[str, Any], path: str) -> None:
    with pytest.raises(TariffInvalid) as refused:
        tariff(component)

    assert [problem.path for problem in refused.value.problems] == [f"$.elements[0].price_components[0].{path}"]


QUIET = st.sampled_from(
    [{}, {"quiet_from": "22:00", "quiet_to": "02:30"}, {"quiet_from": "02:00", "quiet_to": "08:00"}]
)
IDLE = st.tuples(st.integers(0, 9000), st.one_of(st.just({}), amounts(20, 2).map(lambda cap: {"cap": cap})), QUIET).map(
    lambda parts: {"x_idle": {"grace_s": parts[0]} | parts[1] | parts[2]}
)
TIERS = st.lists(st.tuples(st.integers(1, 60), amounts(2, 2)), min_size=1, max_size=3, unique_by=lambda t: t[0]).map(
    lambda rows: {"x_tiers": [{"from_kwh": begin, "price": price} for begin, price in sorted(rows)]}
)
FOLLOWS = st.tuples(amounts(2, 2), amounts(1, 2)).map(
    lambda pair: {"x_series": {"name": "spot", "factor": pair[0], "fallback": pair[1]}}
)


@st.composite
def extended(draw: st.DrawFn, **options: Any) -> Tariff:
    """Any tariff in which parking and energy say what they like beyond OCPI."""
    body = draw(bodies(**options))
    for element in body["elements"]:
        for component in element["price_components"]:
            more = {"PARKING_TIME": IDLE, "ENERGY": st.one_of(TIERS, FOLLOWS)}.get(component["type"])
            component.update({} if more is None else draw(st.one_of(st.just({}), more)))
    return parse_tariff(body)


@st.composite
def terms(draw: st.DrawFn) -> Terms:
    values = draw(st.lists(st.one_of(st.none(), st.integers(-20, 60)), max_size=30))
    spot = hourly(
        *(None if value is None else str(Decimal(value).scaleb(-2)) for value in values),
        start=draw(st.sampled_from(STARTS)).replace(minute=0, second=0),
    )
    return Terms(volume_wh=draw(st.one_of(st.none(), st.integers(0, 90_000).map(Decimal))), series=spot.series)


@FEW
@given(usage=usages(), body=extended(), beside=terms(), is_final=st.booleans())
def test_lines_give_the_total_and_nothing_is_lost_in_storage(
    usage: Usage, body: Tariff, beside: Terms, is_final: bool
) -> None:
    rating = rate(usage, body, PRICE_POLICY, final=is_final, terms=beside)
    again = recompute(rating)

    lines = [*rating.segments, *rating.adjustments]
    assert sum((line.excl_tax for line in lines), Fraction(0)) == rating.excl_tax >= 0
    assert sum((part.excl_tax_exact for part in rating.components), Fraction(0)) == rating.excl_tax
    assert (again.total_excl, again.total_incl) == (rating.total_excl, rating.total_incl)
    assert rating_from_json(rating_to_json(rating)) == rating
    assert Terms.from_dict(beside.to_dict()) == beside
    assert parse_tariff(to_ocpi(body)) == body


@FEW
@given(data=st.data(), usage=usages(), body=extended(), beside=terms())
def test_cutting_a_period_changes_nothing(data: st.DataObject, usage: Usage, body: Tariff, beside: Terms) -> None:
    assert final(data.draw(cuts(usage)), body, beside) == final(usage, body, beside)


@FEW
@given(data=st.data(), usage=usages(), body=extended(limits=False), beside=terms())
def test_an_interim_never_falls(data: st.DataObject, usage: Usage, body: Tariff, beside: Terms) -> None:
    length = int((usage.periods[-1].end - usage.periods[0].start).total_seconds())
    early, late = sorted(data.draw(st.tuples(st.integers(1, length), st.integers(1, length))))
    before, after = (
        rate(until(usage, second), body, PRICE_POLICY, final=False, terms=beside) for second in (early, late)
    )

    assert before.excl_tax <= after.excl_tax
    assert before.incl_tax <= after.incl_tax
    assert after.excl_tax <= final(usage, body, beside).excl_tax


@FEW
@given(usage=usages(), price=amounts(9, 2), idle=IDLE, tax=st.sampled_from(["YES", "NO"]))
def test_parking_never_costs_more_than_its_cap_nor_more_than_without_grace(
    usage: Usage, price: str, idle: dict[str, Any], tax: str
) -> None:
    fee = {"type": "PARKING_TIME", "price": price, "vat": "19"}
    capped, plain = (final(usage, tariff(each, tax_included=tax)) for each in (fee | idle, fee))

    told = capped.incl_tax if tax == "YES" else capped.excl_tax
    assert told <= Fraction(idle["x_idle"].get("cap", 10**9))
    assert capped.excl_tax <= plain.excl_tax


@FEW
@given(usage=usages(), prices=TIERS, price=amounts(2, 2), volume=st.integers(0, 90_000), at=st.integers(1, 14_000))
def test_two_sessions_cost_what_one_costs_when_the_month_counts_on(
    usage: Usage, prices: dict[str, Any], price: str, volume: int, at: int
) -> None:
    body = tariff({"type": "ENERGY", "price": price} | prices)
    length = int((usage.periods[-1].end - usage.periods[0].start).total_seconds())
    first = until(usage, min(at, length))
    used = sum((period.energy_wh or Decimal(0) for period in first.periods), Decimal(0))
    whole, early = (
        rate(part, body, PRICE_POLICY, final=False, terms=Terms(volume_wh=Decimal(volume))) for part in (usage, first)
    )
    energy = sum((period.energy_wh or Decimal(0) for period in usage.periods), Decimal(0))
    rest = Usage(
        time_zone="UTC",
        periods=(Period(kind=CHARGING, start=NOON, end=NOON + timedelta(hours=1), energy_wh=energy - used),),
    )

    later = rate(rest, body, PRICE_POLICY, final=False, terms=Terms(volume_wh=volume + used))
    assert whole.excl_tax == early.excl_tax + later.excl_tax


@FEW
@given(usage=usages(), price=amounts(9, 2), step=st.integers(1, 600))
def test_occupancy_is_every_second_of_the_stay_up_to_a_whole_step(usage: Usage, price: str, step: int) -> None:
    rating = final(usage, tariff({"type": "X_OCCUPANCY", "price": price, "step_size": step}))
    seconds = int((usage.periods[-1].end - usage.periods[0].start).total_seconds())

    [line] = rating.segments
    assert line.dimension is Dimension.OCCUPANCY
    assert (line.quantity_used, line.quantity_billed) == (seconds, -(-seconds // step) * step)
