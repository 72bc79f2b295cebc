"""Surcharges, discounts and incentives: worked examples, and what holds for all of them (RULES.md 28-30)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from billing.rating.concessions import free_kwh_of, in_order
from billing.rating.engine import rate
from billing.rating.explanation import explain, recompute
from billing.rating.policy import DEFAULT_POLICY, PRICE_POLICY
from billing.rating.rating import AppliedTax, Basis, ComponentName, Concession, Effect, Note, Rating
from billing.rating.rating_json import rating_from_json, rating_to_json
from billing.rating.receipt import receipt
from billing.rating.terms import NO_TERMS, Terms
from billing.rating.usage import Period, PeriodKind, Usage
from billing.tariffs.tariff import Tariff, TaxIncluded, parse_tariff
from tests.billing.rating.test_rating_invariants import check_sums
from tests.billing.rating.worlds import tariffs, until, usages
from tests.examples import tried

FEW = tried(150)
START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
ENERGY = {"type": "ENERGY", "price": "0.50", "vat": "20", "step_size": 1}
FEE = {"type": "FLAT", "price": "2.00", "vat": "10", "step_size": 1}


def tariff(*parts: dict[str, Any], tax_included: str = "NO", **more: Any) -> Tariff:
    elements = [{"price_components": list(parts or (ENERGY,))}]
    return parse_tariff({"id": "DAY", "currency": "EUR", "tax_included": tax_included, "elements": elements} | more)


def kwh(amount: str | int, *, hours: int = 1) -> Usage:
    end = START + timedelta(hours=hours)
    period = Period(kind=PeriodKind.CHARGING, start=START, end=end, energy_wh=Decimal(amount) * 1000)
    return Usage(time_zone="Europe/Berlin", periods=(period,))


def concession(effect: Effect, basis: Basis, value: str, **more: Any) -> Concession:
    return Concession(**{"id": f"{effect}-{basis}", "label": "Label", "effect": effect, "basis": basis} | more, value=Decimal(value))  # fmt: skip


def discount(basis: Basis, value: str, **more: Any) -> Concession:
    return concession(Effect.DISCOUNT, basis, value, **more)


def surcharge(basis: Basis, value: str, **more: Any) -> Concession:
    return concession(Effect.SURCHARGE, basis, value, **more)


def incentive(basis: Basis, value: str, **more: Any) -> Concession:
    return concession(Effect.INCENTIVE, basis, value, **{"party": "Ministry"} | more)


def rated(usage: Usage, by: Tariff, *concessions: Concession, final: bool = True, **more: Any) -> Rating:
    rating = rate(usage, by, DEFAULT_POLICY, final=final, terms=Terms(concessions=in_order(concessions), **more))
    check_sums_with_concessions(rating)
    return rating


def check_sums_with_concessions(rating: Rating) -> None:
    """What every rating obeys, its JSON and its recomputation included."""
    check_sums(rating)
    again = recompute(rating)
    assert (again.total_excl, again.total_incl, again.payable) == (
        rating.total_excl, rating.total_incl, rating.payable,
    )  # fmt: skip
    assert rating_from_json(rating_to_json(rating)) == rating
    assert sum((each.amount for each in rating.incentives), rating.payable) == rating.total_incl
    assert rating.payable.minor >= 0
    assert all(part.excl_tax_exact >= 0 for part in rating.components)


def totals(rating: Rating) -> tuple[str, str]:
    return rating.total_excl.text, rating.total_incl.text


# 10 kWh at 0.50 are 5.00, with 20 % tax 6.00.
@pytest.mark.parametrize(
    ("each", "expected"),
    [
        (discount(Basis.PERCENT, "10"), ("4.50", "5.40")),
        (discount(Basis.FIXED, "1.00"), ("4.00", "4.80")),
        (discount(Basis.PER_KWH, "0.05"), ("4.50", "5.40")),
        (discount(Basis.FREE_KWH, "4"), ("3.00", "3.60")),
        (discount(Basis.FREE_KWH, "4", used_kwh=Decimal(3)), ("4.50", "5.40")),
        (discount(Basis.FREE_KWH, "4", used_kwh=Decimal(4)), ("5.00", "6.00")),
        (discount(Basis.FREE_KWH, "40"), ("0.00", "0.00")),
        (discount(Basis.FIXED, "100"), ("0.00", "0.00")),
        (surcharge(Basis.PERCENT, "10"), ("5.50", "6.60")),
        (surcharge(Basis.FIXED, "1.00"), ("6.00", "7.20")),
        (surcharge(Basis.PER_KWH, "0.03"), ("5.30", "6.36")),
    ],
    ids=lambda value: f"{value.effect}-{value.basis}-{value.value}" if isinstance(value, Concession) else "",
)
def test_each_basis_gives_what_is_worked_out_by_hand(each: Concession, expected: tuple[str, str]) -> None:
    rating = rated(kwh(10), tariff(), each)

    assert totals(rating) == expected
    assert rating.payable == rating.total_incl


def test_order_decides_what_a_percentage_is_taken_of() -> None:
    percent, fixed = discount(Basis.PERCENT, "10"), discount(Basis.FIXED, "1.00")

    percent_first = rated(kwh(10), tariff(), replace(percent, order=1), replace(fixed, order=2))
    fixed_first = rated(kwh(10), tariff(), replace(percent, order=2), replace(fixed, order=1))

    # 5.00 x 0.9 - 1.00, and (5.00 - 1.00) x 0.9
    assert percent_first.total_excl.text == "3.50"
    assert fixed_first.total_excl.text == "3.60"
    assert [line.concession for line in fixed_first.adjustments] == [fixed.id, percent.id]


def test_amounts_are_with_tax_where_the_prices_of_the_tariff_are() -> None:
    # 10 x 0.50 = 5.00 with tax; less 1.00 with tax is 4.00, which is 3.33 before tax
    rating = rated(kwh(10), tariff(tax_included="YES"), discount(Basis.FIXED, "1.00"))

    assert totals(rating) == ("3.33", "4.00")


def test_a_discount_on_two_tax_rates_is_divided_in_their_proportion() -> None:
    # energy 5.00 at 20 %, fee 2.00 at 10 %: 0.70 off is a tenth of each
    rating = rated(kwh(10), tariff(ENERGY, FEE), discount(Basis.FIXED, "0.70"))

    shares = {line.vat: line.excl_tax for line in rating.adjustments}
    assert shares == {Decimal(20): Fraction(-1, 2), Decimal(10): Fraction(-1, 5)}
    assert sum(shares.values()) == Fraction(-7, 10)
    # 4.50 x 1.2 + 1.80 x 1.1
    assert totals(rating) == ("6.30", "7.38")


def test_a_discount_on_one_part_leaves_the_others() -> None:
    rating = rated(kwh(10), tariff(ENERGY, FEE), discount(Basis.FIXED, "3", component=ComponentName.FLAT))

    assert rating.component(ComponentName.ENERGY).excl_tax.text == "5.00"
    assert rating.component(ComponentName.FLAT).excl_tax.text == "0.00"


def test_a_discount_is_not_eaten_by_min_price() -> None:
    # raised from 5.00 to 8.00, then half of it
    by = tariff(min_price={"before_taxes": "8.00"})

    assert rated(kwh(10), by, discount(Basis.PERCENT, "50")).total_excl.text == "4.00"


def test_a_surcharge_does_not_break_the_promise_of_max_price() -> None:
    by = tariff(max_price={"before_taxes": "5.20"})

    assert rated(kwh(10), by, surcharge(Basis.FIXED, "1.00")).total_excl.text == "5.20"
    # and what is taken off is taken off what is left: 5.20 - 1.00
    both = rated(kwh(10), by, surcharge(Basis.FIXED, "1.00"), discount(Basis.FIXED, "1.00"))
    assert both.total_excl.text == "4.20"


def test_two_allowances_make_different_kwh_free() -> None:
    plan, coupon = discount(Basis.FREE_KWH, "5", order=1), discount(Basis.FREE_KWH, "5", id="coupon", order=2)

    both = rated(kwh(10), tariff(), plan, coupon)
    assert totals(both) == ("0.00", "0.00")
    assert free_kwh_of(both.concessions, both.energy_wh) == {plan.id: 5, coupon.id: 5}
    # of 12 kWh two cost something; of 8 the coupon gives three
    assert totals(rated(kwh(12), tariff(), plan, coupon)) == ("1.00", "1.20")
    fewer = rated(kwh(8), tariff(), plan, coupon)
    assert free_kwh_of(fewer.concessions, fewer.energy_wh) == {plan.id: 5, coupon.id: 3}
    assert [line.quantity for line in explain(fewer)][1:3] == ["5.000 kWh", "3.000 kWh"]
    # the plan alone gives all of 4: the coupon has nothing to do
    assert rated(kwh(4), tariff(), plan, coupon).concessions == (plan,)


def test_a_surcharge_on_energy_that_free_kwh_take_is_not_shown_before_the_first_kwh() -> None:
    terms = surcharge(Basis.FIXED, "1.00", component=ComponentName.ENERGY), discount(Basis.FREE_KWH, "4")

    shown = [rate(kwh(each), tariff(), PRICE_POLICY, final=False, terms=Terms(concessions=terms)).total_excl.text for each in (0, 4, 5)]  # fmt: skip

    # at 5 kWh (2.50 + 1.00) / 5
    assert shown == ["0.00", "0.00", "0.70"]


def test_a_discount_takes_its_share_of_the_step_surplus() -> None:
    # 10.2 kWh in steps of 1 kWh: 11 billed, 5.50; 10 % off
    by = tariff(ENERGY | {"step_size": 1000})

    final = rated(kwh("10.2"), by, discount(Basis.PERCENT, "10"))
    interim = rated(kwh("10.2"), by, discount(Basis.PERCENT, "10"), final=False)

    assert final.excl_tax == Fraction(495, 100)
    assert interim.excl_tax == Fraction(459, 100)


def test_a_surcharge_on_what_costs_nothing_has_a_rate_of_its_own() -> None:
    free = tariff(ENERGY | {"price": "0", "vat": "20"})
    nothing = tariff(FEE | {"type": "PARKING_TIME"})

    assert totals(rated(kwh(10), free, surcharge(Basis.FIXED, "1.00", vat=Decimal(7)))) == ("1.00", "1.20")
    assert totals(rated(kwh(10), nothing, surcharge(Basis.FIXED, "1.00", vat=Decimal(7)))) == ("1.00", "1.07")
    rate_of_rule = AppliedTax(component=ComponentName.FLAT, rate=Decimal(5), rule="reduced", category="S")
    ruled = rated(kwh(10), nothing, surcharge(Basis.FIXED, "1.00", vat=Decimal(7)), taxes=(rate_of_rule,))
    assert totals(ruled) == ("1.00", "1.05")
    # and so it is where energy has another rate: 5.00 at 20 %, 1.00 at 5 %
    beside = rated(kwh(10), tariff(), surcharge(Basis.FIXED, "1.00"), taxes=(rate_of_rule,))
    assert totals(beside) == ("6.00", "7.05")


def test_a_surcharge_on_the_whole_is_a_fee_that_a_discount_on_a_part_does_not_reach() -> None:
    # 5.00 at 20 % and 2.00 at 10 %; 0.70 more at both rates; half of the energy off
    by = tariff(ENERGY, FEE)
    rating = rated(
        kwh(10), by, surcharge(Basis.FIXED, "0.70"), discount(Basis.PERCENT, "50", component=ComponentName.ENERGY)
    )

    assert rating.component(ComponentName.ENERGY).excl_tax.text == "2.50"
    assert rating.component(ComponentName.FLAT).excl_tax.text == "2.70"
    # (2.50 + 0.50) x 1.2 + (2.00 + 0.20) x 1.1
    assert totals(rating) == ("5.20", "6.02")


def test_a_waived_session_gets_no_concession() -> None:
    rating = rated(kwh("0.05"), tariff(), surcharge(Basis.FIXED, "1"), incentive(Basis.FIXED, "1"))

    assert totals(rating) == ("0.00", "0.00")
    assert rating.concessions == ()
    assert rating.incentives == ()


def test_an_incentive_changes_what_is_paid_and_neither_price_nor_tax() -> None:
    plain = rated(kwh(10), tariff())
    rating = rated(
        kwh(10), tariff(), incentive(Basis.PER_KWH, "0.12"), incentive(Basis.FIXED, "0.30", id="city", party="City")
    )

    assert (rating.total_excl, rating.total_tax, rating.tax_groups) == (
        plain.total_excl,
        plain.total_tax,
        plain.tax_groups,
    )
    # 10 x 0.12 and 0.30 of 6.00
    assert sorted((each.party, each.amount.text) for each in rating.incentives) == [
        ("City", "0.30"),
        ("Ministry", "1.20"),
    ]
    assert rating.payable.text == "4.50"
    assert Note.INCENTIVE in rating.notes


def test_an_incentive_pays_no_more_than_there_is_to_pay() -> None:
    rating = rated(
        kwh(10),
        tariff(),
        incentive(Basis.FIXED, "5", order=1),
        incentive(Basis.FIXED, "5", id="city", party="City", order=2),
    )

    assert [(each.party, each.amount.text) for each in rating.incentives] == [("Ministry", "5.00"), ("City", "1.00")]
    assert rating.payable.text == "0.00"


def test_incentives_that_cover_all_leave_no_rounded_unit() -> None:
    # 7.01 and 0.50 of 7.50 yen, which is 8 rounded: 7 and the rest
    by = tariff(FEE | {"price": "7.50", "vat": "0"}, currency="JPY", tax_included="YES")
    rating = rated(kwh(1), by, incentive(Basis.FIXED, "7.01", order=1), incentive(Basis.FIXED, "0.50", id="city", party="City", order=2))  # fmt: skip

    assert [(each.party, each.amount.minor) for each in rating.incentives] == [("Ministry", 7), ("City", 1)]
    assert rating.payable.minor == 0


def test_the_explanation_says_each_concession_in_its_turn() -> None:
    rating = rated(
        kwh(10), tariff(), discount(Basis.PER_KWH, "0.05", component=ComponentName.ENERGY), discount(Basis.FREE_KWH, "4", component=ComponentName.ENERGY),
        incentive(Basis.FIXED, "1"),
    )  # fmt: skip

    told = [(line.what, line.quantity, line.unit_price, line.rule, line.incl_tax) for line in explain(rating)]
    assert told[1:3] == [
        (
            "discount",
            "4.000 kWh",
            "free",
            "Label (discount-free_kwh), on energy: 4 of 4 kWh of the month were left",
            "-2.4",
        ),
        ("discount", "10.000 kWh", "-0.05 EUR/kWh", "Label (discount-per_kwh), on energy", "-0.6"),
    ]
    assert told[-2:] == [
        ("incentive", "", "-1 EUR", "Label (incentive-fixed), paid by Ministry", "-1.00"),
        ("payable", "", "", "total less incentives", "2.00"),
    ]
    assert receipt(rating).text == "2.00 EUR for 10.000 kWh: energy 2.50, tax 0.50, paid by Ministry 1.00"


def test_a_bill_without_concessions_reads_as_it_always_did() -> None:
    body = rating_to_json(rate(kwh(10), tariff(), PRICE_POLICY, final=True, terms=NO_TERMS))

    assert not {"concessions", "incentives", "payable"} & set(body)
    assert Terms().to_dict() == {}


def test_terms_come_back_from_their_json() -> None:
    terms = Terms(concessions=(discount(Basis.FREE_KWH, "4", used_kwh=Decimal("1.5")), incentive(Basis.FIXED, "1")))

    assert Terms.from_dict(terms.to_dict()) == terms


PARTS = st.sampled_from([None, *ComponentName])
VALUES = st.integers(1, 5000).map(lambda units: Decimal(units).scaleb(-2))
PERCENTAGES = st.integers(1, 100).map(Decimal)


@st.composite
def concessions(draw: st.DrawFn, *, bases: tuple[Basis, ...] = tuple(Basis)) -> tuple[Concession, ...]:
    made = []
    for number in range(draw(st.integers(1, 5))):
        effect, basis = draw(st.sampled_from(Effect)), draw(st.sampled_from(bases))
        if effect is not Effect.DISCOUNT and basis in {Basis.FREE_KWH, Basis.PERCENT}:
            basis = Basis.FIXED
        each = Concession(
            id=f"c{number}", label="", effect=effect, basis=basis, order=draw(st.integers(0, 3)), component=draw(PARTS),
            value=draw(PERCENTAGES if basis is Basis.PERCENT else VALUES), vat=draw(st.sampled_from([None, Decimal(19)])),
            party=draw(st.sampled_from(["Ministry", "City"])), used_kwh=draw(st.sampled_from([Decimal(0), Decimal(7)])),
        )  # fmt: skip
        made.append(each)
    return in_order(made)


@FEW
@given(usage=usages(), tariff=tariffs(), terms=concessions(), final=st.booleans())
def test_whatever_is_conceded_adds_up(usage: Usage, tariff: Tariff, terms: tuple[Concession, ...], final: bool) -> None:
    rating = rate(usage, tariff, PRICE_POLICY, final=final, terms=Terms(concessions=terms))

    check_sums_with_concessions(rating)
    for each in terms:
        lines = [line for line in rating.adjustments if line.concession == each.id]
        sign = 1 if each.effect is Effect.SURCHARGE else -1
        assert all(line.excl_tax * sign >= 0 and line.incl_tax * sign >= 0 for line in lines)


@FEW
@given(usage=usages(), tariff=tariffs(), terms=concessions(), final=st.booleans())
def test_incentives_never_change_the_total_or_its_tax(
    usage: Usage, tariff: Tariff, terms: tuple[Concession, ...], final: bool
) -> None:
    own = tuple(each for each in terms if each.effect is not Effect.INCENTIVE)
    with_them = rate(usage, tariff, PRICE_POLICY, final=final, terms=Terms(concessions=terms))
    without = rate(usage, tariff, PRICE_POLICY, final=final, terms=Terms(concessions=own))

    assert (with_them.total_excl, with_them.total_incl) == (without.total_excl, without.total_incl)
    assert (with_them.tax_groups, with_them.components) == (without.tax_groups, without.components)


@FEW
@given(usage=usages(), tariff=tariffs(), terms=concessions(bases=(Basis.PERCENT, Basis.FIXED, Basis.FREE_KWH)))
def test_an_interim_is_never_more_than_the_final_amount(
    usage: Usage, tariff: Tariff, terms: tuple[Concession, ...]
) -> None:
    limit = tariff.max_price
    # a limit before tax alone leaves the tax to the mix of rates, which the step surplus moves (RULES.md 17)
    assume(limit is None or limit.after_taxes is not None or len(rates_of(tariff, terms)) == 1)
    if tariff.tax_included is not TaxIncluded.YES:
        terms = tuple(each for each in terms if each.effect is not Effect.SURCHARGE)
    if limit is not None:  # at the limit the parts' shares move, and with them what a part's discount is worth
        terms = tuple(each for each in terms if each.component is None and each.basis is not Basis.FREE_KWH)
    interim = rate(usage, tariff, PRICE_POLICY, final=False, terms=Terms(concessions=terms))
    final = rate(usage, tariff, PRICE_POLICY, final=True, terms=Terms(concessions=terms))

    assert interim.payable.minor <= final.payable.minor


def rates_of(tariff: Tariff, terms: tuple[Concession, ...]) -> set[Decimal]:
    """Every rate at which something may be taxed."""
    parts = {part.vat for element in tariff.elements for part in element.components}
    return {vat or Decimal(0) for vat in parts | {each.vat for each in terms if each.effect is Effect.SURCHARGE}}


@FEW
@given(data=st.data(), usage=usages(), tariff=tariffs(limits=False))
def test_what_a_display_shows_never_falls(data: st.DataObject, usage: Usage, tariff: Tariff) -> None:
    # without the cases of RULES.md 30: a kWh that brings more than it costs, max_price, a surcharge whose tax moves
    terms = tuple(
        each for each in data.draw(concessions()) if each.effect is Effect.SURCHARGE or each.basis is not Basis.PER_KWH
    )
    if tariff.tax_included is TaxIncluded.NO and len(rates_of(tariff, terms)) > 1:
        terms = tuple(each for each in terms if each.effect is not Effect.SURCHARGE)
    cuts = sorted(data.draw(st.lists(st.integers(0, 12 * 3600), min_size=2, max_size=6)))
    shown = [
        rate(until(usage, cut), tariff, PRICE_POLICY, final=False, terms=Terms(concessions=terms)).payable.minor
        for cut in cuts
    ]

    assert shown == sorted(shown)
