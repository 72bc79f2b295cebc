"""What a document's fields become in the terms of EN 16931, where that is more than a copy."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from billing.e_invoices.code_lists import COUNTRIES, EAS, VAT_PREFIXES
from billing.e_invoices.from_document import invoice_of
from billing.e_invoices.iban import is_iban
from billing.e_invoices.model import Identifier, InvoiceLine, MeansCode, Payment, Period, TypeCode
from billing.e_invoices.profiles import Profile
from billing.e_invoices.registers import registration_of
from billing.e_invoices.rules import fitted
from billing.e_invoices.service import e_invoice
from billing.invoices.document import BornePart, DocumentForm, GroupBy, Party, Tax, TaxMode
from tests.billing.e_invoices.official import cen_ubl
from tests.billing.e_invoices.papers import (
    BELGIAN,
    BUYER,
    DANISH,
    DEBIT,
    DUTCH,
    EXEMPT,
    INTRA,
    REVERSE,
    S19,
    SCOPELESS,
    SELLER,
    SWISS,
    ZERO,
    Item,
    credit_note,
    paper,
    session,
    without,
)
from tests.billing.e_invoices.reading import read
from tests.billing.e_invoices.variety import BOX, FEE, FRENCH, ROUNDING

D = Decimal


def line_of(item: Item, mode: TaxMode = TaxMode.SUM_THEN_ROUND, currency: str = "EUR") -> InvoiceLine:
    return invoice_of(paper([item], tax_mode=mode, currency=currency)).lines[0]


@pytest.mark.parametrize(
    ("make", "form", "code"),
    [
        (paper, DocumentForm.FULL, TypeCode.INVOICE),
        (credit_note, DocumentForm.FULL, TypeCode.CREDIT_NOTE),
        (paper, DocumentForm.SELF_BILLED, TypeCode.SELF_BILLED_INVOICE),
        (credit_note, DocumentForm.SELF_BILLED, TypeCode.SELF_BILLED_CREDIT_NOTE),
    ],
)
def test_the_type_says_which_way_money_goes_and_who_wrote_it(make, form: DocumentForm, code: TypeCode) -> None:  # type: ignore[no-untyped-def]
    assert invoice_of(make([Item()], form=form)).type_code is code


def test_a_credit_note_has_a_root_of_its_own_positive_amounts_and_its_reason() -> None:
    document = credit_note([Item(), replace(FEE, discount_minor=100)])
    content = e_invoice(document, Profile.PEPPOL).content

    told = read(content)
    assert b"<CreditNote " in content
    assert b"<cbc:CreditedQuantity" in content
    assert min(told.amounts["due"], *(D(line[6]) for line in told.lines)) > 0
    assert told.heads["preceding"] == "R-2026-0009"
    assert "The meter was exchanged" in told.notes


def test_peppol_has_a_specification_of_its_own_for_self_billing() -> None:
    content = e_invoice(paper([Item()], form=DocumentForm.SELF_BILLED), Profile.PEPPOL).content

    assert b"#urn:fdc:peppol.eu:2017:poacc:selfbilling:3.0<" in content
    assert b">urn:fdc:peppol.eu:2017:poacc:selfbilling:01:1.0<" in content


@pytest.mark.parametrize(
    ("item", "mode", "told"),
    [
        # its product, rounded, is the net: quantity and price are told
        (Item(quantity=D("10.123"), price=D("0.49")), TaxMode.SUM_THEN_ROUND, (D("10.123"), "KWH", D("0.49"), D("4.96"))),
        (Item(quantity=D(10), price=D("0.59")), TaxMode.KEEP_GROSS, (D(10), "KWH", D("0.495798"), D("4.96"))),
        (Item(quantity=D(10), price=D("0.59"), tax=ZERO), TaxMode.KEEP_GROSS, (D(10), "KWH", D("0.59"), D("5.90"))),
        # there is no single price, or its product is something else: one piece at its net
        (Item(price=None, amount_minor=1234), TaxMode.SUM_THEN_ROUND, (D(1), "C62", D("12.34"), D("12.34"))),
        (Item(price=D("0.59"), amount_minor=777), TaxMode.SUM_THEN_ROUND, (D(1), "C62", D("7.77"), D("7.77"))),
        # no price is below zero (BR-27): the quantity is
        (ROUNDING, TaxMode.SUM_THEN_ROUND, (D(-1), "C62", D("0.01"), D("-0.01"))),
        (Item(price=D("-0.59")), TaxMode.SUM_THEN_ROUND, (D(-1), "C62", D("5.90"), D("-5.90"))),
        # what costs nothing has no price, and keeps its quantity
        (Item(price=D(0)), TaxMode.KEEP_GROSS, (D("10.000"), "KWH", D(0), D("0.00"))),
        (Item(price=D("0.0001"), quantity=D("0.1")), TaxMode.KEEP_GROSS, (D("0.1"), "KWH", D(0), D("0.00"))),
        (Item(price=None, amount_minor=0, quantity=D(0)), TaxMode.SUM_THEN_ROUND, (D(1), "KWH", D(0), D("0.00"))),
    ],
)  # fmt: skip
def test_a_line_s_net_is_quantity_times_price(item: Item, mode: TaxMode, told: tuple[D, str, D, D]) -> None:
    line = line_of(item, mode)

    assert (line.quantity, line.unit, line.price, line.net) == told


def test_half_a_yen_of_rounding_is_too_much_for_a_line() -> None:
    line = line_of(Item(price=D(61)), TaxMode.KEEP_GROSS, "JPY")

    assert (line.quantity, line.unit, line.price, line.net) == (1, "C62", 513, 513)


def test_a_line_that_is_told_as_one_piece_says_its_real_quantity() -> None:
    assert line_of(Item(price=None, amount_minor=1234)).attributes == (("Quantity", "10.000 kWh"),)
    assert line_of(Item()).attributes == ()


@pytest.mark.parametrize(
    ("mode", "allowance", "net", "price"),
    [
        (TaxMode.SUM_THEN_ROUND, D("1.19"), D("4.71"), D("0.59")),
        (TaxMode.PER_LINE, D("1.19"), D("4.71"), D("0.59")),
        (TaxMode.KEEP_GROSS, D("1.00"), D("3.96"), D("0.495798")),
    ],
)
def test_a_discount_is_taken_off_without_tax(mode: TaxMode, allowance: D, net: D, price: D) -> None:
    line = line_of(Item(discount_minor=119, discount_name="Loyalty"), mode)

    assert line.allowance is not None
    assert (line.allowance.amount, line.allowance.reason, line.allowance.code) == (allowance, "Loyalty", "95")
    assert (line.net, line.price) == (net, price)


@pytest.mark.parametrize(("language", "word"), [("en", "Discount"), ("de", "Rabatt"), ("fr", "Remise"), ("nl", "Korting"), ("sv", "Discount")])  # fmt: skip
def test_a_discount_without_a_name_is_called_so_in_the_document_s_language(language: str, word: str) -> None:
    document = paper([Item(discount_minor=1)], language=language)

    [line] = invoice_of(document).lines
    assert line.allowance is not None
    assert line.allowance.reason == word


def test_a_session_is_told_as_one_line_by_the_clock_of_its_site() -> None:
    item = Item(
        session=session(late=True),
        description="Fast charging",
        labels={GroupBy.COST_CENTRE: "4711", GroupBy.DRIVER: "Alex", GroupBy.SITE: " "},
    )

    line = line_of(item)
    assert line.description == (
        "Fast charging. Depot Harbour, charge point CP-7/2, 2026-10-25 02:30 +02:00 - 2026-10-25 02:30 +01:00, "
        "10.000 kWh, meter 1234.567 to 1244.567 kWh, meter no. 1EMH0012345678, of an earlier period"
    )
    assert line.accounting == "4711"
    assert line.attributes == (
        ("Driver", "Alex"),
        ("Cost centre", "4711"),
        ("Tariff", "evening v3"),
        ("Token", "04A2****F1"),
    )


def test_groups_that_differ_only_in_their_note_are_one() -> None:
    other = Tax("E", D(0), "Exempt under section 9")
    invoice = invoice_of(paper([replace(FEE, tax=EXEMPT), replace(FEE, tax=other), Item()]))

    exempt, standard = sorted(invoice.breakdown, key=lambda group: group.vat.category)
    assert (exempt.taxable, exempt.tax, exempt.reason) == (
        D("9.98"),
        D("0.00"),
        "Exempt under section 4; Exempt under section 9",
    )
    assert (standard.taxable, standard.reason, standard.code) == (D("5.90"), None, None)


@pytest.mark.parametrize(
    ("tax", "code"),
    [(REVERSE, "VATEX-EU-AE"), (INTRA, "VATEX-EU-IC"), (SCOPELESS, "VATEX-EU-O"), (EXEMPT, None), (ZERO, None), (S19, None)],
)  # fmt: skip
def test_why_no_vat_is_charged_is_told_as_code_and_text(tax: Tax, code: str | None) -> None:
    [group] = invoice_of(paper([replace(BOX, tax=tax)])).breakdown

    assert (group.code, group.reason) == (code, tax.note)


def test_a_note_of_a_tax_that_is_charged_stands_with_the_notes() -> None:
    taxed = Tax("S", D(19), "Margin scheme does not apply")
    invoice = invoice_of(paper([Item(tax=taxed)], notes=("Thank you", "Thank you", " ")))

    assert invoice.notes == ("Margin scheme does not apply", "Thank you")
    assert invoice.breakdown[0].reason is None


def test_what_is_not_subject_to_vat_tells_no_vat_id_and_no_rate() -> None:
    invoice = invoice_of(paper([replace(FEE, tax=SCOPELESS)], buyer=SWISS))

    assert (invoice.seller.vat_id, invoice.buyer.vat_id) == (None, None)
    assert (invoice.seller.tax_number, invoice.lines[0].vat.rate) == ("27/123/45678", None)


def test_an_intra_community_supply_is_delivered_to_the_buyer() -> None:
    invoice = invoice_of(paper([replace(BOX, tax=INTRA)], buyer=BELGIAN))

    assert invoice.deliver_to == invoice.buyer.address
    assert invoice_of(paper([Item()])).deliver_to is None


def test_the_period_takes_in_sessions_that_came_to_be_known_late() -> None:
    early = date(2026, 1, 30)
    invoice = invoice_of(paper([Item(days=(early, early)), FEE]))

    assert invoice.period == Period(start=early, end=date(2026, 3, 31))
    assert invoice.delivered_on == date(2026, 3, 31)
    assert invoice_of(paper([replace(FEE, days=None)])).delivered_on == date(2026, 3, 31)


def test_what_others_bear_is_paid_and_a_note_says_who() -> None:
    part = BornePart(party="City of Sample", label="Clean air bonus", amount_minor=250)
    invoice = invoice_of(paper([Item()], tax_mode=TaxMode.KEEP_GROSS, borne=(part,), paid_minor=100, language="de"))

    assert (invoice.totals.gross, invoice.totals.paid, invoice.totals.due) == (D("5.90"), D("3.50"), D("2.40"))
    assert invoice.notes == ("Clean air bonus: City of Sample trägt 2.50 EUR.",)


def test_a_direct_debit_goes_before_a_transfer() -> None:
    invoice = invoice_of(paper([Item()], direct_debit=DEBIT))

    assert invoice.payment is not None
    assert (invoice.payment.means, invoice.payment.transfer) == (MeansCode.SEPA_DIRECT_DEBIT, None)
    assert invoice.payment.debit is not None
    assert (invoice.payment.debit.mandate, invoice.payment.debit.account) == ("M-2026-17", "DE27370501980000000123")


@pytest.mark.parametrize(("currency", "means"), [("EUR", "58"), ("CHF", "30")])
def test_a_transfer_is_one_of_sepa_only_in_euros(currency: str, means: str) -> None:
    payment = invoice_of(paper([Item()], currency=currency)).payment

    assert payment is not None
    assert payment.transfer is not None
    assert (payment.means, payment.transfer.account, payment.remittance) == (
        means,
        "DE02120300000000202051",
        "R-2026-0017",
    )


def test_nobody_is_asked_to_pay_what_is_paid_or_credited() -> None:
    paid = invoice_of(paper([Item()], paid_minor=702, paid_how="Card ending in 0005"))
    credited = invoice_of(credit_note([Item()]))

    assert paid.payment == Payment(means=MeansCode.NOT_DEFINED, text="Card ending in 0005", remittance="R-2026-0017")
    assert credited.payment is not None
    assert (credited.payment.means, credited.payment.transfer) == (MeansCode.CLEARING, None)
    assert credited.payment_terms == "The amount is set off against open invoices or paid out."


def test_peppol_has_room_for_one_note_and_no_empty_instruction() -> None:
    abroad = invoice_of(paper([Item()], buyer=BELGIAN, notes=("one", "two"), paid_minor=702))
    at_home = invoice_of(paper([Item()], notes=("one", "two"), paid_minor=702))

    assert (fitted(abroad, Profile.PEPPOL).notes, fitted(abroad, Profile.PEPPOL).payment) == (("one\ntwo",), None)
    assert fitted(at_home, Profile.PEPPOL) == at_home
    assert fitted(abroad, Profile.XRECHNUNG_UBL) == abroad


def test_who_has_no_electronic_address_is_reached_by_e_mail() -> None:
    party = without(BUYER, "electronic_address", "electronic_scheme")
    invoice = invoice_of(paper([Item()], buyer=party))

    assert invoice.buyer.electronic_address == Identifier(value="invoices@logistics.example", scheme="EM")
    assert invoice_of(paper([Item()], buyer=without(party, "email"))).buyer.electronic_address is None


def test_a_brand_is_a_trading_name_unless_it_is_the_seller_s_own() -> None:
    assert invoice_of(paper([Item()], brand="Sample Charge")).seller.trading_name == "Sample Charge"
    assert invoice_of(paper([Item()], brand=SELLER.name)).seller.trading_name is None


@pytest.mark.parametrize(
    ("party", "register", "told"),
    [
        (BELGIAN, "BE 0123.456.749", Identifier(value="0123456749", scheme="0208")),
        (DANISH, "12345678", Identifier(value="12345678", scheme="0184")),
        (DUTCH, "kvk 12345678", Identifier(value="12345678", scheme="0106")),
        (FRENCH, "123 456 789", Identifier(value="123456789", scheme="0002")),
        (DUTCH, "Kamer van Koophandel", Identifier(value="Kamer van Koophandel")),
        (SELLER, "HRB 1 B", Identifier(value="HRB 1 B")),
        (SELLER, " ", None),
        (replace(SELLER, address=None), "12345678", Identifier(value="12345678")),
    ],
)
def test_a_register_entry_tells_its_list_where_its_form_shows_it(
    party: Party, register: str, told: Identifier | None
) -> None:
    assert registration_of(replace(party, register=register)) == told


@pytest.mark.parametrize(
    ("iban", "right"),
    [
        ("DE02120300000000202051", True),
        ("NL91ABNA0417164300", True),
        ("DE02120300000000202052", False),
        ("DE0212030000000020205\N{ARABIC-INDIC DIGIT ONE}", False),
        ("DE", False),
        ("", False),
    ],
)
def test_an_iban_has_check_digits(iban: str, right: bool) -> None:
    assert is_iban(iban) is right


@pytest.mark.parametrize(("number", "name"), [("R/2026 17", "R-2026-17.xml"), ("../..", "document.xml"), ("Ä", "document.xml")])  # fmt: skip
def test_the_file_is_named_after_the_number_on_any_system(number: str, name: str) -> None:
    assert e_invoice(paper([Item()], number=number), Profile.PEPPOL).file_name == name


def test_our_code_lists_are_those_of_cen() -> None:
    """The lists stand in the sheet as texts: those of countries with XI, which is a country of VAT ids only."""
    lists = [
        set(found.split()) for found in re.findall(r"' ((?:[A-Z0-9]{2,4} )+)'", cen_ubl().read_text(encoding="utf-8"))
    ]

    assert EAS in lists
    assert VAT_PREFIXES in lists
    assert COUNTRIES | {"XI"} in lists
