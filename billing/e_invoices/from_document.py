"""A document of the books as an invoice of EN 16931. Pure; nothing is worked out that the document does not say.

Where the two differ in what they can tell:

- BT-113, the amount paid, is what was paid and what third parties bear; a note says who bears what.
- The period is that of the document, widened by lines of sessions that came to be known late (PEPPOL-EN16931-R110, R111).
- Tax groups that differ in their note only are one group, with both notes: EN 16931 has one per category and rate.
- Where something is not subject to VAT the parties' VAT ids must not be told (BR-O-02).
- With `TaxMode.KEEP_GROSS` the tax of a group is what its gross holds, and may be a cent off its net times its rate. BR-CO-17
  and BR-S-09 allow that: their schematron compares to within one unit of the currency.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Final

from billing.e_invoices.characters import cleaned, said
from billing.e_invoices.iban import SEPA_CURRENCY, written_iban
from billing.e_invoices.lines import OUT_OF_SCOPE, invoice_line, vat_of
from billing.e_invoices.model import (
    Contact,
    CreditTransfer,
    Debit,
    Identifier,
    Invoice,
    MeansCode,
    Payment,
    Period,
    PostalAddress,
    Preceding,
    Totals,
    TradeParty,
    TypeCode,
    Vat,
    VatBreakdown,
)
from billing.e_invoices.registers import registration_of
from billing.e_invoices.words import Words, words_of
from billing.errors import Refused
from billing.invoices.document import Address, Document, DocumentForm, DocumentKind, Party
from billing.money import Money, minor_digits

DECIMALS_MAX: Final = 2
"""Of every amount but a price (BR-DEC-01 and those that follow)."""
_E_MAIL: Final = "EM"
_INTRA_COMMUNITY: Final = "K"
_EXEMPTION_CODES: Final = {
    "AE": "VATEX-EU-AE",
    "K": "VATEX-EU-IC",
    "G": "VATEX-EU-G",
    OUT_OF_SCOPE: "VATEX-EU-O",
}
"""BT-121. Why something is exempt (E) is known from its note alone."""
_WITH_REASON: Final = frozenset({"E", *_EXEMPTION_CODES})
"""Categories that tell why no VAT is charged; the others must not (BR-S-10, BR-Z-10, BR-AF-10, BR-AG-10)."""
_TYPES: Final = {
    (DocumentKind.INVOICE, False): TypeCode.INVOICE,
    (DocumentKind.CREDIT_NOTE, False): TypeCode.CREDIT_NOTE,
    (DocumentKind.INVOICE, True): TypeCode.SELF_BILLED_INVOICE,
    (DocumentKind.CREDIT_NOTE, True): TypeCode.SELF_BILLED_CREDIT_NOTE,
}


def invoice_of(document: Document) -> Invoice:
    """The document in the terms of EN 16931; refuses what no e-invoice can be made of."""
    buyer = _buyer_of(document)
    words = words_of(document.language)
    breakdown = _breakdown(document)
    scoped = all(group.vat.category != OUT_OF_SCOPE for group in breakdown)
    delivered = buyer.address if any(group.vat.category == _INTRA_COMMUNITY for group in breakdown) else None
    return Invoice(
        number=said(document.number),
        issued_on=document.issued_on,
        type_code=_TYPES[document.kind, document.form is DocumentForm.SELF_BILLED],
        currency=document.currency,
        due_on=document.due_on,
        buyer_reference=cleaned(document.buyer_reference),
        contract_reference=cleaned(document.contract_reference),
        order_reference=cleaned(document.order_reference),
        payment_terms=_terms(document, words),
        notes=tuple(_notes(document, words)),
        preceding=_preceding(document),
        period=_period(document),
        delivered_on=_delivered_on(document),
        seller=_seller(document, with_vat_id=scoped),
        buyer=_party(buyer, identifier=document.account, with_vat_id=scoped),
        deliver_to=_address(delivered),
        payment=_payment(document, words),
        lines=tuple(invoice_line(line, document.tax_mode, document.currency, words) for line in document.lines),
        breakdown=breakdown,
        totals=_totals(document),
    )


def _buyer_of(document: Document) -> Party:
    """Whom it is written to; refuses documents that cannot be e-invoices at all."""
    if document.form is DocumentForm.SIMPLIFIED:
        raise Refused(
            f"document {document.number} is a simplified invoice: no e-invoice is due for it, and it names no buyer",
            next_step="send its PDF, or issue a full invoice to an account",
        )
    if document.buyer is None:
        raise Refused(
            f"document {document.number} names no buyer: [BR-07] an e-invoice has the name of the buyer (BT-44)",
            next_step="send its PDF, or issue a full invoice to an account",
        )
    if minor_digits(document.currency) > DECIMALS_MAX:
        raise Refused(
            f"document {document.number} is in {document.currency}, whose amounts have {minor_digits(document.currency)} "
            f"decimals: [BR-DEC-09] an amount of EN 16931 has at most {DECIMALS_MAX}",
            next_step="send its PDF: there is no e-invoice after EN 16931 in this currency",
        )
    return document.buyer


def _seller(document: Document, *, with_vat_id: bool) -> TradeParty:
    seller = _party(document.seller, identifier=None, with_vat_id=with_vat_id)
    brand = cleaned(document.brand)
    return replace(
        seller,
        trading_name=brand if brand != seller.name else None,
        tax_number=cleaned(document.seller.tax_number),
    )


def _party(party: Party, *, identifier: str | None, with_vat_id: bool) -> TradeParty:
    contact = Contact(name=cleaned(party.contact), phone=cleaned(party.phone), email=cleaned(party.email))
    return TradeParty(
        name=said(party.name),
        address=_address(party.address),
        identifier=cleaned(identifier),
        registration=registration_of(party),
        vat_id=cleaned(party.vat_id) if with_vat_id else None,
        electronic_address=_electronic_address(party),
        contact=contact if contact != Contact() else None,
    )


def _electronic_address(party: Party) -> Identifier | None:
    """What the party said of itself, else its e-mail address, which is of a scheme too."""
    address = cleaned(party.electronic_address)
    if address is not None:
        return Identifier(value=address, scheme=cleaned(party.electronic_scheme))
    email = cleaned(party.email)
    return Identifier(value=email, scheme=_E_MAIL) if email is not None else None


def _address(address: Address | None) -> PostalAddress | None:
    if address is None:
        return None
    return PostalAddress(
        line_1=cleaned(address.street),
        line_2=cleaned(address.further),
        city=cleaned(address.city),
        postal_code=cleaned(address.postal_code),
        region=cleaned(address.region),
        country=said(address.country),
    )


def _period(document: Document) -> Period:
    days = [document.days, *(line.days for line in document.lines if line.days)]
    return Period(start=min(first for first, _ in days), end=max(last for _, last in days))


def _delivered_on(document: Document) -> date:
    """The last day of what was supplied; Factur-X asks for it beside the period (BR-FX-EN-04)."""
    return max((line.days[1] for line in document.lines if line.days), default=document.days[1])


def _preceding(document: Document) -> Preceding | None:
    named = document.corrects
    return None if named is None else Preceding(number=said(named.number), issued_on=named.issued_on)


def _terms(document: Document, words: Words) -> str | None:
    """What is said of payment; a credit note, which is due on no day, must say all the same how it is settled (BR-CO-25).

    A line that begins with # is read by machines, and must end with a line break even where it is the last (BR-DE-18).
    """
    told = cleaned(document.payment_terms)
    if told is None:
        return words.credited if document.kind is DocumentKind.CREDIT_NOTE else None
    return f"{told}\n" if told.rpartition("\n")[2].startswith("#") else told


def _notes(document: Document, words: Words) -> Iterator[str]:
    """The reason of a credit note, texts of law, and who bears a part of the total."""
    taxes = [group.tax for group in document.tax_groups]
    told = [
        document.reason,
        *(tax.note for tax in taxes if tax.category not in _WITH_REASON),
        *(
            words.borne.format(label=part.label, party=part.party, amount=document.money(part.amount_minor))
            for part in document.borne
        ),
        *document.notes,
    ]
    yield from dict.fromkeys(note for text in told if (note := cleaned(text)))


def _breakdown(document: Document) -> tuple[VatBreakdown, ...]:
    groups: dict[Vat, list[int]] = {}
    notes: dict[Vat, dict[str, None]] = {}
    for group in document.tax_groups:
        vat = vat_of(group.tax)
        sums = groups.setdefault(vat, [0, 0])
        sums[0] += group.net_minor
        sums[1] += group.tax_minor
        if vat.category in _WITH_REASON and (note := cleaned(group.tax.note)):
            notes.setdefault(vat, {})[note] = None
    return tuple(
        VatBreakdown(
            vat=vat,
            taxable=document.money(net_minor).decimal,
            tax=document.money(tax_minor).decimal,
            reason="; ".join(notes.get(vat, {})) or None,
            code=_EXEMPTION_CODES.get(vat.category),
        )
        for vat, (net_minor, tax_minor) in groups.items()
    )


def _totals(document: Document) -> Totals:
    """BT-106 is summed over lines and BT-109 over tax groups: that they are equal is for the rules to see (BR-CO-13)."""

    def amount(minor: int) -> Money:
        return document.money(minor)

    return Totals(
        lines=amount(sum(line.net_minor for line in document.lines)).decimal,
        net=amount(document.net_minor).decimal,
        tax=amount(document.tax_minor).decimal,
        gross=amount(document.gross_minor).decimal,
        paid=amount(document.paid_minor + document.borne_minor).decimal,
        due=amount(document.due_minor).decimal,
    )


def _payment(document: Document, words: Words) -> Payment | None:
    """How what is due is paid. None: it is due, and the document does not say how."""
    number = said(document.number)
    if document.kind is DocumentKind.CREDIT_NOTE:
        return Payment(means=MeansCode.CLEARING, text=words.credited, remittance=number)
    if document.due_minor <= 0:
        return Payment(means=MeansCode.NOT_DEFINED, text=cleaned(document.paid_how), remittance=number)
    if document.direct_debit is not None:
        return Payment(means=MeansCode.SEPA_DIRECT_DEBIT, remittance=number, debit=_debit(document))
    if document.bank is None:
        return None
    sepa = document.currency == SEPA_CURRENCY
    return Payment(
        means=MeansCode.SEPA_CREDIT_TRANSFER if sepa else MeansCode.CREDIT_TRANSFER,
        remittance=number,
        transfer=CreditTransfer(
            account=written_iban(document.bank.iban),
            holder=cleaned(document.bank.holder),
            bic=cleaned(document.bank.bic),
        ),
    )


def _debit(document: Document) -> Debit:
    debit = document.direct_debit
    assert debit is not None, "asked for only where there is one"
    return Debit(
        mandate=said(debit.mandate),
        creditor=said(debit.creditor_id),
        account=written_iban(debit.iban) if debit.iban else None,
    )
