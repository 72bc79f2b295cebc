"""One failing example for every rule that we check, by its id; a rule without one fails a test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from billing.e_invoices.from_document import invoice_of
from billing.e_invoices.model import (
    Identifier,
    Invoice,
    MeansCode,
    Payment,
    Period,
    PostalAddress,
    Totals,
    TradeParty,
)
from billing.e_invoices.profiles import Profile
from billing.e_invoices.rules import fitted
from billing.invoices.document import Address, DirectDebit, Document, DocumentForm, Tax
from tests.billing.e_invoices.papers import (
    BELGIAN,
    BUYER,
    CANARY,
    CEUTA,
    DANISH,
    DEBIT,
    DUTCH,
    EXEMPT,
    EXPORT,
    INTRA,
    ITALIAN,
    REVERSE,
    SCOPELESS,
    SELLER,
    ZERO,
    Item,
    credit_note,
    paper,
    without,
)
from tests.billing.e_invoices.variety import BOX, FEE, german

Making = Callable[[], Document]
Change = Callable[[Invoice], Invoice]


@dataclass(frozen=True, kw_only=True)
class Breach:
    """A document that breaks a rule; `change` where the books cannot make such a document, but a mistake of ours could."""

    document: Making
    change: Change | None = None
    profile: Profile = Profile.XRECHNUNG_UBL

    def invoice(self) -> Invoice:
        made = fitted(invoice_of(self.document()), self.profile)
        return made if self.change is None else self.change(made)


def _good() -> Document:
    return paper([Item(), FEE])


def _seller(**changes: Any) -> Making:
    return lambda: paper([Item(), FEE], seller=replace(SELLER, **changes))


def _buyer(**changes: Any) -> Making:
    return lambda: paper([Item(), FEE], buyer=replace(BUYER, **changes))


def _address(of: Address | None, **changes: Any) -> Address:
    assert of is not None
    return replace(of, **changes)


def _nobody(tax: Tax, *, buyer: bool = False) -> Making:
    """Parties of whom no number is known, over a line of this tax."""
    seller = without(SELLER, "vat_id", "tax_number")
    return lambda: paper(
        [replace(BOX, tax=tax)],
        seller=SELLER if buyer else seller,
        buyer=without(BELGIAN, "vat_id", "register") if buyer else BELGIAN,
    )


def _rate(tax: Tax, rate: str) -> Making:
    return lambda: paper([replace(BOX, tax=replace(tax, rate=Decimal(rate)))], buyer=BELGIAN)


def _unsaid(tax: Tax) -> Breach:
    """A group that does not say why no VAT is charged."""

    def unsaid(invoice: Invoice) -> Invoice:
        return replace(invoice, breakdown=tuple(replace(group, reason=None, code=None) for group in invoice.breakdown))

    return Breach(document=lambda: paper([replace(BOX, tax=tax)], buyer=BELGIAN), change=unsaid)


def _totals(**changes: Decimal) -> Breach:
    def changed(invoice: Invoice) -> Invoice:
        totals: Totals = replace(invoice.totals, **changes)
        return replace(invoice, totals=totals)

    return Breach(document=_good, change=changed)


def _first_line(**changes: Any) -> Change:
    def changed(invoice: Invoice) -> Invoice:
        first, *rest = invoice.lines
        return replace(invoice, lines=(replace(first, **changes), *rest))

    return changed


def _first_group(**changes: Any) -> Change:
    def changed(invoice: Invoice) -> Invoice:
        first, *rest = invoice.breakdown
        return replace(invoice, breakdown=(replace(first, **changes), *rest))

    return changed


def _paid_by(payment: Payment | None) -> Change:
    return lambda invoice: replace(invoice, payment=payment)


def _delivered_to(**changes: Any) -> Change:
    here = PostalAddress(line_1="Beispielweg 2", city="Hamburg", country="DE", postal_code="20095")
    address: PostalAddress = replace(here, **changes)
    return lambda invoice: replace(invoice, deliver_to=address)


def _debit(**changes: Any) -> Making:
    debit: DirectDebit = replace(DEBIT, **changes)
    return lambda: paper([Item(), FEE], direct_debit=debit)


def _seller_of(party: TradeParty | Any, **changes: Any) -> Making:
    seller = replace(german(party), **changes)
    return lambda: paper([Item(tax=Tax("S", Decimal(25)))], seller=seller, buyer=BELGIAN)


EARLY = Period(start=date(2025, 1, 1), end=date(2025, 1, 31))
LATE = Period(start=date(2027, 1, 1), end=date(2027, 1, 31))
BACKWARDS = Period(start=date(2026, 3, 31), end=date(2026, 3, 1))

CORE: dict[str, Breach] = {
    "BR-02": Breach(document=lambda: replace(_good(), number=" ")),
    "BR-06": Breach(document=_seller(name=" ")),
    "BR-07": Breach(document=_buyer(name="\x07")),
    "BR-08": Breach(document=_seller(address=None)),
    "BR-09": Breach(document=_seller(address=_address(SELLER.address, country=""))),
    "BR-10": Breach(document=_buyer(address=None)),
    "BR-11": Breach(document=_buyer(address=_address(BUYER.address, country=""))),
    "BR-16": Breach(document=_good, change=lambda invoice: replace(invoice, lines=())),
    "BR-25": Breach(document=lambda: paper([Item(name=" "), FEE])),
    "BR-27": Breach(document=_good, change=_first_line(price=Decimal(-1))),
    "BR-29": Breach(document=_good, change=lambda invoice: replace(invoice, period=BACKWARDS)),
    "BR-30": Breach(document=lambda: paper([Item(days=(BACKWARDS.start, BACKWARDS.end))])),
    "BR-61": Breach(document=_good, change=_paid_by(Payment(means=MeansCode.SEPA_CREDIT_TRANSFER))),
    "BR-62": Breach(document=_seller(electronic_scheme=None)),
    "BR-63": Breach(document=_buyer(electronic_scheme=None)),
    "BR-CL-14": Breach(document=_buyer(address=_address(BUYER.address, country="UK"))),
    "BR-CL-23": Breach(document=lambda: paper([Item(unit="kilowatt hour")])),
    "BR-CL-25": Breach(document=_buyer(electronic_scheme="9999")),
    "BR-CO-09": Breach(document=_buyer(vat_id="987654321")),
    "BR-CO-10": _totals(lines=Decimal("1.00")),
    "BR-CO-13": _totals(net=Decimal("1.00")),
    "BR-CO-14": _totals(tax=Decimal("9.00")),
    "BR-CO-15": _totals(gross=Decimal("1.00")),
    "BR-CO-16": _totals(due=Decimal("1.00")),
    "BR-CO-17": Breach(document=_good, change=_first_group(tax=Decimal("9.00"))),
    "BR-CO-18": Breach(document=_good, change=lambda invoice: replace(invoice, breakdown=())),
    "BR-CO-25": Breach(document=lambda: paper([Item()], due_on=None)),
    "BR-CO-26": Breach(document=_seller(vat_id=None, register=None)),
    "BR-S-08": Breach(document=_good, change=_first_group(taxable=Decimal("99.00"))),
    "BR-S-05": Breach(document=_rate(Tax("S", Decimal(0)), "0")),
    "BR-Z-05": Breach(document=_rate(ZERO, "19")),
    "BR-E-05": Breach(document=_rate(EXEMPT, "19")),
    "BR-AE-05": Breach(document=_rate(REVERSE, "19")),
    "BR-IC-05": Breach(document=_rate(INTRA, "19")),
    "BR-G-05": Breach(document=_rate(EXPORT, "19")),
    "BR-S-02": Breach(document=_seller(vat_id=None, tax_number=None)),
    "BR-Z-02": Breach(document=_nobody(ZERO)),
    "BR-E-02": Breach(document=_nobody(EXEMPT)),
    "BR-AF-02": Breach(document=_nobody(CANARY)),
    "BR-AG-02": Breach(document=_nobody(CEUTA)),
    "BR-AE-02": Breach(document=_nobody(REVERSE, buyer=True)),
    "BR-IC-02": Breach(document=_nobody(INTRA, buyer=True)),
    "BR-G-02": Breach(document=_nobody(EXPORT)),
    "BR-IC-12": Breach(
        document=lambda: paper([replace(BOX, tax=INTRA)], buyer=BELGIAN),
        change=lambda invoice: replace(invoice, deliver_to=None),
    ),
    "BR-O-11": Breach(document=lambda: paper([replace(FEE, tax=SCOPELESS), Item()])),
    "BR-E-10": _unsaid(EXEMPT),
    "BR-AE-10": _unsaid(REVERSE),
    "BR-IC-10": _unsaid(INTRA),
    "BR-G-10": _unsaid(EXPORT),
    "BR-O-10": _unsaid(SCOPELESS),
}
GERMAN: dict[str, Breach] = {
    "BR-DE-1": Breach(document=lambda: paper([Item()], bank=None)),
    "BR-DE-2": Breach(document=_seller(contact=None, phone=None, email=None)),
    "BR-DE-3": Breach(document=_seller(address=_address(SELLER.address, city=" "))),
    "BR-DE-4": Breach(document=_seller(address=_address(SELLER.address, postal_code=None))),
    "BR-DE-5": Breach(document=_seller(contact=None)),
    "BR-DE-6": Breach(document=_seller(phone=None)),
    "BR-DE-7": Breach(document=_seller(email=None)),
    "BR-DE-8": Breach(document=_buyer(address=_address(BUYER.address, city=""))),
    "BR-DE-9": Breach(document=_buyer(address=_address(BUYER.address, postal_code=""))),
    "BR-DE-10": Breach(document=_good, change=_delivered_to(city=None)),
    "BR-DE-11": Breach(document=_good, change=_delivered_to(postal_code=None)),
    "BR-DE-15": Breach(document=lambda: paper([Item()], buyer_reference=" ")),
    "BR-DE-16": Breach(document=_seller(vat_id=None, tax_number=None)),
    "BR-DE-17": Breach(document=lambda: credit_note([Item()], form=DocumentForm.SELF_BILLED)),
    "BR-DE-18": Breach(document=lambda: paper([Item()], payment_terms="#SKONTO#TAGE=7#PROZENT=2#\n")),
    "BR-DE-19": Breach(document=lambda: paper([Item()], bank=replace(_bank(), iban="DE02 1203 0000 0000 2020 52"))),
    "BR-DE-20": Breach(document=_debit(iban="DE27 3705 0198 0000 0001 24")),
    "BR-DE-23-a": Breach(document=_good, change=_paid_by(Payment(means=MeansCode.SEPA_CREDIT_TRANSFER))),
    "BR-DE-25-a": Breach(document=_good, change=_paid_by(Payment(means=MeansCode.SEPA_DIRECT_DEBIT))),
    "BR-DE-27": Breach(document=_seller(phone="on request")),
    "BR-DE-28": Breach(document=_seller(email="billing(at)charging.example")),
    "BR-DE-30": Breach(document=_debit(creditor_id="")),
    "BR-DE-31": Breach(document=_debit(iban=None)),
}
SHARED: dict[str, Breach] = {
    "PEPPOL-EN16931-R010": Breach(document=_buyer(electronic_address=None, email=None)),
    "PEPPOL-EN16931-R020": Breach(document=_seller(electronic_address=None, email=None)),
    "PEPPOL-EN16931-R061": Breach(document=_good, change=_paid_by(Payment(means=MeansCode.SEPA_DIRECT_DEBIT))),
    "PEPPOL-EN16931-R110": Breach(document=_good, change=_first_line(period=EARLY)),
    "PEPPOL-EN16931-R111": Breach(document=_good, change=_first_line(period=LATE)),
    "PEPPOL-EN16931-R120": Breach(document=_good, change=_first_line(price=Decimal(7))),
}


def _bank() -> Any:
    bank = _good().bank
    assert bank is not None
    return bank


def _peppol(document: Making, change: Change | None = None) -> Breach:
    return Breach(document=document, change=change, profile=Profile.PEPPOL)


def _dutch_buyer(**changes: Any) -> Making:
    buyer = replace(DUTCH, **changes)
    return lambda: paper([Item(tax=Tax("S", Decimal(21)))], seller=german(DUTCH), buyer=buyer)


def _registered(number: str) -> Change:
    return lambda invoice: replace(
        invoice, buyer=replace(invoice.buyer, registration=Identifier(value=number, scheme="0208"))
    )


PEPPOL: dict[str, Breach] = {
    "PEPPOL-EN16931-R002": _peppol(
        lambda: paper([Item(tax=REVERSE)], buyer=BELGIAN),
        lambda invoice: replace(invoice, notes=("one", "two")),
    ),
    "PEPPOL-EN16931-R003": _peppol(
        lambda: paper([Item(tax=REVERSE)], buyer=BELGIAN, buyer_reference=None, order_reference=" ")
    ),
    "PEPPOL-EN16931-CL008": _peppol(_buyer(electronic_address=None)),
    "PEPPOL-COMMON-R043": _peppol(lambda: paper([Item(tax=REVERSE)], buyer=BELGIAN), _registered("0123456748")),
    "DK-R-002": _peppol(_seller_of(DANISH, register=None)),
    "DK-R-014": _peppol(_seller_of(DANISH, register="Erhvervsstyrelsen")),
    "IT-R-001": _peppol(_seller_of(ITALIAN, tax_number="123")),
    "IT-R-004": _peppol(_seller_of(ITALIAN, address=_address(ITALIAN.address, postal_code=None))),
    "NL-R-001": _peppol(lambda: credit_note([Item()], seller=german(DUTCH), buyer=BELGIAN, corrects=None)),
    "NL-R-002": _peppol(_seller_of(DUTCH, address=_address(DUTCH.address, street=" "))),
    "NL-R-003": _peppol(_seller_of(DUTCH, register="Kamer van Koophandel")),
    "NL-R-004": _peppol(_dutch_buyer(address=_address(DUTCH.address, city=""))),
    "NL-R-005": _peppol(_dutch_buyer(register="Kamer van Koophandel")),
    "NL-R-007": _peppol(lambda: paper([Item()], seller=german(DUTCH), buyer=BELGIAN, bank=None)),
}


def as_peppol(name: str) -> str:
    """BR-DE-23-a is DE-R-023-1."""
    number, _, part = name.removeprefix("BR-DE-").partition("-")
    return f"DE-R-{int(number):03d}" + ("-1" if part else "")


BREACHES: dict[tuple[Profile, str], Breach] = {
    **{(Profile.XRECHNUNG_UBL, name): each for name, each in {**CORE, **GERMAN, **SHARED}.items()},
    **{(Profile.PEPPOL, name): each for name, each in PEPPOL.items()},
    **{(Profile.PEPPOL, as_peppol(name)): replace(each, profile=Profile.PEPPOL) for name, each in GERMAN.items()},
}
"""By the profile that it is tried in and the rule's id."""
