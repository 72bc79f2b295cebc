"""An invoice of EN 16931 as UN/CEFACT Cross Industry Invoice, by drafthorse: the binding of CEN/TS 16931-3-3."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from drafthorse.models.accounting import ApplicableTradeTax, TradeAllowanceCharge
from drafthorse.models.document import Document
from drafthorse.models.note import IncludedNote
from drafthorse.models.party import TaxRegistration
from drafthorse.models.payment import PaymentMeans, PaymentTerms
from drafthorse.models.product import ProductCharacteristic
from drafthorse.models.tradelines import LineItem

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

_VAT: Final = "VAT"
_VAT_ID: Final = "VA"
_TAX_NUMBER: Final = "FC"


def cii(invoice: Invoice, specification: Specification) -> bytes:
    """The XML, UTF-8."""
    document: Any = Document()
    if specification.process is not None:
        document.context.business_parameter.id = specification.process
    document.context.guideline_parameter.id = specification.id
    document.header.id = invoice.number
    document.header.type_code = invoice.type_code.value
    document.header.issue_date_time = invoice.issued_on
    for text in invoice.notes:
        note: Any = IncludedNote()
        note.content = text
        document.header.notes.add(note)
    for line in invoice.lines:
        document.trade.items.add(_line(line))
    _agreement(document.trade.agreement, invoice)
    document.trade.delivery.event.occurrence = invoice.delivered_on
    if invoice.deliver_to is not None:
        _address(document.trade.delivery.ship_to.address, invoice.deliver_to)
    _settlement(document.trade.settlement, invoice)
    written: bytes = document.serialize(schema=None)
    return written


def _agreement(node: Any, invoice: Invoice) -> None:
    _set(node, buyer_reference=invoice.buyer_reference)
    _party(node.seller, invoice.seller)
    _party(node.buyer, invoice.buyer)
    if invoice.order_reference is not None:
        node.buyer_order.issuer_assigned_id = invoice.order_reference
    if invoice.contract_reference is not None:
        node.contract.issuer_assigned_id = invoice.contract_reference


def _set(node: Any, **fields: str | None) -> None:
    """Set what is told; an element that is not set is not written."""
    for name, value in fields.items():
        if value is not None:
            setattr(node, name, value)


def _identified(identifier: Identifier) -> tuple[str, str]:
    return identifier.scheme or "", identifier.value


def _party(node: Any, party: TradeParty) -> None:
    _set(node, id=party.identifier, name=party.name)
    if party.registration is not None:
        node.legal_organization.id = _identified(party.registration)
    _set(node.legal_organization, trade_name=party.trading_name)
    if party.contact is not None:
        _contact(node.contact, party.contact)
    if party.address is not None:
        _address(node.address, party.address)
    if party.electronic_address is not None:
        node.electronic_address.uri_ID = _identified(party.electronic_address)
    for scheme, number in ((_VAT_ID, party.vat_id), (_TAX_NUMBER, party.tax_number)):
        if number is not None:
            registration: Any = TaxRegistration()
            registration.id = (scheme, number)
            node.tax_registrations.add(registration)


def _contact(node: Any, contact: Contact) -> None:
    _set(node, person_name=contact.name)
    _set(node.telephone, number=contact.phone)
    _set(node.email, address=contact.email)


def _address(node: Any, address: PostalAddress) -> None:
    _set(
        node,
        postcode=address.postal_code,
        line_one=address.line_1,
        line_two=address.line_2,
        city_name=address.city,
        country_id=address.country,
        country_subdivision=address.region,
    )


def _settlement(node: Any, invoice: Invoice) -> None:
    node.currency_code = invoice.currency
    if invoice.payment is not None:
        _payment(node, invoice.payment)
    for group in invoice.breakdown:
        node.trade_tax.add(_tax_group(group))
    _period(node.period, invoice.period)
    _terms(node, invoice)
    _totals(node.monetary_summation, invoice)
    if invoice.preceding is not None:
        node.invoice_referenced_document.issuer_assigned_id = invoice.preceding.number
        node.invoice_referenced_document.issue_date_time = invoice.preceding.issued_on


def _payment(node: Any, payment: Payment) -> None:
    _set(node, payment_reference=payment.remittance)
    means: Any = PaymentMeans()
    means.type_code = payment.means.value
    if payment.text is not None:
        means.information.add(payment.text)
    if payment.transfer is not None:
        _set(means.payee_account, iban=payment.transfer.account, account_name=payment.transfer.holder)
        _set(means.payee_institution, bic=payment.transfer.bic)
    if payment.debit is not None:
        _set(node, creditor_reference_id=payment.debit.creditor)
        _set(means.payer_account, iban=payment.debit.account)
    node.payment_means.add(means)


def _terms(node: Any, invoice: Invoice) -> None:
    """Due date, terms and mandate are one group here."""
    debit = invoice.payment.debit if invoice.payment else None
    if invoice.payment_terms is None and invoice.due_on is None and debit is None:
        return
    terms: Any = PaymentTerms()
    _set(terms, description=invoice.payment_terms)
    if invoice.due_on is not None:
        terms.due = invoice.due_on
    if debit is not None:
        terms.debit_mandate_id = debit.mandate
    node.terms.add(terms)


def _period(node: Any, period: Period) -> None:
    node.start = period.start
    node.end = period.end


def _tax_group(group: VatBreakdown) -> Any:
    tax: Any = ApplicableTradeTax()
    tax.calculated_amount = _plain(group.tax)
    tax.type_code = _VAT
    _set(tax, exemption_reason=group.reason, exemption_reason_code=group.code)
    tax.basis_amount = _plain(group.taxable)
    tax.category_code = group.vat.category
    tax.rate_applicable_percent = _plain(group.vat.rate or Decimal(0))  # BR-DE-14, as in UBL
    return tax


def _plain(number: Decimal) -> str:
    """A number without an exponent, which drafthorse would write and XML Schema does not know."""
    return f"{number:f}"


def _totals(node: Any, invoice: Invoice) -> None:
    totals = invoice.totals
    node.line_total = _plain(totals.lines)
    node.tax_basis_total = (_plain(totals.net), None)
    node.tax_total = (_plain(totals.tax), invoice.currency)
    node.grand_total = (_plain(totals.gross), None)
    if totals.paid:
        node.prepaid_total = _plain(totals.paid)
    node.due_amount = _plain(totals.due)


def _line(line: InvoiceLine) -> Any:
    item: Any = LineItem()
    item.document.line_id = line.id
    item.product.name = line.name
    _set(item.product, description=line.description)
    for name, value in line.attributes:
        characteristic: Any = ProductCharacteristic()
        characteristic.description = name
        characteristic.value = value
        item.product.characteristics.add(characteristic)
    item.agreement.net.amount = _plain(line.price)
    item.delivery.billed_quantity = (_plain(line.quantity), line.unit)
    _category(item.settlement.trade_tax, line.vat)
    if line.period is not None:
        _period(item.settlement.period, line.period)
    if line.allowance is not None:
        item.settlement.allowance_charge.add(_allowance(line.allowance))
    item.settlement.monetary_summation.total_amount = _plain(line.net)
    if line.accounting is not None:
        item.settlement.accounting_account.id = line.accounting
    return item


def _category(node: Any, vat: Vat) -> None:
    node.type_code = _VAT
    node.category_code = vat.category
    if vat.rate is not None:
        node.rate_applicable_percent = _plain(vat.rate)


def _allowance(allowance: Allowance) -> Any:
    charge: Any = TradeAllowanceCharge()
    charge.indicator = False
    charge.actual_amount = _plain(allowance.amount)
    charge.reason_code = allowance.code
    charge.reason = allowance.reason
    return charge
