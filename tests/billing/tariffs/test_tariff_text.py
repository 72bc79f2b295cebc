"""A tariff in one line: what a driver reads before charging."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given

from billing import tariff_text
from billing.rating.engine import rate
from billing.rating.policy import PRICE_POLICY
from billing.rating.usage import Usage
from billing.tariffs.price_list import Charge, PriceUnit, price_list
from billing.tariffs.tariff import Dimension, Tariff, TaxIncluded, parse_tariff
from tests.billing.rating.test_rating_invariants import FEW
from tests.billing.rating.worlds import tariffs, usages


def part(kind: str = "ENERGY", price: str = "0.50", **more: Any) -> dict[str, Any]:
    return {"type": kind, "price": price, "vat": "19", "step_size": 1} | more


def tariff(*elements: tuple[list[dict[str, Any]], dict[str, Any]], **more: Any) -> Tariff:
    return parse_tariff(
        {
            "id": "TEXT",
            "currency": "EUR",
            "tax_included": "NO",
            "elements": [{"price_components": parts, "restrictions": rules} for parts, rules in elements],
        }
        | more
    )


DAY = {"start_time": "08:00", "end_time": "20:00"}


@pytest.mark.parametrize(
    ("shown", "priced"),
    [
        ("per kWh: 0.595 EUR; incl. 19 % VAT", tariff(([part()], {}))),
        ("per kWh: 0.79 EUR; incl. 20 % VAT", tariff(([part(price="0.79", vat="20")], {}), tax_included="YES")),
        ("per kWh: 0.50 EUR; plus tax", tariff(([part(vat=None)], {}))),
        ("per kWh: 0.50 EUR; no tax", tariff(([part()], {}), tax_included="N/A")),
        ("per kWh: 0.50 EUR; incl. tax", tariff(([part(vat=None)], {}), tax_included="YES")),
        ("per kWh: 60 JPY; no tax", tariff(([part(price="60")], {}), tax_included="N/A", currency="JPY")),
        ("per kWh: free", tariff(([part("FLAT", "0")], {}))),
        (
            "per kWh: 0.714 EUR 08:00-20:00, else 0.595 EUR; incl. 19 % VAT",
            tariff(([part(price="0.60")], DAY), ([part()], {})),
        ),
        ("per kWh: 0.595 EUR 08:00-20:00, else free; incl. 19 % VAT", tariff(([part()], DAY))),
        (
            (
                "per kWh: 0.595 EUR; per minute of charging: 0.119 EUR (started minutes); idle per minute: 0.238 EUR "
                "after 240 min; per session: 1.19 EUR; incl. 19 % VAT"
            ),
            tariff(
                ([part("PARKING_TIME", "12.00")], {"min_duration": 14400}),
                ([part("FLAT", "1.00"), part("TIME", "6.00", step_size=60), part()], {}),
            ),
        ),
        (
            "per kWh: 0.595 EUR; idle per hour: 5.95 EUR; incl. 19 % VAT",
            tariff(([part(), part("PARKING_TIME", "5.00")], {})),
        ),
        (
            "per kWh: 0.595 EUR incl. 19 % VAT; per session: 1.07 EUR incl. 7 % VAT",
            tariff(([part(), part("FLAT", "1", vat="7")], {})),
        ),
        (
            "per kWh: 0.595 EUR; at least: 1.19 EUR; at most: 60.00 EUR; incl. 19 % VAT",
            tariff(([part()], {}), min_price={"before_taxes": 1}, max_price={"before_taxes": 50, "after_taxes": 60}),
        ),
        (
            (
                "per kWh: 0.595 EUR; reservation per minute: 0.0595 EUR; per reservation: 2.38 EUR; "
                "per unused reservation: 4.76 EUR; incl. 19 % VAT"
            ),
            tariff(
                ([part("FLAT", "2"), part("TIME", "3")], {"reservation": "RESERVATION"}),
                ([part("FLAT", "4")], {"reservation": "RESERVATION_EXPIRES"}),
                ([part()], {}),
            ),
        ),
        (
            "per kWh: 0.595 EUR; per minute connected: 0.119 EUR (started minutes); incl. 19 % VAT",
            tariff(([part(), part("X_OCCUPANCY", "6.00", step_size=60)], {})),
        ),
        (
            (
                "per kWh: 0.595 EUR; idle per minute: free 22:00-06:00, else free first 10 min idle, else 0.119 EUR "
                "(at most 14.28 EUR); incl. 19 % VAT"
            ),
            tariff(
                (
                    [
                        part(),
                        part(
                            "PARKING_TIME",
                            "6.00",
                            x_idle={"grace_s": 600, "cap": 12, "quiet_from": "22:00", "quiet_to": "06:00"},
                        ),
                    ],
                    {},
                )
            ),
        ),
        (
            "per kWh: 0.357 EUR after 300 kWh a month, else 0.476 EUR after 100 kWh a month, else 0.595 EUR; incl. 19 % VAT",
            tariff(
                ([part(x_tiers=[{"from_kwh": 100, "price": "0.40"}, {"from_kwh": 300, "price": "0.30"}])], {}),
            ),
        ),
        (
            "per kWh: 0.119 EUR + 1.19 x SPOT (0.476 EUR where it has no value); incl. 19 % VAT",
            tariff(([part(price="0.10", x_series={"name": "SPOT", "factor": 1, "fallback": "0.30"})], {})),
        ),
    ],
)
def test_the_text_says_every_price_in_order(shown: str, priced: Tariff) -> None:
    assert tariff_text(priced) == shown


@pytest.mark.parametrize(
    ("when", "rules"),
    [
        ("Mon-Fri", {"day_of_week": ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY"]}),
        ("Sat,Sun", {"day_of_week": ["SUNDAY", "SATURDAY"]}),
        ("20:00-24:00", {"start_time": "20:00", "end_time": "00:00"}),
        ("20:00-06:00", {"start_time": "20:00", "end_time": "06:00"}),
        ("from 2026-01-01 before 2026-02-01", {"start_date": "2026-01-01", "end_date": "2026-02-01"}),
        ("first 20 kWh", {"max_kwh": "20.0"}),
        ("after 20 kWh until 40.5 kWh", {"min_kwh": 20, "max_kwh": "40.5"}),
        ("after 90 s", {"min_duration": 90}),
        ("first 30 min", {"max_duration": 1800}),
        ("at 11 kW or more below 22 kW", {"min_power": 11, "max_power": 22}),
        ("below 16 A", {"max_current": 16}),
    ],
)
def test_conditions_are_said_in_few_words(when: str, rules: dict[str, Any]) -> None:
    priced = tariff(([part(price="0.60")], rules), ([part()], {}))

    assert tariff_text(priced) == f"per kWh: 0.714 EUR {when}, else 0.595 EUR; incl. 19 % VAT"


def test_a_price_that_no_moment_can_reach_is_not_shown() -> None:
    assert tariff_text(tariff(([part()], {}), ([part(price="9")], DAY))) == "per kWh: 0.595 EUR; incl. 19 % VAT"


def test_a_text_without_room_for_every_band_names_the_lowest_and_the_highest_price() -> None:
    bands = [
        ([part(price=f"0.{hour + 10}")], {"start_time": f"{hour:02}:00", "end_time": f"{hour + 1:02}:00"})
        for hour in range(23)
    ]

    shown = tariff_text(tariff(*bands, ([part(price="0.90"), part("FLAT", "1")], {})))

    assert shown == "per kWh: 0.119 EUR to 1.071 EUR as it applies; per session: 1.19 EUR; incl. 19 % VAT"


def test_a_text_without_room_for_every_line_says_that_there_is_more() -> None:
    assert (
        tariff_text(tariff(([part(), part("FLAT", "1")], {})), length_max=40) == "per kWh: 0.595 EUR; more prices apply"
    )


@FEW
@given(priced=tariffs())
def test_every_tariff_has_a_text_that_fits_and_begins_with_energy(priced: Tariff) -> None:
    shown = tariff_text(priced)

    assert len(shown) <= 512
    assert shown.startswith("per kWh: ")
    assert "\n" not in shown


CHARGES = {
    Dimension.ENERGY: Charge.ENERGY,
    Dimension.TIME: Charge.TIME,
    Dimension.PARKING_TIME: Charge.IDLE,
    Dimension.OCCUPANCY: Charge.OCCUPANCY,
    Dimension.FLAT: Charge.SESSION,
}


@FEW
@given(priced=tariffs(limits=False), usage=usages())
def test_every_price_that_a_session_pays_stands_in_the_list(priced: Tariff, usage: Usage) -> None:
    lines = {line.charge: line for line in price_list(priced)}

    for segment in rate(usage, priced, PRICE_POLICY, final=False).segments:
        if segment.unit_price:
            line = lines[CHARGES[segment.dimension]]
            tax = Fraction(segment.vat or 0) / 100 if priced.tax_included is TaxIncluded.NO else Fraction(0)
            paid = Fraction(segment.unit_price) * (1 + tax)
            assert paid in {price.amount * (60 if line.unit is PriceUnit.MINUTE else 1) for price in line.prices}
