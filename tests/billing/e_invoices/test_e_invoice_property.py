"""Whatever document the books make: both syntaxes tell its amounts, and neither schema nor official rules find anything."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from billing.e_invoices.profiles import Profile
from billing.e_invoices.service import e_invoice
from billing.invoices.document import BornePart, Document, GroupBy, TaxMode
from billing.money import minor_digits
from tests.billing.e_invoices.official import Schematron, cen_cii, cen_ubl, schema_errors
from tests.billing.e_invoices.papers import (
    BELGIAN,
    BUYER,
    CANARY,
    CEUTA,
    DEBIT,
    EXEMPT,
    EXPORT,
    INTRA,
    REVERSE,
    S7,
    S19,
    SCOPELESS,
    ZERO,
    Item,
    credit_note,
    paper,
    session,
)
from tests.billing.e_invoices.reading import read
from tests.billing.e_invoices.variety import LANGUAGES
from tests.examples import tried

WORDS = st.text(max_size=40)
NAMES = WORDS.map(lambda text: f"n{text}")
QUANTITIES = st.decimals(min_value=0, max_value=5000, places=3)
PRICES = st.one_of(st.decimals(min_value=0, max_value=100, places=2), st.decimals(min_value=0, max_value=3, places=6))
TAXES = st.sampled_from([S19, S7, ZERO, EXEMPT, REVERSE, INTRA, EXPORT, CANARY, CEUTA])
DISCOUNTED = st.integers(0, 100)


@st.composite
def items(draw: st.DrawFn, currency: str, taxes: st.SearchStrategy) -> Item:  # type: ignore[type-arg]
    """A line with or without a price of its own, of which up to all is given away."""
    priced = draw(st.booleans())
    item = Item(
        name=draw(NAMES),
        description=draw(st.none() | WORDS),
        quantity=draw(QUANTITIES),
        unit=draw(st.sampled_from(["KWH", "C62", "MON", "HUR"])),
        price=draw(PRICES) if priced else None,
        amount_minor=None if priced else draw(st.integers(0, 10**7)),
        tax=draw(taxes),
        discount_name=draw(st.none() | WORDS),
        labels=draw(st.dictionaries(st.sampled_from(list(GroupBy)), WORDS)),
        session=draw(st.none() | st.just(session())),
    )
    assert minor_digits(currency) in (0, 2)
    return replace(item, discount_minor=item.before(currency) * draw(DISCOUNTED) // 100)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    currency = draw(st.sampled_from(["EUR", "EUR", "DKK", "JPY"]))
    taxes = st.just(SCOPELESS) if draw(st.integers(0, 9)) == 0 else TAXES
    lines = draw(st.lists(items(currency, taxes), min_size=1, max_size=8))
    make = draw(st.sampled_from([paper, credit_note]))
    document = make(
        lines,
        currency=currency,
        tax_mode=draw(st.sampled_from(list(TaxMode))),
        language=draw(st.sampled_from([*LANGUAGES, "sv"])),
        number=draw(NAMES),
        buyer=draw(st.sampled_from([BUYER, BELGIAN])),
        brand=draw(st.none() | WORDS),
        account=draw(st.none() | WORDS),
        order_reference=draw(st.none() | WORDS),
        contract_reference=draw(st.none() | WORDS),
        payment_terms=draw(st.none() | WORDS.filter(lambda text: "#" not in text)),
        notes=tuple(draw(st.lists(WORDS, max_size=3))),
        direct_debit=draw(st.none() | st.just(DEBIT)),
    )
    paid = draw(st.integers(0, max(document.gross_minor, 0)))
    part = BornePart(party=draw(NAMES), label=draw(NAMES), amount_minor=paid // 2)
    return replace(document, paid_minor=paid - paid // 2, paid_how=draw(st.none() | WORDS), borne=(part,) * bool(paid))


@given(documents())
@tried(60)
def test_both_syntaxes_tell_any_document_and_cen_finds_nothing(schematron: Schematron, document: Document) -> None:
    ubl = e_invoice(document, Profile.XRECHNUNG_UBL).content
    cii = e_invoice(document, Profile.XRECHNUNG_CII).content
    told = read(ubl)

    assert told == read(cii)
    assert told.amounts["gross"] == document.money(document.gross_minor).decimal
    assert told.amounts["due"] == document.money(document.due_minor).decimal
    assert told.amounts["lines"] == sum((Decimal(line[6]) for line in told.lines), Decimal(0))
    assert schema_errors(ubl) == []
    assert schema_errors(cii) == []
    assert schematron.findings(ubl, cen_ubl()) == []
    assert schematron.findings(cii, cen_cii()) == []
