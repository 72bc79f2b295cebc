"""An invoice of EN 16931 as UBL 2.1, `Invoice` or `CreditNote`: the binding of CEN/TS 16931-3-2, written in the schema's order."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Final

from lxml import etree

from billing.e_invoices.model import (
    Allowance,
    Contact,
    Identifier,
    Invoice,
    InvoiceLine,
    Payment,
    Period,
    PostalAddress,
    TradeParty,
    Vat,
    VatBreakdown,
)
from billing.e_invoices.profiles import Specification

_UBL: Final = "urn:oasis:names:specification:ubl:schema:xsd:"
CAC: Final = f"{_UBL}CommonAggregateComponents-2"
CBC: Final = f"{_UBL}CommonBasicComponents-2"
_SEPA: Final = "SEPA"
"""The scheme by which a creditor id is told apart from other numbers of the seller (BT-90)."""
_TAX: Final = "FC"
"""The scheme of a tax number that is no VAT id (BT-32)."""


class _Node:
    """An element to which children are added in order; what is None is left out."""

    def __init__(self, element: etree._Element, currency: str) -> None:
        self.element = element
        self._currency = currency

    def group(self, name: str) -> _Node:
        return _Node(etree.SubElement(self.element, f"{{{CAC}}}{name}"), self._currency)

    def text(self, tag: str, value: str | date | None, /, **attributes: str | None) -> None:
        if value is None:
            return
        child = etree.SubElement(self.element, f"{{{CBC}}}{tag}")
        child.text = value if isinstance(value, str) else value.isoformat()
        for key, each in attributes.items():
            if each is not None:
                child.set(key, each)

    def number(self, tag: str, value: Decimal | None, /, **attributes: str | None) -> None:
        self.text(tag, None if value is None else f"{value:f}", **attributes)

    def amount(self, name: str, value: Decimal) -> None:
        self.number(name, value, currencyID=self._currency)

    def identifier(self, name: str, value: Identifier | None) -> None:
        if value is not None:
            self.text(name, value.value, schemeID=value.scheme)


def ubl(invoice: Invoice, specification: Specification) -> bytes:
    """The XML, UTF-8."""
    root = "CreditNote" if invoice.type_code.is_credit_note else "Invoice"
    element = etree.Element(f"{{{_UBL}{root}-2}}{root}", nsmap={None: f"{_UBL}{root}-2", "cac": CAC, "cbc": CBC})
    node = _Node(element, invoice.currency)
    _head(node, invoice, specification)
    _references(node, invoice)
    creditor = invoice.payment.debit.creditor if invoice.payment and invoice.payment.debit else None
    _party(node.group("AccountingSupplierParty").group("Party"), invoice.seller, creditor=creditor)
    _party(node.group("AccountingCustomerParty").group("Party"), invoice.buyer, creditor=None)
    delivery = node.group("Delivery")
    delivery.text("ActualDeliveryDate", invoice.delivered_on)
    if invoice.deliver_to is not None:
        _address(delivery.group("DeliveryLocation").group("Address"), invoice.deliver_to)
    if invoice.payment is not None:
        _payment(node.group("PaymentMeans"), invoice.payment, due_on=_due_with_means(invoice))
    if invoice.payment_terms is not None:
        node.group("PaymentTerms").text("Note", invoice.payment_terms)
    _tax_total(node.group("TaxTotal"), invoice)
    _totals(node.group("LegalMonetaryTotal"), invoice)
    for line in invoice.lines:
        _line(node, line, credited=invoice.type_code.is_credit_note)
    written: bytes = etree.tostring(element, xml_declaration=True, encoding="UTF-8", pretty_print=True)
    return written


def _head(node: _Node, invoice: Invoice, specification: Specification) -> None:
    credited = invoice.type_code.is_credit_note
    node.text("CustomizationID", specification.id)
    node.text("ProfileID", specification.process)
    node.text("ID", invoice.number)
    node.text("IssueDate", invoice.issued_on)
    if not credited:  # a credit note has no element for it: see `_due_with_means`
        node.text("DueDate", invoice.due_on)
    node.text("CreditNoteTypeCode" if credited else "InvoiceTypeCode", invoice.type_code.value)
    for note in invoice.notes:
        node.text("Note", note)
    node.text("DocumentCurrencyCode", invoice.currency)
    node.text("BuyerReference", invoice.buyer_reference)


def _due_with_means(invoice: Invoice) -> date | None:
    """BT-9 of a credit note stands with its means of payment."""
    return invoice.due_on if invoice.type_code.is_credit_note else None


def _references(node: _Node, invoice: Invoice) -> None:
    _period(node, invoice.period)
    if invoice.order_reference is not None:
        node.group("OrderReference").text("ID", invoice.order_reference)
    if invoice.preceding is not None:
        preceding = node.group("BillingReference").group("InvoiceDocumentReference")
        preceding.text("ID", invoice.preceding.number)
        preceding.text("IssueDate", invoice.preceding.issued_on)
    if invoice.contract_reference is not None:
        node.group("ContractDocumentReference").text("ID", invoice.contract_reference)


def _period(node: _Node, period: Period | None) -> None:
    if period is not None:
        group = node.group("InvoicePeriod")
        group.text("StartDate", period.start)
        group.text("EndDate", period.end)


def _party(node: _Node, party: TradeParty, *, creditor: str | None) -> None:
    node.identifier("EndpointID", party.electronic_address)
    for number in _numbers(party, creditor):
        node.group("PartyIdentification").identifier("ID", number)
    if party.trading_name is not None:
        node.group("PartyName").text("Name", party.trading_name)
    if party.address is not None:
        _address(node.group("PostalAddress"), party.address)
    for registered, scheme in ((party.vat_id, "VAT"), (party.tax_number, _TAX)):
        if registered is not None:
            group = node.group("PartyTaxScheme")
            group.text("CompanyID", registered)
            group.group("TaxScheme").text("ID", scheme)
    entity = node.group("PartyLegalEntity")
    entity.text("RegistrationName", party.name)
    entity.identifier("CompanyID", party.registration)
    if party.contact is not None:
        _contact(node.group("Contact"), party.contact)


def _numbers(party: TradeParty, creditor: str | None) -> Iterable[Identifier]:
    if party.identifier is not None:
        yield Identifier(value=party.identifier)
    if creditor:
        yield Identifier(value=creditor, scheme=_SEPA)


def _address(node: _Node, address: PostalAddress) -> None:
    node.text("StreetName", address.line_1)
    node.text("AdditionalStreetName", address.line_2)
    node.text("CityName", address.city)
    node.text("PostalZone", address.postal_code)
    node.text("CountrySubentity", address.region)
    node.group("Country").text("IdentificationCode", address.country)


def _contact(node: _Node, contact: Contact) -> None:
    node.text("Name", contact.name)
    node.text("Telephone", contact.phone)
    node.text("ElectronicMail", contact.email)


def _payment(node: _Node, payment: Payment, *, due_on: date | None) -> None:
    node.text("PaymentMeansCode", payment.means.value, name=payment.text)
    node.text("PaymentDueDate", due_on)
    node.text("PaymentID", payment.remittance)
    if payment.transfer is not None:
        account = node.group("PayeeFinancialAccount")
        account.text("ID", payment.transfer.account)
        account.text("Name", payment.transfer.holder)
        if payment.transfer.bic is not None:
            account.group("FinancialInstitutionBranch").text("ID", payment.transfer.bic)
    if payment.debit is not None:
        mandate = node.group("PaymentMandate")
        mandate.text("ID", payment.debit.mandate)
        if payment.debit.account is not None:
            mandate.group("PayerFinancialAccount").text("ID", payment.debit.account)


def _tax_total(node: _Node, invoice: Invoice) -> None:
    node.amount("TaxAmount", invoice.totals.tax)
    for group in invoice.breakdown:
        _tax_group(node.group("TaxSubtotal"), group)


def _tax_group(node: _Node, group: VatBreakdown) -> None:
    node.amount("TaxableAmount", group.taxable)
    node.amount("TaxAmount", group.tax)
    category = node.group("TaxCategory")
    category.text("ID", group.vat.category)
    category.number("Percent", group.vat.rate or Decimal(0))  # BR-DE-14 wants one even where nothing is subject to VAT
    category.text("TaxExemptionReasonCode", group.code)
    category.text("TaxExemptionReason", group.reason)
    category.group("TaxScheme").text("ID", "VAT")


def _totals(node: _Node, invoice: Invoice) -> None:
    totals = invoice.totals
    node.amount("LineExtensionAmount", totals.lines)
    node.amount("TaxExclusiveAmount", totals.net)
    node.amount("TaxInclusiveAmount", totals.gross)
    if totals.paid:
        node.amount("PrepaidAmount", totals.paid)
    node.amount("PayableAmount", totals.due)


def _line(root: _Node, line: InvoiceLine, *, credited: bool) -> None:
    node = root.group("CreditNoteLine" if credited else "InvoiceLine")
    node.text("ID", line.id)
    node.number("CreditedQuantity" if credited else "InvoicedQuantity", line.quantity, unitCode=line.unit)
    node.amount("LineExtensionAmount", line.net)
    node.text("AccountingCost", line.accounting)
    _period(node, line.period)
    if line.allowance is not None:
        _allowance(node.group("AllowanceCharge"), line.allowance)
    item = node.group("Item")
    item.text("Description", line.description)
    item.text("Name", line.name)
    _category(item.group("ClassifiedTaxCategory"), line.vat)
    for name, value in line.attributes:
        attribute = item.group("AdditionalItemProperty")
        attribute.text("Name", name)
        attribute.text("Value", value)
    node.group("Price").amount("PriceAmount", line.price)


def _allowance(node: _Node, allowance: Allowance) -> None:
    node.text("ChargeIndicator", "false")
    node.text("AllowanceChargeReasonCode", allowance.code)
    node.text("AllowanceChargeReason", allowance.reason)
    node.amount("Amount", allowance.amount)


def _category(node: _Node, vat: Vat) -> None:
    node.text("ID", vat.category)
    node.number("Percent", vat.rate)
    node.group("TaxScheme").text("ID", "VAT")
