"""What waiving, min_price and max_price do to interim and final amounts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing.rating.engine import rate
from billing.rating.explanation import explain
from billing.rating.policy import DEFAULT_POLICY, PRICE_POLICY, PolicyInvalid, RatingPolicy
from billing.rating.rating import ComponentName, Note
from billing.rating.usage import Period, PeriodKind, Usage
from billing.rating.usage_check import UsageInvalid
from billing.tariffs.tariff import Component, Dimension, PriceLimit, parse_tariff

START = datetime(2026, 3, 1, 19, 30, tzinfo=UTC)


def tariff(**more: Any) -> dict[str, Any]:
    parts = [
        {"type": "FLAT", "price": "1.00", "vat": "19", "step_size": 1},
        {"type": "ENERGY", "price": "0.50", "vat": "19", "step_size": 1},
        {"type": "PARKING_TIME", "price": "6.00", "vat": "19", "step_size": 60},
    ]
    return {"id": "EVENING", "currency": "EUR", "tax_included": "NO", "elements": [{"price_components": parts}]} | more


def stay(wh: str, parked_minutes: int = 0) -> Usage:
    hour = START + timedelta(hours=1)
    periods = [Period(kind=PeriodKind.CHARGING, start=START, end=hour, energy_wh=Decimal(wh))]
    if parked_minutes:
        parked = timedelta(minutes=parked_minutes)
        periods.append(Period(kind=PeriodKind.PARKING, start=hour, end=hour + parked))
    return Usage(time_zone="Europe/Berlin", periods=tuple(periods))


@pytest.mark.parametrize("final", [True, False])
def test_below_the_threshold_a_session_costs_nothing_and_says_so(final: bool) -> None:
    rating = rate(stay("99.999", 30), parse_tariff(tariff()), DEFAULT_POLICY, final=final)

    assert rating.total_incl.text == "0.00"
    assert Note.WAIVED in rating.notes
    assert sum(line.excl_tax for line in rating.segments) + sum(line.excl_tax for line in rating.adjustments) == 0


def test_at_the_threshold_everything_since_the_start_is_due() -> None:
    rating = rate(stay("100"), parse_tariff(tariff()), DEFAULT_POLICY, final=True)

    # 1.00 + 0.1 x 0.50
    assert rating.total_excl.text == "1.05"
    assert rating.notes == ()


def test_a_policy_may_keep_the_occupancy_of_a_session_without_energy() -> None:
    policy = RatingPolicy(version=2, waive_below_wh=Decimal(100), waive_occupancy=False)

    rating = rate(stay("0", 30), parse_tariff(tariff()), policy, final=True)

    assert rating.component(ComponentName.PARKING).excl_tax.text == "3.00"
    assert rating.total_excl.text == "3.00"


def test_min_price_does_not_lift_a_waived_session() -> None:
    body = tariff(min_price={"before_taxes": "5.00"})

    assert rate(stay("0"), parse_tariff(body), DEFAULT_POLICY, final=True).total_incl.text == "0.00"
    assert rate(stay("0"), parse_tariff(body), PRICE_POLICY, final=True).total_excl.text == "5.00"


def test_only_the_final_amount_is_raised_to_min_price() -> None:
    body = parse_tariff(tariff(min_price={"before_taxes": "5.00", "after_taxes": "6.00"}))

    final = rate(stay("2000"), body, DEFAULT_POLICY, final=True)
    interim = rate(stay("2000"), body, DEFAULT_POLICY, final=False)

    assert (interim.total_excl.text, interim.total_incl.text) == ("2.00", "2.38")
    assert (final.total_excl.text, final.total_incl.text) == ("5.00", "6.00")
    assert [line.note for line in final.adjustments] == [Note.MIN_PRICE]


def test_interim_and_final_are_both_cut_to_max_price() -> None:
    body = parse_tariff(tariff(max_price={"before_taxes": "4.00"}))

    for final in (True, False):
        rating = rate(stay("40000"), body, DEFAULT_POLICY, final=final)
        # tax is cut by the same factor as the net: 4.00 x 1.19
        assert (rating.total_excl.text, rating.total_incl.text) == ("4.00", "4.76")


def test_prices_that_hold_tax_keep_their_gross() -> None:
    body = parse_tariff(tariff(tax_included="YES"))

    rating = rate(stay("10000"), body, DEFAULT_POLICY, final=True)

    # 1.00 + 10 x 0.50 gross; 6.00 / 1.19 = 5.042...
    assert (rating.total_incl.text, rating.total_excl.text, rating.total_tax.text) == ("6.00", "5.04", "0.96")
    assert str(rating.total_excl_exact) == "5.042016806723"


def test_a_tariff_outside_its_validity_still_prices_and_says_so() -> None:
    body = parse_tariff(tariff(end_date_time="2026-01-01T00:00:00Z"))

    assert Note.OUTSIDE_VALIDITY in rate(stay("1000"), body, DEFAULT_POLICY, final=True).notes


@pytest.mark.parametrize("kind", ["power", "current"])
def test_a_restriction_on_what_nobody_measured_does_not_match(kind: str) -> None:
    body = tariff()
    cheap = {
        "price_components": [{"type": "TIME", "price": "1.00", "vat": "0", "step_size": 1}],
        "restrictions": {f"max_{kind}": "32"},
    }
    dear = {"price_components": [{"type": "TIME", "price": "2.00", "vat": "0", "step_size": 1}]}
    unknown = Usage(
        time_zone="UTC", periods=(Period(kind=PeriodKind.CHARGING, start=START, end=START + timedelta(hours=1)),)
    )

    rating = rate(unknown, parse_tariff(body | {"elements": [cheap, dear]}), PRICE_POLICY, final=True)

    assert rating.total_excl.text == "2.00"
    assert rating.notes == ((Note.POWER_UNKNOWN,) if kind == "power" else (Note.CURRENT_UNKNOWN,))


def test_unknown_power_follows_from_energy_and_time() -> None:
    cheap = {
        "price_components": [{"type": "ENERGY", "price": "0.20", "vat": "0", "step_size": 1}],
        "restrictions": {"max_power": "16"},
    }
    dear = {"price_components": [{"type": "ENERGY", "price": "0.50", "vat": "0", "step_size": 1}]}
    body = parse_tariff(tariff() | {"elements": [cheap, dear]})

    # an hour at 15.999 kW is cheap; 16 kW is not below 16
    assert rate(stay("15999"), body, PRICE_POLICY, final=True).total_excl.text == "3.20"
    assert rate(stay("16000"), body, PRICE_POLICY, final=True).total_excl.text == "8.00"


def test_an_energy_limit_is_reached_at_the_interpolated_instant() -> None:
    first = {
        "price_components": [{"type": "ENERGY", "price": "0", "vat": "0", "step_size": 1}],
        "restrictions": {"max_kwh": "3"},
    }
    then = {"price_components": [{"type": "ENERGY", "price": "0.50", "vat": "0", "step_size": 1}]}

    rating = rate(stay("12000"), parse_tariff(tariff() | {"elements": [first, then]}), PRICE_POLICY, final=True)

    free, paid = rating.segments
    assert (free.quantity_used, paid.quantity_used) == (Decimal(3000), Decimal(9000))
    assert free.end == paid.start == START + timedelta(minutes=15)
    assert rating.total_excl.text == "4.50"


def test_an_energy_limit_counts_the_whole_session() -> None:
    first = {
        "price_components": [{"type": "TIME", "price": "1.00", "vat": "0", "step_size": 1}],
        "restrictions": {"max_kwh": "3"},
    }
    then = {"price_components": [{"type": "TIME", "price": "4.00", "vat": "0", "step_size": 1}]}
    slow, fast = stay("2000").periods[0], stay("4000").periods[0]
    hour = timedelta(hours=1)
    usage = Usage(time_zone="UTC", periods=(slow, replace(fast, start=fast.start + hour, end=fast.end + hour)))

    rating = rate(usage, parse_tariff(tariff() | {"elements": [first, then]}), PRICE_POLICY, final=True)

    # 2 kWh in the first hour, the third 15 minutes into the second: 75 minutes x 1.00 + 45 minutes x 4.00
    assert rating.segments[0].end == START + timedelta(minutes=75)
    assert rating.total_excl.text == "4.25"


def test_a_cut_before_tax_alone_keeps_the_mix_of_rates() -> None:
    parts = [
        {"type": "FLAT", "price": "0.50", "vat": "20", "step_size": 1},
        {"type": "ENERGY", "price": "0.25", "vat": "10", "step_size": 1},
    ]
    body = tariff(max_price={"before_taxes": "10.00"}) | {"elements": [{"price_components": parts}]}

    rating = rate(stay("50000"), parse_tariff(body), PRICE_POLICY, final=True)

    # uncut 13.00 with 1.35 of tax: 1.35 x 10 / 13 = 1.038...
    assert (rating.total_excl.text, rating.total_tax.text) == ("10.00", "1.04")
    # of the net 12.50 / 13 carry 10 %, of the tax 1.25 / 1.35
    assert [(group.net.text, group.tax.text) for group in rating.tax_groups] == [("9.62", "0.96"), ("0.38", "0.08")]


def test_a_session_of_no_periods_costs_nothing_not_even_min_price() -> None:
    body = parse_tariff(tariff(min_price={"before_taxes": "5.00"}))

    rating = rate(Usage(time_zone="UTC", periods=()), body, DEFAULT_POLICY, final=True)

    assert rating.total_incl.minor == 0
    assert rating.segments == ()


def test_energy_that_arrives_in_an_instant_is_priced() -> None:
    at_once = Usage(
        time_zone="UTC",
        periods=(Period(kind=PeriodKind.CHARGING, start=START, end=START, energy_wh=Decimal(4000)),),
    )

    assert rate(at_once, parse_tariff(tariff()), DEFAULT_POLICY, final=True).total_excl.text == "3.00"


def test_every_reason_against_a_usage_is_told_at_once() -> None:
    naive = datetime(2026, 3, 1)  # noqa: DTZ001  # the mistake under test
    periods = (
        Period(kind=PeriodKind.CHARGING, start=START, end=START - timedelta(hours=1), energy_wh=Decimal(-1)),
        Period(kind=PeriodKind.CHARGING, start=naive, end=naive),
        Period(kind=PeriodKind.RESERVATION, start=START, end=START, energy_wh=Decimal("NaN")),
    )

    with pytest.raises(UsageInvalid) as caught:
        rate(Usage(time_zone="Mars/Olympus", periods=periods), parse_tariff(tariff()), DEFAULT_POLICY, final=True)

    assert [problem.path for problem in caught.value.problems] == [
        "$.time_zone",
        "$.periods[0].end",
        "$.periods[0].energy",
        "$.periods[1].start",
        "$.periods[2].energy",
    ]


@pytest.mark.parametrize(
    ("kinds", "word"),
    [
        ((PeriodKind.CHARGING, PeriodKind.RESERVATION), "reservation first"),
        ((PeriodKind.RESERVATION_EXPIRED, PeriodKind.CHARGING), "by itself"),
    ],
)
def test_a_reservation_stands_before_the_session_and_an_expired_one_alone(
    kinds: tuple[PeriodKind, PeriodKind], word: str
) -> None:
    periods = tuple(Period(kind=kind, start=START, end=START) for kind in kinds)

    with pytest.raises(UsageInvalid, match=word):
        rate(Usage(time_zone="UTC", periods=periods), parse_tariff(tariff()), DEFAULT_POLICY, final=True)


def test_overlapping_periods_are_refused() -> None:
    one = stay("1000").periods[0]

    with pytest.raises(UsageInvalid, match="cut the overlap"):
        rate(Usage(time_zone="UTC", periods=(one, one)), parse_tariff(tariff()), DEFAULT_POLICY, final=True)


def test_a_gap_between_periods_is_not_billed_but_the_clock_runs_on() -> None:
    late = START + timedelta(hours=5)
    usage = Usage(
        time_zone="UTC",
        periods=(
            Period(kind=PeriodKind.PARKING, start=START, end=START + timedelta(hours=1)),
            Period(kind=PeriodKind.PARKING, start=late, end=late + timedelta(hours=1)),
        ),
    )
    early = {
        "price_components": [{"type": "PARKING_TIME", "price": "1.00", "vat": "0", "step_size": 1}],
        "restrictions": {"max_duration": 7200},
    }
    then = {"price_components": [{"type": "PARKING_TIME", "price": "3.00", "vat": "0", "step_size": 1}]}

    rating = rate(usage, parse_tariff(tariff() | {"elements": [early, then]}), PRICE_POLICY, final=True)

    assert rating.total_excl.text == "4.00"


def test_the_explanation_shows_quantity_price_tariff_rule_tax_and_rounding() -> None:
    body = parse_tariff(tariff(max_price={"before_taxes": "7.50"}), version=3)

    lines = explain(rate(stay("10000", 21), body, DEFAULT_POLICY, final=True))

    by_name = {line.what: line for line in lines}
    energy = by_name["ENERGY"]
    assert (energy.quantity, energy.unit_price, energy.tariff) == ("10.000 kWh", "0.50 EUR/kWh", "EVENING v3")
    assert (energy.rule, energy.tax, energy.excl_tax, energy.incl_tax) == ("element 0", "19 %, on top", "5", "5.95")
    assert by_name["PARKING_TIME"].quantity == "0:21:00 h (1260 s)"
    assert by_name["max_price"].excl_tax == "-0.6"
    assert (by_name["total"].excl_tax, by_name["total"].tax, by_name["total"].incl_tax) == ("7.50", "1.43", "8.93")
    assert "rounded once, half_up to EUR (policy 1" in by_name["total"].rule


def test_a_policy_survives_its_stored_form() -> None:
    assert RatingPolicy.from_dict(DEFAULT_POLICY.to_dict()) == DEFAULT_POLICY
    assert RatingPolicy.from_dict(PRICE_POLICY.to_dict()) == PRICE_POLICY


def test_a_policy_that_this_engine_cannot_follow_is_refused() -> None:
    with pytest.raises(PolicyInvalid) as caught:
        RatingPolicy.from_dict({"rounding": "floor", "tips": 1, "waive_occupancy": "yes"})

    assert {problem.path for problem in caught.value.problems} == {
        "$.version",
        "$.rounding",
        "$.tips",
        "$.waive_occupancy",
    }


@pytest.mark.parametrize("field", ["energy_wh", "power_w", "current_a"])
def test_a_reading_that_is_a_binary_float_is_refused(field: str) -> None:
    [period] = stay("1000").periods
    spoilt = Usage(time_zone="UTC", periods=(replace(period, **{field: 0.1}),))

    with pytest.raises(UsageInvalid, match="no Decimal"):
        rate(spoilt, parse_tariff(tariff()), PRICE_POLICY, final=True)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda given: Component(type=Dimension.ENERGY, price=given),
        lambda given: Component(type=Dimension.ENERGY, price=Decimal(1), vat=given),
        lambda given: PriceLimit(before_taxes=given),
    ],
    ids=["price", "vat", "limit"],
)
def test_a_price_that_is_a_binary_float_is_refused(wrong: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError, match="not float"):
        wrong(0.1)
