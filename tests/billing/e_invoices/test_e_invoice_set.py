"""Every document of the varied set, in every profile: official schema, official rules, and the document's own totals."""

from __future__ import annotations

from decimal import Decimal

import pytest
from lxml import etree

from billing.e_invoices.from_document import invoice_of
from billing.e_invoices.profiles import Profile
from billing.e_invoices.rules import fitted
from billing.e_invoices.service import e_invoice, written
from billing.invoices.document import Document
from tests.billing.e_invoices.official import Schematron, schema_errors, sheets
from tests.billing.e_invoices.reading import read
from tests.billing.e_invoices.variety import DOCUMENTS, LANGUAGES

AS_XML = (Profile.XRECHNUNG_UBL, Profile.XRECHNUNG_CII, Profile.PEPPOL, Profile.ZUGFERD)
EVERY_DOCUMENT = pytest.mark.parametrize("document", [pytest.param(each, id=name) for name, each in DOCUMENTS.items()])


def xml_of(document: Document, profile: Profile) -> bytes:
    """Its XML; for ZUGFeRD what goes into the PDF."""
    if profile.is_pdf:
        return written(fitted(invoice_of(document), profile), profile)
    return e_invoice(document, profile).content


def test_the_set_is_as_varied_as_it_has_to_be() -> None:
    taxes = {group.tax.category for document in DOCUMENTS.values() for group in document.tax_groups}

    assert len(DOCUMENTS) >= 60
    assert {document.language for document in DOCUMENTS.values()} == set(LANGUAGES)
    assert taxes == {"S", "Z", "E", "AE", "K", "G", "O", "L", "M"}
    assert {document.tax_mode.value for document in DOCUMENTS.values()} == {"keep_gross", "sum_then_round", "per_line"}


@pytest.mark.parametrize("profile", AS_XML)
def test_the_schemas_see_an_element_in_the_wrong_place(profile: Profile) -> None:
    root = etree.fromstring(xml_of(next(iter(DOCUMENTS.values())), profile))
    root.append(root[0])

    assert schema_errors(etree.tostring(root)) != []


@EVERY_DOCUMENT
def test_schema_and_official_rules_find_nothing(document: Document, schematron: Schematron) -> None:
    for profile in AS_XML:
        xml = xml_of(document, profile)

        assert schema_errors(xml) == [], profile
        assert schematron.findings(xml, *sheets(profile)) == [], profile


@EVERY_DOCUMENT
def test_its_totals_are_the_document_s(document: Document) -> None:
    for profile in AS_XML:
        told = read(xml_of(document, profile))

        assert told.amounts == {
            "lines": document.money(document.net_minor).decimal,
            "net": document.money(document.net_minor).decimal,
            "tax": document.money(document.tax_minor).decimal,
            "gross": document.money(document.gross_minor).decimal,
            "paid": document.money(document.paid_minor + document.borne_minor).decimal,
            "due": document.money(document.due_minor).decimal,
        }
        assert sum((group[2] for group in told.groups), Decimal(0)) == told.amounts["net"]


@EVERY_DOCUMENT
def test_both_syntaxes_tell_the_same(document: Document) -> None:
    assert read(xml_of(document, Profile.XRECHNUNG_UBL)) == read(xml_of(document, Profile.XRECHNUNG_CII))


@EVERY_DOCUMENT
def test_the_same_document_gives_the_same_bytes(document: Document) -> None:
    for profile in AS_XML:
        assert xml_of(document, profile) == xml_of(document, profile)
