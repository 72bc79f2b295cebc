"""Which tax rule decides, and when none does: the rules are values, nothing else is asked."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.rating.rating import Basis, ComponentName, Concession, Effect
from billing.rating.terms import Undecided
from billing.tariffs.tariff import parse_tariff
from billing.taxes.tax_decision import Supply, TaxedCustomer, day_of, judge, priced_parts, taxes_for
from billing.taxes.tax_rule import Category, CustomerKind, TaxRule, VatIdAsked, mistakes, supplied
from billing.taxes.vat_id import country_of, misshapen, written

ENERGY, PARKING, FLAT = ComponentName.ENERGY, ComponentName.PARKING, ComponentName.FLAT
DAY = date(2026, 3, 2)
FIRM_NL = TaxedCustomer(kind=CustomerKind.BUSINESS, vat_id="NL123456789B01")
FIRM_DE = TaxedCustomer(kind=CustomerKind.BUSINESS, vat_id="DE123456789")
FIRM = TaxedCustomer(kind=CustomerKind.BUSINESS)
DRIVER = TaxedCustomer()


def rule(id_: str = "DE", rate: str = "19", **more: Any) -> TaxRule:
    given: dict[str, Any] = {"country": "DE", "category": Category.STANDARD, "valid_from": date(2021, 1, 1), **more}
    return TaxRule(id=id_, rate=Decimal(rate), **given)


REVERSE = rule("AE", "0", category=Category.REVERSE_CHARGE, vat_id=VatIdAsked.FOREIGN, note="Reverse charge")


def supply(customer: TaxedCustomer = DRIVER, day: date = DAY, country: str = "DE") -> Supply:
    return Supply(country=country, day=day, customer=customer)


def decided(rules: list[TaxRule], asked: Supply, part: ComponentName = ENERGY) -> str | None:
    found = judge(rules, asked, part).rule
    return None if found is None else found.id


def test_a_rule_that_asks_for_more_goes_before_one_that_asks_for_less() -> None:
    rules = [
        rule("ALL"),
        rule("ENERGY", "10", supply=ENERGY),
        rule("FIRMS", "8", customer=CustomerKind.BUSINESS, supply=ENERGY),
    ]

    assert decided(rules, supply(DRIVER)) == "ENERGY"
    assert decided(rules, supply(FIRM)) == "FIRMS"
    assert decided(rules, supply(FIRM), PARKING) == "ALL"


@pytest.mark.parametrize(("customer", "found"), [(DRIVER, "DE"), (FIRM, "DE"), (FIRM_DE, "DE"), (FIRM_NL, "AE")])
def test_the_country_of_the_vat_id_is_seen_from_the_country_of_supply(customer: TaxedCustomer, found: str) -> None:
    assert decided([rule(), REVERSE], supply(customer)) == found


def test_a_vat_id_asked_for_is_a_business_asked_for() -> None:
    firms, with_id = rule("FIRMS", customer=CustomerKind.BUSINESS), rule("ID", "7", vat_id=VatIdAsked.YES)

    assert decided([firms, with_id, rule()], supply(FIRM_DE)) == "ID"
    assert decided([firms, with_id, rule()], supply(FIRM)) == "FIRMS"


def test_both_days_belong_to_a_rule() -> None:
    lower = rule("LOW", "16", valid_from=date(2020, 7, 1), valid_to=date(2020, 12, 31))
    rules = [lower, rule("HIGH")]

    assert decided(rules, supply(day=date(2020, 6, 30))) is None
    assert decided(rules, supply(day=date(2020, 7, 1))) == "LOW"
    assert decided(rules, supply(day=date(2020, 12, 31))) == "LOW"
    assert decided(rules, supply(day=date(2021, 1, 1))) == "HIGH"


def test_the_day_is_the_one_that_the_site_sees_and_begins_with_its_first_instant() -> None:
    midnight = datetime(2020, 12, 31, 23, 0, tzinfo=UTC)

    assert day_of(midnight, "Europe/Berlin") == date(2021, 1, 1)
    assert day_of(midnight.replace(hour=22, minute=59, second=59), "Europe/Berlin") == date(2020, 12, 31)
    assert day_of(midnight, "America/New_York") == date(2020, 12, 31)


def test_two_rules_of_which_neither_goes_before_the_other_decide_nothing_and_are_named() -> None:
    energy, firms = rule("ENERGY", "10", supply=ENERGY), rule("FIRMS", "8", customer=CustomerKind.BUSINESS)

    found = taxes_for([energy, firms, rule("ALL")], supply(FIRM), [ENERGY, PARKING])

    assert isinstance(found, Undecided)
    assert found.hold == "tax_undecided"
    assert "DE, business customer without a VAT id, tax point 2026-03-02" in found.why
    assert "energy: rules ENERGY and FIRMS fit and none goes before the others" in found.why
    assert "csms tax rule add" in found.why
    assert decided([energy, firms, rule("ALL")], supply(FIRM), PARKING) == "FIRMS"


def test_the_same_question_answered_twice_is_not_decided() -> None:
    assert decided([rule("ONE"), rule("TWO", "16")], supply()) is None


def test_where_no_rule_fits_it_is_said_why_each_does_not() -> None:
    rules = [
        rule("OLD", valid_from=date(2007, 1, 1), valid_to=date(2020, 6, 30)), rule("NEXT", valid_from=date(2027, 1, 1)),
        rule("FEE", supply=FLAT), REVERSE, rule("FIRMS", customer=CustomerKind.BUSINESS),
    ]  # fmt: skip

    judged = judge(rules, supply(), ENERGY)

    assert judged.rule is None
    assert {each.rule.id: each.why for each in judged.verdicts} == {
        "OLD": "held until 2020-06-30, the tax point is 2026-03-02",
        "NEXT": "holds only from 2027-01-01, the tax point is 2026-03-02",
        "FEE": "for flat, this is energy",
        "AE": "for customers with a VAT id of another country than DE, this one has none",
        "FIRMS": "for business customers, this one is private",
    }
    assert judged.open is not None
    assert judged.open.startswith("no rule fits (AE: for customers")


def test_a_country_without_rules_leaves_the_tariff_its_own_rates() -> None:
    assert taxes_for([], supply(), [ENERGY]) == ()


def test_what_is_decided_names_rule_category_and_note() -> None:
    found = taxes_for([rule(), REVERSE], supply(FIRM_NL), [ENERGY])

    assert isinstance(found, tuple)
    [tax] = found
    assert (tax.component, tax.rate, tax.rule, tax.category, tax.note) == (ENERGY, 0, "AE", "AE", "Reverse charge")


RULES = st.builds(
    rule,
    id_=st.sampled_from([f"R{number}" for number in range(9)]),
    rate=st.sampled_from(["5", "10", "19"]),
    customer=st.sampled_from([None, *CustomerKind]),
    vat_id=st.sampled_from([None, *VatIdAsked]),
    supply=st.sampled_from([None, ENERGY, PARKING]),
    valid_to=st.sampled_from([None, date(2025, 12, 31), date(2026, 12, 31)]),
)


@given(
    st.lists(RULES, max_size=6, unique_by=lambda each: each.id),
    st.sampled_from([DRIVER, FIRM, FIRM_DE, FIRM_NL]),
    st.randoms(),
)
def test_the_order_in_which_rules_were_entered_decides_nothing(
    rules: list[TaxRule], customer: TaxedCustomer, random: Any
) -> None:
    shuffled = list(rules)
    random.shuffle(shuffled)

    assert judge(rules, supply(customer), ENERGY) == judge(shuffled, supply(customer), ENERGY)


@given(st.lists(RULES, max_size=6, unique_by=lambda each: each.id), st.sampled_from([DRIVER, FIRM, FIRM_DE, FIRM_NL]))
def test_what_decides_goes_before_all_else_that_fits(rules: list[TaxRule], customer: TaxedCustomer) -> None:
    judged = judge(rules, supply(customer), ENERGY)
    alone = [each for each in rules if judge([each], supply(customer), ENERGY).rule is not None]

    assert (judged.rule is None) is (judged.open is not None)
    if judged.rule is None:
        assert not any(all(each is other or each.goes_before(other) for other in alone) for each in alone)
    else:
        assert all(each == judged.rule or judged.rule.goes_before(each) for each in alone)


@given(RULES, RULES, RULES)
def test_going_before_is_an_order(one: TaxRule, two: TaxRule, three: TaxRule) -> None:
    assert not one.goes_before(one)
    assert not (one.goes_before(two) and two.goes_before(one))
    assert not (one.goes_before(two) and two.goes_before(three)) or one.goes_before(three)


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        (rule(rate="19", category=Category.EXEMPT, note="x"), "its rate is 0"),
        (rule(rate="19", category=Category.ZERO), "its rate is 0"),
        (rule(rate="0"), "above 0"),
        (rule(rate="100.01"), "from 0 to 100"),
        (rule(rate="NaN"), "from 0 to 100"),
        (rule(rate="-1"), "from 0 to 100"),
        (rule(rate="19.00001"), "4 decimals"),
        (replace(REVERSE, note=None), "legal note"),
        (replace(REVERSE, vat_id=None), "with a VAT id"),
        (replace(REVERSE, vat_id=VatIdAsked.DOMESTIC, category=Category.INTRA_COMMUNITY), "of another country"),
        (rule(customer=CustomerKind.PRIVATE, vat_id=VatIdAsked.YES), "no private customer"),
        (rule(valid_to=date(2020, 12, 31)), "before it begins"),
        (rule(note="two\nlines"), "one line"),
        (rule("no such id"), "no rule id"),
        (rule(country="Germany"), "no country"),
    ],
)
def test_a_rule_that_contradicts_itself_is_not_taken_in(wrong: TaxRule, word: str) -> None:
    assert [word in each for each in mistakes(wrong)] == [True]


def test_a_sound_rule_is() -> None:
    assert mistakes(rule()) == mistakes(REVERSE) == []


def test_rules_of_one_kind_meet_where_they_share_a_day() -> None:
    first = rule("ONE", valid_to=date(2025, 12, 31))

    assert first.meets(rule("TWO", valid_from=date(2025, 12, 31)))
    assert not first.meets(rule("TWO", valid_from=date(2026, 1, 1)))
    assert not first.meets(rule("TWO", supply=ENERGY))
    assert not first.meets(rule("TWO", country="AT"))


def part(kind: str) -> dict[str, Any]:
    return {"type": kind, "price": "1.00", "step_size": 1}


@pytest.mark.parametrize(
    ("more", "parts"),
    [
        ({}, [ENERGY, ComponentName.TIME]),
        ({"min_price": {"before_taxes": "1.00"}}, [ENERGY, ComponentName.TIME, FLAT]),
        ({"tax_included": "N/A"}, []),
    ],
)
def test_rules_are_asked_for_the_parts_that_the_tariff_may_price(more: dict[str, Any], parts: list[str]) -> None:
    body = {
        "id": "T",
        "currency": "EUR",
        "tax_included": "NO",
        "elements": [{"price_components": [part("ENERGY"), part("TIME")]}],
    }

    assert list(priced_parts(parse_tariff(body | more))) == parts


@pytest.mark.parametrize(("component", "parts"), [(PARKING, (ENERGY, PARKING)), (None, (ENERGY, FLAT))])
def test_a_part_that_a_surcharge_may_price_is_asked_for_too(
    component: ComponentName | None, parts: tuple[ComponentName, ...]
) -> None:
    body = {"id": "T", "currency": "EUR", "tax_included": "NO", "elements": [{"price_components": [part("ENERGY")]}]}
    fee = Concession(
        id="FEE", label="Fee", effect=Effect.SURCHARGE, basis=Basis.FIXED, value=Decimal(1), component=component
    )

    assert priced_parts(parse_tariff(body), [fee]) == parts
    assert priced_parts(parse_tariff(body), [replace(fee, effect=Effect.DISCOUNT)]) == (ENERGY,)


def test_what_a_reservation_costs_is_one_part() -> None:
    element = {"price_components": [part("FLAT"), part("TIME")], "restrictions": {"reservation": "RESERVATION"}}
    body = {"id": "T", "currency": "EUR", "tax_included": "NO", "elements": [element]}

    assert priced_parts(parse_tariff(body)) == (ComponentName.RESERVATION,)


@pytest.mark.parametrize(
    ("text", "country"),
    [
        ("DE123456789", "DE"), ("atu12345678", "AT"), ("NL 1234.56789.B01", "NL"), ("EL123456789", "GR"),
        ("XI123456789", "GB"), ("CHE-123.456.789 MWST", "CH"), ("FRXX123456789", "FR"), ("AU12345678901", "AU"),
    ],
)  # fmt: skip
def test_a_vat_id_of_the_right_form_tells_its_country(text: str, country: str) -> None:
    assert misshapen(written(text)) is None
    assert country_of(written(text)) == country


@pytest.mark.parametrize(
    "text", ["", "D", "DE12345678", "DE1234567890", "123456789", "GR123456789", "NL123456789", "ÄT1", "AU1!"]
)
def test_what_can_be_no_vat_id_is_said(text: str) -> None:
    assert misshapen(written(text)) is not None


def test_what_is_sold_beside_sessions_is_asked_for_by_its_own_name() -> None:
    books, energy = rule("BOOKS", "7", supply=supplied("manual")), rule("ENERGY", "10", supply=supplied("energy"))

    assert judge([books, energy, rule()], supply(), supplied("manual")).rule == books
    assert judge([books, energy, rule()], supply(), supplied("subscription")).rule == rule()
    assert decided([books, energy, rule()], supply(), PARKING) == "DE"
    assert supplied("energy") is ENERGY


@pytest.mark.parametrize("text", ["", "Energy", "a b", "1st", "x" * 41])
def test_what_is_no_name_of_a_supply_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        supplied(text)
