"""What is told of a price before a session: never less than a private customer is billed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from billing.rating.outlook import prices_at_start
from billing.rating.rating import ComponentName
from billing.tariffs.assignment import Assignment, Place, Scope, TariffVersion, by_target
from billing.tariffs.offer import Offer, PriceBook
from billing.tariffs.tariff import Dimension, parse_tariff
from billing.taxes.tax_rule import Category, CustomerKind, TaxRule

NEW_YEAR = datetime(2025, 12, 31, 23, 0, tzinfo=UTC)
"""In Berlin."""
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def rule(id_: str, rate: str, **more: Any) -> TaxRule:
    given: dict[str, Any] = {"country": "DE", "category": Category.STANDARD, "valid_from": date(2020, 1, 1), **more}
    return TaxRule(id=id_, rate=Decimal(rate), **given)


def offer(*rules: TaxRule, tax_included: str = "NO", vat: str | None = None, at: datetime = NEW_YEAR) -> Offer:
    parts = [{"type": "ENERGY", "price": "0.40", "step_size": 1}, {"type": "FLAT", "price": "1", "step_size": 1}]
    for part in parts if vat else ():
        part["vat"] = vat
    document = {"id": "T", "currency": "EUR", "tax_included": tax_included, "elements": [{"price_components": parts}]}
    tariff = replace(parse_tariff(document), version=1)
    assigned = Assignment(
        id=1, scope=Scope.DEFAULT, target=None, tariff="T", valid_from=LONG_AGO, entered_at=LONG_AGO
    )  # fmt: skip
    version = TariffVersion(tariff=tariff, valid_from=LONG_AGO, entered_at=LONG_AGO)
    book = PriceBook(
        assignments=by_target([assigned]),
        versions={"T": [version]},
        country="DE",
        time_zone="Europe/Berlin",
        tax_rules=rules,
    )
    found = book.offer(Place(charge_point="CP", site="S", currency="EUR", at=at))
    assert found is not None
    return found


def numbers(found: Offer) -> list[Decimal]:
    prices = prices_at_start(found.tariff, NEW_YEAR, "Europe/Berlin")
    return [prices[Dimension.ENERGY], prices[Dimension.FLAT]]


@pytest.mark.parametrize("vat", [None, "7", "0"])
def test_net_prices_are_told_with_the_tax_of_the_rule(vat: str | None) -> None:
    found = offer(
        rule("PRIVATE", "19"), rule("FIRMS", "0", customer=CustomerKind.BUSINESS, category=Category.ZERO), vat=vat
    )

    assert found.prices_known
    assert numbers(found) == [Decimal("0.476"), Decimal("1.19")]
    assert found.text() == "per kWh: 0.476 EUR; per session: 1.19 EUR; incl. 19 % VAT"


def test_each_part_is_told_with_the_tax_of_its_own_rule() -> None:
    found = offer(rule("ALL", "19"), rule("FEES", "7", supply=ComponentName.FLAT))

    assert numbers(found) == [Decimal("0.476"), Decimal("1.07")]


def test_the_rule_of_the_day_at_the_site_counts() -> None:
    old, new = rule("OLD", "19", valid_to=date(2025, 12, 31)), rule("NEW", "22", valid_from=date(2026, 1, 1))

    assert numbers(offer(old, new))[0] == Decimal("0.488")
    assert numbers(offer(old, new, at=datetime(2025, 12, 31, 22, 59, tzinfo=UTC)))[0] == Decimal("0.476")


@pytest.mark.parametrize("vat", [None, "7"])
def test_where_no_rule_decides_no_number_is_told_and_tax_is_said_to_come_on_top(vat: str | None) -> None:
    found = offer(rule("FEES", "19", supply=ComponentName.FLAT), vat=vat)

    assert not found.prices_known
    assert found.text() == "per kWh: 0.40 EUR; per session: 1.00 EUR; plus tax"


def test_gross_prices_stay_and_name_the_rate_of_the_rule() -> None:
    decided, undecided = (
        offer(rule("ALL", "19"), tax_included="YES", vat="7"),
        offer(rule("FEES", "19", supply=ComponentName.FLAT), tax_included="YES", vat="7"),
    )

    assert decided.text() == "per kWh: 0.40 EUR; per session: 1.00 EUR; incl. 19 % VAT"
    assert undecided.text() == "per kWh: 0.40 EUR; per session: 1.00 EUR; incl. tax"
    assert undecided.prices_known


def test_without_rules_the_tariffs_own_rate_is_told() -> None:
    assert numbers(offer(vat="7"))[0] == Decimal("0.428")
