"""From business facts to accounts, as the one table says."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.errors import Refused
from billing.invoices.document import BornePart, DocumentForm, DocumentKind, LineKind, Party, Tax, TaxGroup, TaxMode
from billing.ledger.entry import NATURES, AccountKind, DraftEntry
from billing.ledger.posting_rules import (
    RULES,
    Fact,
    Part,
    Settlement,
    entry_of,
    entry_of_settlement,
    rule_rows,
)
from tests.billing.ledger.documents import ISSUED, STANDARD, credit_note, document, line
from tests.examples import tried

REDUCED = Tax("S", Decimal("7.00"))
REVERSE = Tax("AE", Decimal(0), "Reverse charge")


def posted(entry: DraftEntry) -> dict[str, int]:
    """By account; a posting of the same account twice would be lost, and is not there."""
    accounts = {str(each.account): each.amount_minor for each in entry.postings}
    assert len(accounts) == len(entry.postings)
    return accounts


def test_an_invoice_is_owed_by_its_customer_and_is_revenue_and_tax() -> None:
    made = document(line(1000, 190), line(500, 95, LineKind.SUBSCRIPTION, position=2))
    entry = entry_of(made, "acme")

    assert posted(entry) == {
        "receivable:C-1": 1785,
        "revenue:session:DE:S:19": -1000,
        "revenue:subscription:DE:S:19": -500,
        "tax_payable:DE:S:19": -285,
    }
    assert (entry.fact, entry.key, entry.fact_on, entry.document) == (
        "invoice_issued", "document:R-2026-000017", ISSUED, "R-2026-000017",
    )  # fmt: skip
    assert (entry.postings[0].document, entry.postings[0].due_on) == ("R-2026-000017", date(2026, 4, 14))


def test_a_credit_note_is_the_opposite_and_settles_what_it_corrects() -> None:
    entry = entry_of(credit_note(), "acme")

    assert posted(entry) == {"receivable:C-1": -1190, "revenue:session:DE:S:19": 1000, "tax_payable:DE:S:19": 190}
    assert (entry.fact, entry.document) == ("credit_note_issued", "CN-1")
    assert (entry.postings[0].document, entry.postings[0].due_on) == ("R-2026-000017", None)


def test_a_receipt_without_a_customer_is_owed_by_nobody_in_particular_also_when_it_is_paid() -> None:
    receipt = document(form=DocumentForm.SIMPLIFIED, account=None, buyer=None, due_on=None, paid_minor=1190)

    assert posted(entry_of(receipt, "acme"))["receivable"] == 1190
    assert entry_of(receipt, "acme").fact == "receipt_issued"


def test_what_a_third_party_bears_is_owed_by_it_and_not_by_the_customer() -> None:
    made = document(borne=(BornePart(party="Ministry of Examples", label="green", amount_minor=190),))

    assert posted(entry_of(made, "acme")) == {
        "receivable:C-1": 1000,
        "incentive_receivable:Ministry of Examples": 190,
        "revenue:session:DE:S:19": -1000,
        "tax_payable:DE:S:19": -190,
    }


def test_each_tax_of_each_country_has_an_account_of_its_own() -> None:
    austrian = Tax("S", Decimal("20.0"), country="AT")
    made = document(line(1000, 190), line(100, 7, of=REDUCED), line(300, 0, of=REVERSE), line(200, 40, of=austrian))

    assert posted(entry_of(made, "acme")) == {
        "receivable:C-1": 1837,
        "revenue:session:DE:S:19": -1000,
        "revenue:session:DE:S:7": -100,
        "revenue:session:DE:AE:0": -300,
        "revenue:session:AT:S:20": -200,
        "tax_payable:DE:S:19": -190,
        "tax_payable:DE:S:7": -7,
        "tax_payable:AT:S:20": -40,
    }


def test_a_rounding_line_is_posted_to_the_rounding_account() -> None:
    group = TaxGroup(tax=STANDARD, net_minor=1001, tax_minor=190)
    made = document(line(1000, 190), line(1, 0, LineKind.ROUNDING, position=2), groups=(group,))

    assert posted(entry_of(made, "acme")) == {
        "receivable:C-1": 1191,
        "revenue:session:DE:S:19": -1000,
        "rounding": -1,
        "tax_payable:DE:S:19": -190,
    }


def test_cents_that_rounding_leaves_without_a_line_are_posted_there_as_well() -> None:
    lines = [line(84, 16, position=n) for n in range(1, 4)]
    made = document(*lines, groups=(TaxGroup(tax=STANDARD, net_minor=251, tax_minor=49),), tax_mode=TaxMode.KEEP_GROSS)

    assert posted(entry_of(made, "acme"))["rounding"] == 1
    assert posted(entry_of(made, "acme"))["receivable:C-1"] == 300


@pytest.mark.parametrize("net", [1003, 997])
def test_a_document_whose_lines_are_not_its_totals_is_refused(net: int) -> None:
    wrong = document(groups=(TaxGroup(tax=STANDARD, net_minor=net, tax_minor=190),))

    with pytest.raises(Refused, match=r"its lines have a net of 10.00 EUR, it has"):
        entry_of(wrong, "acme")


def test_a_document_whose_rounding_lines_say_otherwise_is_refused() -> None:
    group = TaxGroup(tax=STANDARD, net_minor=1001, tax_minor=190)

    with pytest.raises(Refused, match=r"its rounding lines say 0.02 EUR"):
        entry_of(document(line(1000, 190), line(2, 0, LineKind.ROUNDING, position=2), groups=(group,)), "acme")


def test_a_partner_gets_its_share_by_a_document_that_we_write() -> None:
    entry = entry_of(document(form=DocumentForm.SELF_BILLED, account="P-1"), "acme")
    back = entry_of(credit_note(form=DocumentForm.SELF_BILLED, account="P-1"), "acme")

    assert posted(entry) == {"revenue_share:session:DE:S:19": 1000, "input_tax:DE:S:19": 190, "payable:P-1": -1190}
    assert entry.fact == "self_billed_issued"
    assert posted(back) == {account: -minor for account, minor in posted(entry).items()}
    with pytest.raises(Refused, match=r"which partner it is for is unknown"):
        entry_of(document(form=DocumentForm.SELF_BILLED, account=None), "acme")


def test_a_tax_of_no_country_is_refused() -> None:
    nowhere = document(seller=Party(name="Acme Charging GmbH", address=None))

    with pytest.raises(Refused, match=r"whose tax S 19 % is, is unknown"):
        entry_of(nowhere, "acme")
    abroad = line(100, 19, of=replace(STANDARD, country="NL"))
    assert "tax_payable:NL:S:19" in posted(entry_of(document(abroad, seller=nowhere.seller), "acme"))


def test_a_document_of_nothing_is_a_fact_without_postings() -> None:
    assert entry_of(document(line(0, 0)), "acme").postings == ()


def settled(fact: Fact, *items: Part, **more: object) -> DraftEntry:
    return entry_of_settlement(
        Settlement(
            fact=fact,
            seller="acme",
            key="x",
            on=ISSUED,
            currency="EUR",
            items=items or (Part("C-1", 1190, "R-1"),),
            **more,
        )
    )


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        (Fact.PAYMENT_RECEIVED, {"bank:house": 1190, "receivable:C-1": -1190}),
        (Fact.PAYMENT_RETURNED, {"bank:house": -1190, "receivable:C-1": 1190}),
        (Fact.REFUND_PAID, {"bank:house": -1190, "receivable:C-1": 1190}),
        (Fact.CARD_CAPTURED, {"psp_clearing:house": 1190, "receivable:C-1": -1190}),
        (Fact.CARD_REFUNDED, {"psp_clearing:house": -1190, "receivable:C-1": 1190}),
        (Fact.INCENTIVE_RECEIVED, {"bank:house": 1190, "incentive_receivable:C-1": -1190}),
        (Fact.PARTNER_PAID, {"payable:C-1": 1190, "bank:house": -1190}),
        (Fact.WRITTEN_OFF, {"bad_debt:house": 1190, "receivable:C-1": -1190}),
    ],
)
def test_money_that_moves_settles_open_items(fact: Fact, expected: dict[str, int]) -> None:
    entry = settled(fact, through="house")

    assert posted(entry) == expected
    assert {each.document for each in entry.postings} == {None, "R-1"}


def test_one_payment_settles_many_documents_and_leaves_an_advance() -> None:
    entry = settled(Fact.PAYMENT_RECEIVED, Part("C-1", 300, "R-1"), Part("C-1", 200, "R-2"), Part("C-1", 50))

    assert [(each.amount_minor, each.document) for each in entry.postings] == [
        (550, None), (-300, "R-1"), (-200, "R-2"), (-50, None),
    ]  # fmt: skip


def test_an_advance_is_given_to_documents_later() -> None:
    entry = settled(Fact.PAYMENT_ALLOCATED, Part("C-1", 50, "R-3"))

    assert [(str(each.account), each.amount_minor, each.document) for each in entry.postings] == [
        ("receivable:C-1", 50, None), ("receivable:C-1", -50, "R-3"),
    ]  # fmt: skip
    with pytest.raises(Refused, match=r"for which document is not said"):
        settled(Fact.PAYMENT_ALLOCATED, Part("C-1", 50))


def test_a_provider_pays_out_what_it_took_less_its_fee() -> None:
    entry = settled(Fact.PSP_PAID_OUT, Part("pay", 1000), through="pay", fee_minor=14)

    assert posted(entry) == {"bank:pay": 986, "payment_fee:pay": 14, "psp_clearing:pay": -1000}
    with pytest.raises(Refused, match=r"a fee is no part of it"):
        settled(Fact.PAYMENT_RECEIVED, fee_minor=1)


@pytest.mark.parametrize("amount", [0, -5])
def test_an_amount_that_is_not_above_zero_is_refused(amount: int) -> None:
    with pytest.raises(Refused, match=r"are not above zero"):
        settled(Fact.PAYMENT_RECEIVED, Part("C-1", amount))


def test_what_only_a_document_says_is_refused_of_money() -> None:
    with pytest.raises(Refused, match=r"invoice_issued is the fact of a document"):
        settled(Fact.INVOICE_ISSUED)


def test_the_table_has_every_fact_once_on_accounts_that_have_a_nature() -> None:
    assert [rule.fact for rule in RULES] == list(Fact)
    assert NATURES.keys() == set(AccountKind)
    assert all({leg.side for leg in rule.legs} == {"debit", "credit"} for rule in RULES)
    assert len(rule_rows()) == sum(len(rule.legs) for rule in RULES)


def test_what_takes_back_has_the_legs_of_what_it_takes_back_on_the_other_side() -> None:
    legs = {rule.fact: {(leg.side, leg.kind, leg.amount) for leg in rule.legs} for rule in RULES}

    for made, back in (
        (Fact.INVOICE_ISSUED, Fact.CREDIT_NOTE_ISSUED),
        (Fact.RECEIPT_ISSUED, Fact.RECEIPT_CREDITED),
        (Fact.SELF_BILLED_ISSUED, Fact.SELF_BILLED_CREDITED),
        (Fact.PAYMENT_RECEIVED, Fact.PAYMENT_RETURNED),
        (Fact.CARD_CAPTURED, Fact.CARD_REFUNDED),
    ):
        assert legs[back] == {(side.other, kind, amount) for side, kind, amount in legs[made]}


@given(
    nets=st.lists(
        st.tuples(st.integers(0, 10**6), st.sampled_from([STANDARD, REDUCED, REVERSE])), min_size=1, max_size=6
    ),
    borne=st.integers(0, 1),
    rounding=st.integers(-1, 1),
    kind=st.sampled_from(DocumentKind),
    form=st.sampled_from(DocumentForm),
)
@tried(200)
def test_every_document_that_adds_up_has_an_entry_that_sums_to_zero(
    nets: list[tuple[int, Tax]], borne: int, rounding: int, kind: DocumentKind, form: DocumentForm
) -> None:
    lines = [line(net, int(net * tax.rate / 100), of=tax, position=n) for n, (net, tax) in enumerate(nets, start=1)]
    plain = document(*lines)
    first, *rest = plain.tax_groups
    made = replace(
        plain,
        kind=kind,
        form=form,
        tax_groups=(replace(first, net_minor=first.net_minor + rounding), *rest),
        borne=(BornePart(party="Ministry", label="x", amount_minor=borne),),
    )

    entry = entry_of(made, "acme")

    owed = sum(abs(each.amount_minor) for each in entry.postings if each.document is not None)
    assert sum(each.amount_minor for each in entry.postings) == 0
    expected = made.gross_minor if form is DocumentForm.SELF_BILLED else abs(made.gross_minor - borne) + borne
    assert owed == abs(expected)
