"""Lines, taxes and totals of a document: invariants 12, 13 and 18 of the money path, and figures worked out by hand."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from billing.invoices.composition import CannotBeInvoiced, Discount, base_of, compose, tax_mode
from billing.invoices.document import GroupBy, LineKind, Tax, TaxMode
from billing.money import round_units
from tests.billing.invoices.charges import (
    CURRENCIES,
    GERMAN,
    REDUCED,
    REVERSE,
    billed,
    charges_with_refunds,
    part_of_gross,
    part_of_net,
    priced,
    some_charges,
)
from tests.examples import tried

discounts = st.lists(
    st.builds(Discount, name=st.just("less"), percent=st.sampled_from([Decimal(3), Decimal("12.5"), Decimal(100)]))
    | st.builds(Discount, name=st.just("off"), amount_minor=st.integers(0, 20_000)),
    max_size=2,
)
modes = st.sampled_from(TaxMode)


@tried(300)
@given(data=st.data(), mode=modes, currency=st.sampled_from(CURRENCIES), given_discounts=discounts)
def test_a_document_adds_up_by_lines_by_taxes_and_in_all(
    data: st.DataObject, mode: TaxMode, currency: str, given_discounts: list[Discount]
) -> None:
    charges = data.draw(charges_with_refunds(currency))
    try:
        found = compose(charges, mode=mode, currency=currency, discounts=given_discounts)
    except CannotBeInvoiced:  # something gives back more than is to pay
        reject()

    for line in found.lines:
        assert line.net_minor + line.tax_minor == line.gross_minor
        assert line.kind is LineKind.ROUNDING or line.quantity < 0 or base_of(line, mode) >= 0
    for group in found.tax_groups:
        mine = [line for line in found.lines if line.tax == group.tax]
        assert sum(line.net_minor for line in mine) == group.net_minor
        assert sum(line.tax_minor for line in mine) == group.tax_minor
        rate = Fraction(group.tax.rate) / 100
        if mode is TaxMode.SUM_THEN_ROUND:
            assert group.tax_minor == round_units(group.net_minor * rate)
        if mode is TaxMode.KEEP_GROSS:
            assert group.net_minor == round_units(group.gross_minor / (1 + rate))
    assert [line.position for line in found.lines] == list(range(1, len(found.lines) + 1))
    assert len({group.tax for group in found.tax_groups}) == len(found.tax_groups)


@tried(200)
@given(data=st.data(), mode=modes, given_discounts=discounts)
def test_the_order_in_which_charges_come_changes_nothing(
    data: st.DataObject, mode: TaxMode, given_discounts: list[Discount]
) -> None:
    charges = data.draw(some_charges("EUR"))
    shuffled = data.draw(st.permutations(charges))
    by = (GroupBy.COST_CENTRE,)

    once = compose(charges, mode=mode, currency="EUR", discounts=given_discounts, grouped_by=by)
    assert compose(charges, mode=mode, currency="EUR", discounts=given_discounts, grouped_by=by) == once
    assert compose(shuffled, mode=mode, currency="EUR", discounts=given_discounts, grouped_by=by) == once


@tried(200)
@given(data=st.data(), mode=modes, amount=st.integers(0, 100_000))
def test_the_shares_of_a_discount_are_the_discount_and_no_line_goes_below_zero(
    data: st.DataObject, mode: TaxMode, amount: int
) -> None:
    charges = data.draw(some_charges("EUR"))
    plain = compose(charges, mode=mode, currency="EUR")
    less = compose(charges, mode=mode, currency="EUR", discounts=[Discount(name="off", amount_minor=amount)])

    whole = sum(base_of(line, mode) for line in plain.lines if line.kind is not LineKind.ROUNDING)
    assert sum(line.discount_minor for line in less.lines) == min(amount, whole)
    assert all(base_of(line, mode) >= 0 for line in less.lines if line.kind is not LineKind.ROUNDING)


def test_what_drivers_were_shown_stays_and_the_cents_between_are_a_line_of_their_own() -> None:
    # 9.02 with 19 % in it is 7.58 net; 27.06 in all is 22.74 net, three times as much
    shown = [billed(n, part_of_gross(902)) for n in (1, 2, 3)]
    # 0.10 is 0.08 net; 0.40 in all is 0.34 net, two cents more than the four receipts showed
    dimes = [billed(n, part_of_gross(10)) for n in (1, 2, 3, 4)]

    same = compose(shown, mode=TaxMode.KEEP_GROSS, currency="EUR")
    more = compose(dimes, mode=TaxMode.KEEP_GROSS, currency="EUR")

    assert [(line.net_minor, line.tax_minor, line.gross_minor) for line in same.lines] == [(758, 144, 902)] * 3
    assert [(group.net_minor, group.tax_minor) for group in same.tax_groups] == [(2274, 432)]
    assert [line.kind for line in more.lines] == [LineKind.SESSION] * 4 + [LineKind.ROUNDING]
    assert [(line.net_minor, line.tax_minor, line.gross_minor) for line in more.lines] == [(8, 2, 10)] * 4 + [
        (2, -2, 0)
    ]
    assert [(group.net_minor, group.tax_minor) for group in more.tax_groups] == [(34, 6)]


def test_a_business_pays_tax_on_the_sum_of_nets() -> None:
    # 3 x 0.10 net: 0.02 tax each on its own, 0.06 on the sum of 0.30 (0.057)
    sessions = [billed(n, part_of_net(10), with_tax=False) for n in (1, 2, 3)]

    summed = compose(sessions, mode=TaxMode.SUM_THEN_ROUND, currency="EUR")
    each = compose(
        [billed(n, part_of_net(13), with_tax=False) for n in (1, 2, 3)], mode=TaxMode.PER_LINE, currency="EUR"
    )

    assert [(group.net_minor, group.tax_minor) for group in summed.tax_groups] == [(30, 6)]
    # 3 x 0.13 net: 0.0247 each -> 0.02; on the sum it would be 0.0741 -> 0.07
    assert [(group.net_minor, group.tax_minor) for group in each.tax_groups] == [(39, 6)]


def test_a_session_under_two_rates_is_two_lines_under_one_source() -> None:
    found = compose(
        [billed(1, part_of_gross(1220, Tax("S", Decimal(22))), part_of_gross(1100, Tax("S", Decimal(10))))],
        mode=TaxMode.KEEP_GROSS, currency="EUR",
    )  # fmt: skip

    assert [(line.source, line.tax.rate, line.net_minor) for line in found.lines] == [
        ("bill:1:1", Decimal(22), 1000), ("bill:1:1", Decimal(10), 1000),
    ]  # fmt: skip


def test_a_price_without_tax_becomes_one_with_it_on_a_document_that_keeps_gross() -> None:
    # 3 x 19.99 net = 59.97, with 19 % 71.3643 -> 71.36
    kept = compose([priced(1, "19.99", quantity="3")], mode=TaxMode.KEEP_GROSS, currency="EUR")
    # 4.99 with 7 % in it is 4.6636 -> 4.66 net
    net = compose([priced(1, "4.99", with_tax=True, tax=REDUCED)], mode=TaxMode.SUM_THEN_ROUND, currency="EUR")

    assert [(line.net_minor, line.tax_minor, line.gross_minor) for line in kept.lines] == [(5997, 1139, 7136)]
    assert [(line.net_minor, line.tax_minor, line.gross_minor) for line in net.lines] == [(466, 33, 499)]


@pytest.mark.parametrize(
    ("charges", "private", "per_line", "mode"),
    [
        ([billed(1, part_of_net(10), with_tax=False)], True, False, TaxMode.KEEP_GROSS),
        ([billed(1, part_of_net(10), with_tax=False)], False, False, TaxMode.SUM_THEN_ROUND),
        ([billed(1, part_of_net(10), with_tax=False)], False, True, TaxMode.PER_LINE),
        ([billed(1, part_of_net(10), with_tax=False), priced(2, "1", with_tax=True)], False, False, TaxMode.KEEP_GROSS),
        ([billed(1, part_of_gross(10))], False, True, TaxMode.KEEP_GROSS),
    ],
)
def test_gross_is_kept_for_private_customers_and_for_prices_that_are_meant_with_tax(
    charges: list[object], private: bool, per_line: bool, mode: TaxMode
) -> None:
    assert tax_mode(charges, private=private, per_line=per_line) is mode  # type: ignore[arg-type]


def test_what_a_fee_gives_back_is_taken_off_what_is_to_pay() -> None:
    found = compose(
        [priced(1, "30.00"), priced(2, "-10.00"), priced(3, "5.00", tax=REDUCED)],
        mode=TaxMode.SUM_THEN_ROUND,
        currency="EUR",
    )

    assert [(line.source, line.net_minor, line.tax_minor) for line in found.lines] == [
        ("item:1", 3000, 570), ("item:2", -1000, -190), ("item:3", 500, 35),
    ]  # fmt: skip
    assert [(group.net_minor, group.tax_minor) for group in found.tax_groups] == [(2000, 380), (500, 35)]


def test_two_reasons_for_no_tax_are_two_groups() -> None:
    found = compose(
        [billed(1, part_of_net(100, REVERSE), with_tax=False), priced(2, "1", tax=Tax("Z", Decimal(0))), priced(3, "1", tax=GERMAN)],
        mode=TaxMode.SUM_THEN_ROUND, currency="EUR",
    )  # fmt: skip

    assert [(group.tax.category, group.net_minor, group.tax_minor) for group in found.tax_groups] == [
        ("AE", 100, 0), ("S", 100, 19), ("Z", 100, 0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("charges", "told"),
    [
        ([billed(1, part_of_gross(10)), billed(2, part_of_gross(10), currency="CHF")], r"bill:2:1 is in CHF"),
        ([billed(1, part_of_gross(10)), billed(1, part_of_gross(10))], r"bill:1:1 comes twice"),
        ([priced(1, "-1")], r"item:1 gives back more than is to pay under S 19 %: it waits"),
        ([billed(1, part_of_gross(-10))], r"bill:1:1 is below zero"),
    ],
)
def test_what_fits_on_no_invoice_is_refused_by_name(charges: list[object], told: str) -> None:
    with pytest.raises(CannotBeInvoiced, match=told):
        compose(charges, mode=TaxMode.KEEP_GROSS, currency="EUR")  # type: ignore[arg-type]
