"""A tax rule's rate stands in the place of the tariff's: what holds for every session, and amounts worked out by hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.rating.engine import rate
from billing.rating.explanation import explain, recompute
from billing.rating.policy import PRICE_POLICY
from billing.rating.rating import AppliedTax, ComponentName, Note, Rating
from billing.rating.rating_json import rating_from_json, rating_to_json
from billing.rating.terms import Terms
from billing.rating.usage import Period, PeriodKind, Usage
from billing.tariffs.tariff import Tariff, TaxIncluded, parse_tariff
from billing.taxes.tax_decision import Supply, day_of, taxes_for
from billing.taxes.tax_rule import Category, TaxRule
from tests.billing.rating.worlds import SESSION_KINDS, cuts, tariffs, usages

FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TAXED = (TaxIncluded.YES, TaxIncluded.NO)
ZERO_RATED = ("Z", "E", "AE", "O")


@st.composite
def rules(draw: st.DrawFn) -> Terms:
    """What rules may say of all five parts."""
    taxes = []
    for number, component in enumerate(ComponentName):
        vat = Decimal(draw(st.sampled_from(["0", "5", "5.5", "7.7", "10", "19", "22", "25.5", "100"])))
        category = "S" if vat else draw(st.sampled_from(ZERO_RATED))
        taxes.append(AppliedTax(component=component, rate=vat, rule=f"R{number}", category=category))
    return Terms(taxes=tuple(taxes))


def without_rates(tariff: Tariff) -> Tariff:
    return replace(
        tariff,
        elements=tuple(
            replace(element, components=tuple(replace(each, vat=None) for each in element.components))
            for element in tariff.elements
        ),
    )


def rated(usage: Usage, tariff: Tariff, terms: Terms) -> Rating:
    return rate(usage, tariff, PRICE_POLICY, final=True, terms=terms)


@FEW
@given(usages(), tariffs(), rules())
def test_the_tariffs_own_rates_mean_nothing_where_rules_decide(usage: Usage, tariff: Tariff, terms: Terms) -> None:
    by_rule = rated(usage, tariff, terms)

    assert replace(by_rule, tariff_id="") == replace(rated(usage, without_rates(tariff), terms), tariff_id="")
    assert Note.TAX_UNKNOWN not in by_rule.notes


@FEW
@given(usages(), tariffs(limits=False), rules(), rules())
def test_prices_that_hold_tax_keep_their_gross_and_net_prices_their_net(
    usage: Usage, tariff: Tariff, one: Terms, two: Terms
) -> None:
    gross, net = (replace(tariff, tax_included=included) for included in TAXED)

    assert rated(usage, gross, one).incl_tax == rated(usage, gross, two).incl_tax
    assert rated(usage, net, one).excl_tax == rated(usage, net, two).excl_tax


@FEW
@given(usages(), tariffs(limits=False), rules())
def test_net_prices_get_the_rate_of_the_rule(usage: Usage, tariff: Tariff, terms: Terms) -> None:
    rating = rated(usage, replace(tariff, tax_included=TaxIncluded.NO), terms)

    wanted = Fraction(0)
    for part in rating.components:
        tax = terms.tax_of(part.name)
        assert tax is not None
        wanted += part.excl_tax_exact * Fraction(tax.rate) / 100
    assert rating.incl_tax - rating.excl_tax == wanted


@FEW
@given(usages(), tariffs(), rules())
def test_tax_groups_add_up_and_no_tax_is_negative(usage: Usage, tariff: Tariff, terms: Terms) -> None:
    rating = rated(usage, tariff, terms)

    lines = [*rating.segments, *rating.adjustments]
    assert sum((each.excl_tax for each in lines), Fraction(0)) == rating.excl_tax
    assert sum((each.incl_tax for each in lines), Fraction(0)) == rating.incl_tax
    assert sum(group.tax.minor for group in rating.tax_groups) == rating.total_incl.minor - rating.total_excl.minor
    assert sum(group.net.minor for group in rating.tax_groups) == rating.total_excl.minor
    if tariff.min_price is None and tariff.max_price is None:  # limits before and after tax may contradict each other
        assert all(group.tax_exact >= 0 for group in rating.tax_groups)
    if tariff.tax_included is TaxIncluded.NOT_APPLICABLE:
        assert (rating.total_tax.minor, rating.taxes) == (0, ())
    else:
        rates = {tax.rate for tax in rating.taxes}
        assert {group.vat for group in rating.tax_groups} <= rates


@FEW
@given(usages(), tariffs(), rules())
def test_limits_hold_before_and_after_tax(usage: Usage, tariff: Tariff, terms: Terms) -> None:
    rating = rated(usage, tariff, terms)

    low, high = tariff.min_price, tariff.max_price
    if high is not None:
        assert rating.excl_tax <= Fraction(high.before_taxes)
        assert high.after_taxes is None or rating.incl_tax <= Fraction(high.after_taxes)
    elif low is not None:
        assert rating.excl_tax >= Fraction(low.before_taxes)
        taxed = tariff.tax_included is not TaxIncluded.NOT_APPLICABLE
        assert not taxed or low.after_taxes is None or rating.incl_tax >= Fraction(low.after_taxes)


@FEW
@given(st.data())
def test_cutting_a_period_changes_nothing(data: st.DataObject) -> None:
    usage = data.draw(usages(kinds=SESSION_KINDS))
    tariff, terms = data.draw(tariffs(step_max=1)), data.draw(rules())

    whole, cut = rated(usage, tariff, terms), rated(data.draw(cuts(usage)), tariff, terms)

    assert (whole.total_incl, whole.total_tax, whole.taxes) == (cut.total_incl, cut.total_tax, cut.taxes)


@FEW
@given(usages(), tariffs(), rules())
def test_it_survives_its_stored_form_and_follows_from_its_lines(usage: Usage, tariff: Tariff, terms: Terms) -> None:
    rating = rated(usage, tariff, terms)

    assert rating_from_json(rating_to_json(rating)) == rating
    assert Terms.from_dict(terms.to_dict()) == terms
    again = recompute(rating)
    assert (again.total_excl, again.total_incl) == (rating.total_excl, rating.total_incl)


# By hand

START = datetime(2026, 3, 2, 12, tzinfo=UTC)


def charged(start: datetime, end: datetime, kwh: str, zone: str = "Europe/Berlin") -> Usage:
    energy = Decimal(kwh) * 1000
    return Usage(time_zone=zone, periods=(Period(kind=PeriodKind.CHARGING, start=start, end=end, energy_wh=energy),))


def priced(
    *parts: tuple[str, str], included: str = "NO", restrictions: dict[str, Any] | None = None, **more: Any
) -> Tariff:
    components = [{"type": kind, "price": price, "step_size": 1} for kind, price in parts]
    element = {"price_components": components, "restrictions": restrictions or {}}
    return parse_tariff({"id": "T", "currency": "EUR", "tax_included": included, "elements": [element], **more})


def tax(component: ComponentName, vat: str, rule: str, category: str = "S", note: str | None = None) -> AppliedTax:
    return AppliedTax(component=component, rate=Decimal(vat), rule=rule, category=category, note=note)


MIXED = Terms(taxes=(tax(ComponentName.ENERGY, "10", "IT-10"), tax(ComponentName.FLAT, "22", "IT-22")))


def test_one_session_has_two_rates_where_rules_say_so_for_each_part() -> None:
    hour = charged(START, START + timedelta(hours=1), "20")

    rating = rated(hour, priced(("FLAT", "0.50"), ("ENERGY", "0.25")), MIXED)

    # 20 x 0.25 = 5.00 at 10 %, 0.50 at 22 %
    assert [(str(each.vat), each.net.text, each.tax.text) for each in rating.tax_groups] == [
        ("10", "5.00", "0.50"), ("22", "0.50", "0.11"),
    ]  # fmt: skip
    assert rating.total_incl.text == "6.11"


@pytest.mark.parametrize(
    ("limit", "excl", "incl"),
    [
        # 5.50 + 0.61 raised to 11.00: both by 2, tax 1.22
        ({"min_price": {"before_taxes": "11.00"}}, "11.00", "12.22"),
        # cut to half: 2.75 and 0.305
        ({"max_price": {"before_taxes": "2.75"}}, "2.75", "3.06"),
        ({"max_price": {"before_taxes": "5.00", "after_taxes": "5.60"}}, "5.00", "5.60"),
    ],
)
def test_limits_keep_the_mix_of_the_rules_rates(limit: dict[str, Any], excl: str, incl: str) -> None:
    hour = charged(START, START + timedelta(hours=1), "20")

    rating = rated(hour, priced(("FLAT", "0.50"), ("ENERGY", "0.25"), **limit), MIXED)

    assert (rating.total_excl.text, rating.total_incl.text) == (excl, incl)


def test_a_minimum_where_nothing_else_is_priced_is_a_fee_at_the_rules_rate() -> None:
    nights = priced(
        ("ENERGY", "0.25"),
        restrictions={"start_time": "22:00", "end_time": "06:00"},
        min_price={"before_taxes": "2.00"},
    )
    hour = charged(START, START + timedelta(hours=1), "20")

    rating = rated(hour, nights, MIXED)

    assert (rating.total_excl.text, rating.total_incl.text) == ("2.00", "2.44")
    assert [each.rule for each in rating.taxes] == ["IT-22"]
    assert Note.TAX_UNKNOWN not in rating.notes


def test_the_explanation_names_rule_category_and_note_of_each_rate() -> None:
    terms = Terms(
        taxes=(
            tax(ComponentName.ENERGY, "0", "AE-1", "AE", "Reverse charge"),
            tax(ComponentName.PARKING, "0", "E-1", "E", "Exempt by law"),
            tax(ComponentName.FLAT, "22", "IT-22"),
        )
    )
    parked = Period(kind=PeriodKind.PARKING, start=START + timedelta(hours=1), end=START + timedelta(hours=2))
    usage = charged(START, START + timedelta(hours=1), "20")
    both = replace(usage, periods=(*usage.periods, parked))

    lines = explain(rated(both, priced(("FLAT", "0.50"), ("ENERGY", "0.25"), ("PARKING_TIME", "1.00")), terms))

    assert [line.rule for line in lines if line.what == "tax group"] == [
        "tax 0.00; energy by rule AE-1, category AE: Reverse charge; parking by rule E-1, category E: Exempt by law",
        "tax 0.11; rule IT-22, category S",
    ]


# Rates of Germany: 19 %, 16 % from 1 July to 31 December 2020, 19 % since.
GERMANY = [
    TaxRule(id=id_, country="DE", rate=Decimal(vat), category=Category.STANDARD, valid_from=first, valid_to=last)
    for id_, vat, first, last in (
        ("DE-2007", "19", date(2007, 1, 1), date(2020, 6, 30)),
        ("DE-2020", "16", date(2020, 7, 1), date(2020, 12, 31)),
        ("DE-2021", "19", date(2021, 1, 1), None),
    )
]


@dataclass(frozen=True)
class Case:
    name: str
    start: str
    end: str
    included: str
    rule: str
    excl: str
    incl: str
    zone: str = "Europe/Berlin"


CASES = [
    # 10 kWh x 0.50 net; Berlin is at UTC+1, so that 1 January begins at 23:00
    Case("over midnight, net", "2020-12-31T22:00", "2021-01-01T00:00", "NO", "DE-2021", "5.00", "5.95"),
    Case("the last second, net", "2020-12-31T22:00", "2020-12-31T22:59", "NO", "DE-2020", "5.00", "5.80"),
    Case("ending at midnight itself", "2020-12-31T22:00", "2020-12-31T23:00", "NO", "DE-2021", "5.00", "5.95"),
    # in July Berlin is at UTC+2
    Case("into July, net", "2020-06-30T21:00", "2020-06-30T22:00", "NO", "DE-2020", "5.00", "5.80"),
    Case("the end of June, net", "2020-06-30T20:00", "2020-06-30T21:59", "NO", "DE-2007", "5.00", "5.95"),
    # 5.00 gross stays: / 1.19 = 4.2016..., / 1.16 = 4.3103...
    Case("over midnight, gross", "2020-12-31T22:00", "2021-01-01T00:00", "YES", "DE-2021", "4.20", "5.00"),
    Case("before midnight, gross", "2020-12-31T22:00", "2020-12-31T22:59", "YES", "DE-2020", "4.31", "5.00"),
    # the same instants as the first case, where it is still the old year
    Case(
        "not midnight there", "2020-12-31T22:00", "2021-01-01T00:00", "NO", "DE-2020", "5.00", "5.80", "Atlantic/Azores"
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_session_over_a_change_of_the_rate_has_that_of_its_end(case: Case) -> None:
    start, end = (datetime.fromisoformat(f"{text}:00Z") for text in (case.start, case.end))
    found = taxes_for(GERMANY, Supply(country="DE", day=day_of(end, case.zone)), [ComponentName.ENERGY])
    assert isinstance(found, tuple)

    rating = rated(
        charged(start, end, "10", case.zone), priced(("ENERGY", "0.50"), included=case.included), Terms(taxes=found)
    )

    assert [each.rule for each in rating.taxes] == [case.rule]
    assert (rating.total_excl.text, rating.total_incl.text) == (case.excl, case.incl)
