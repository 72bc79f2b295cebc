"""Reading and writing OCPI tariffs: both versions, every mistake at once, nothing lost."""

from __future__ import annotations

import json
from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.tariffs.lint import lint
from billing.tariffs.ocpi_json import dump_json, load_json
from billing.tariffs.price import PriceRefused, price_command
from billing.tariffs.tariff import OcpiVersion, TariffInvalid, TaxIncluded, parse_tariff, to_ocpi
from tests.billing.rating.worlds import bodies
from tests.examples import tried

EVENING: dict[str, Any] = {
    "country_code": "DE",
    "party_id": "EXA",
    "id": "EVENING",
    "currency": "EUR",
    "type": "REGULAR",
    "tariff_alt_text": [{"language": "en", "text": "cheaper at night"}],
    "tax_included": "NO",
    "min_price": {"before_taxes": 0.5, "after_taxes": 0.6},
    "elements": [
        {
            "price_components": [{"type": "ENERGY", "price": 0.39, "vat": 19.0, "step_size": 1}],
            "restrictions": {
                "start_time": "20:00",
                "end_time": "08:00",
                "start_date": "2026-01-01",
                "end_date": "2027-01-01",
                "day_of_week": ["SUNDAY", "MONDAY"],
                "min_kwh": 1,
                "max_duration": 3600,
            },
        },
        {"price_components": [{"type": "ENERGY", "price": 0.59, "vat": 19.0, "step_size": 1}]},
    ],
    "start_date_time": "2026-01-01T00:00:00Z",
    "end_date_time": "2026-12-31T23:59:59.500Z",
    "last_updated": "2026-01-01T00:00:00Z",
}


def with_component(**more: Any) -> dict[str, Any]:
    part = {"type": "ENERGY", "price": "0.39", "step_size": 1} | more
    return {"id": "ONE", "currency": "EUR", "tax_included": "NO", "elements": [{"price_components": [part]}]}


def with_restrictions(**more: Any) -> dict[str, Any]:
    body = with_component()
    body["elements"][0]["restrictions"] = more
    return body


def paths(body: Any) -> list[str]:
    with pytest.raises(TariffInvalid) as caught:
        parse_tariff(body)
    assert all(problem.message and problem.next_step for problem in caught.value.problems)
    return [problem.path for problem in caught.value.problems]


def test_a_tariff_says_the_same_after_a_round_trip_as_text() -> None:
    tariff = parse_tariff(load_json(json.dumps(EVENING)))
    text = dump_json(to_ocpi(tariff))

    assert parse_tariff(load_json(text)) == tariff
    assert dump_json(to_ocpi(parse_tariff(load_json(text)))) == text
    assert set(to_ocpi(tariff)) == set(EVENING)


@tried(60)
@given(bodies())
def test_every_tariff_survives_a_round_trip(body: dict[str, Any]) -> None:
    tariff = parse_tariff(body)
    text = dump_json(to_ocpi(tariff))

    assert parse_tariff(load_json(text)) == tariff
    assert dump_json(to_ocpi(parse_tariff(load_json(text)))) == text


def test_2_2_1_prices_never_hold_tax_and_limits_have_the_older_names() -> None:
    body = with_component()
    del body["tax_included"]
    body["max_price"] = {"excl_vat": 10, "incl_vat": "11.90"}

    tariff = parse_tariff(body)

    assert (tariff.ocpi, tariff.tax_included) == (OcpiVersion.V2_2_1, TaxIncluded.NO)
    assert tariff.max_price is not None
    assert tariff.max_price.after_taxes == Decimal("11.90")
    assert to_ocpi(tariff)["max_price"] == {"excl_vat": 10, "incl_vat": Decimal("11.90")}
    assert "tax_included" not in to_ocpi(tariff)


@pytest.mark.parametrize("value", [0.39, "0.39", Decimal("0.39")])
def test_a_price_means_its_shortest_digits_whoever_parsed_it(value: Any) -> None:
    assert parse_tariff(with_component(price=value)).elements[0].components[0].price == Decimal("0.39")


def test_every_mistake_is_told_at_once_with_its_place() -> None:
    body = {
        "id": "X" * 37,
        "currency": "eur",
        "tax_included": "MAYBE",
        "type": "CHEAP",
        "min_price": {"before_taxes": 2, "after_taxes": 1},
        "max_price": {"excl_vat": 1},
        "start_date_time": "yesterday",
        "elements": [
            {"price_components": []},
            "free",
            {"price_components": [{"type": "POWER", "price": -1, "vat": 101}], "weather": "sunny"},
        ],
    }

    assert paths(body) == [
        "$.id",
        "$.currency",
        "$.tax_included",
        "$.min_price.after_taxes",
        "$.max_price.excl_vat",
        "$.max_price.before_taxes",
        "$.elements[0].price_components",
        "$.elements[1]",
        "$.elements[2].weather",
        "$.elements[2].price_components[0].type",
        "$.elements[2].price_components[0].price",
        "$.elements[2].price_components[0].step_size",
        "$.elements[2].price_components[0].vat",
        "$.type",
        "$.start_date_time",
    ]


@pytest.mark.parametrize("body", [None, [], "tariff", 1])
def test_what_is_no_object_is_no_tariff(body: Any) -> None:
    assert paths(body) == ["$"]


@pytest.mark.parametrize(
    "price", ["-0.01", "NaN", "Infinity", "1e400", "1e99", 10**30, True, [], "0.1234567", "1000000000", "٣"]
)
def test_a_price_that_is_no_sane_number_is_refused(price: Any) -> None:
    assert paths(with_component(price=price)) == ["$.elements[0].price_components[0].price"]


def test_a_negative_price_is_refused_by_name() -> None:
    with pytest.raises(TariffInvalid, match="negative prices are not supported"):
        parse_tariff(with_component(price="-0.10"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("start_time", "24:00"),
        ("end_time", "8:00"),
        ("start_date", "2026-02-30"),
        ("end_date", "01.02.2026"),
        ("max_kwh", -1),
        ("min_duration", "1.5"),
        ("day_of_week", ["MON"]),
        ("reservation", "MAYBE"),
        ("vehicle_class", "TRUCK"),
    ],
)
def test_a_restriction_that_cannot_be_followed_is_refused(name: str, value: Any) -> None:
    assert paths(with_restrictions(**{name: value})) == [f"$.elements[0].restrictions.{name}"]


def test_fields_that_price_nothing_are_kept_as_they_came() -> None:
    body = with_component() | {"energy_mix": {"is_green_energy": True, "share": 12.5}, "house_rule": "no smoking"}

    tariff = parse_tariff(body)

    assert tariff.other == {
        "energy_mix": {"is_green_energy": True, "share": Decimal("12.5")},
        "house_rule": "no smoking",
    }
    assert "unknown_field" in {finding.code for finding in lint(tariff)}


@pytest.mark.parametrize("value", ["nul \x00", "half \ud800", {"deep\x00": 1}, ["a", ["b\x00"]]])
def test_text_that_no_database_stores_is_refused(value: Any) -> None:
    assert paths(with_component() | {"tariff_alt_text": value}) == ["$.tariff_alt_text"]


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else 1


def test_endless_nesting_is_refused() -> None:
    assert paths(with_component() | {"energy_mix": nested(50)}) == ["$.energy_mix"]


def test_nan_is_not_json() -> None:
    with pytest.raises(ValueError, match="NaN is not JSON"):
        load_json('{"price": NaN}')


JUNK = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**40), 10**40),
        st.decimals(allow_nan=True, allow_infinity=True),
        st.sampled_from(["", "00:00", "25:61", "2026-13-01", "RESERVATION", "\x00", "\ud800", "1e999"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
)


@st.composite
def damaged(draw: st.DrawFn) -> Any:
    """A tariff in which some places hold junk."""
    body = deepcopy(draw(bodies()))
    for _ in range(draw(st.integers(1, 3))):
        spot: Any = body
        while True:
            keys = list(spot) if isinstance(spot, dict) else list(range(len(spot)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(spot[key], dict | list) and draw(st.booleans()):
                spot = spot[key]
                continue
            spot[key] = draw(JUNK)
            break
    return body


@tried(150)
@given(damaged())
def test_a_damaged_tariff_gives_problems_or_a_price_never_an_exception_or_a_negative_total(body: Any) -> None:
    session = {
        "time_zone": "Europe/Berlin",
        "periods": [{"start": "2026-03-28T20:00:00Z", "end": "2026-03-29T05:00:00Z", "energy_kwh": "18"}],
    }

    shown = price_command(body, session)

    if isinstance(shown, PriceRefused):
        assert all(str(problem) for problem in shown.problems)
    else:
        assert Decimal(shown["total_incl_tax"]) >= Decimal(shown["total_excl_tax"]) >= 0
        lint(parse_tariff(body))
