"""A whole document but for its number: who, when, for which days, and what the figures are. Pure."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final

from billing.accounts.account import Account, AccountKind, Rhythm
from billing.accounts.seller import Seller, TaxRounding
from billing.e_invoices.from_document import invoice_of as e_invoice_of
from billing.e_invoices.rule import Severity
from billing.e_invoices.rules import findings, fitted
from billing.invoices import words
from billing.invoices.charge import BilledCharge
from billing.invoices.composition import Composed, Discount, TaxedCharge, compose, tax_mode
from billing.invoices.credit import CreditNote
from billing.invoices.document import (
    BornePart,
    Document,
    DocumentForm,
    DocumentKind,
    Line,
    LineKind,
    Reference,
)
from billing.money import Money

Charge = BilledCharge | TaxedCharge

SIMPLIFIED_MAX: Final = {("DE", "EUR"): 25_000, ("AT", "EUR"): 40_000}
"""Up to which gross amount a receipt may leave out the customer (UStDV § 33, UStG (AT) § 11 (6)), in minor units."""
SIMPLIFIED_MAX_ELSEWHERE: Final = 10_000
"""What every member state has to allow (Art. 238 of the VAT directive), of euros; other currencies are not judged."""
_MONTHS: Final = {Rhythm.MONTH: 1, Rhythm.QUARTER: 3, Rhythm.HALF_YEAR: 6, Rhythm.YEAR: 12}
_SOME_NUMBER: Final = "1"
_SUNDAY: Final = 6


class CannotBeIssued(ValueError):
    """There can be no such document: the text says why, `next_step` whose move it is."""

    def __init__(self, message: str, next_step: str) -> None:
        super().__init__(message)
        self.next_step = next_step


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """When a document is issued, and the last day of what it is for."""

    issued_on: date
    until: date


def rhythms_ending(until: date) -> tuple[Rhythm, ...]:
    """Whose turn it is when a day has ended."""
    due = [Rhythm.SESSION]
    if until.weekday() == _SUNDAY:
        due.append(Rhythm.WEEK)
    if until.day == monthrange(until.year, until.month)[1]:
        due += [rhythm for rhythm, months in _MONTHS.items() if until.month % months == 0]
    return tuple(due)


def first_day(rhythm: Rhythm, until: date) -> date | None:
    """The first day of the period in which a day lies, its last or any other; None where the rhythm has no periods."""
    if rhythm is Rhythm.WEEK:
        return until - timedelta(days=until.weekday())
    months = _MONTHS.get(rhythm)
    if months is None:
        return None
    return date(until.year, (until.month - 1) // months * months + 1, 1)


def invoice_of(
    seller: Seller, account: Account, charges: Sequence[Charge], terms: Terms, discounts: Sequence[Discount] = ()
) -> Document:
    """An invoice to a customer, or with a partner who agreed to it a document in its name.

    Raises:
        CannotBeInvoiced: see compose().
        CannotBeIssued: there is nothing to pay, or it would lack what the law asks for.
    """
    per_line = seller.details.tax_rounding is TaxRounding.PER_LINE
    mode = tax_mode(charges, private=account.kind is AccountKind.PRIVATE, per_line=per_line)
    currency = _currency(charges)
    figures = _worded(
        compose(charges, mode=mode, currency=currency, discounts=discounts, grouped_by=account.grouped_by),
        account.language,
    )
    if figures.gross_minor == 0:
        raise CannotBeIssued(f"account {account.id} has nothing to pay", "free sessions go with the next that is not")
    party = account.details.party
    if party.address is None and account.kind is not AccountKind.PRIVATE:
        raise CannotBeIssued(f"account {account.id} has no address", f"csms account set {account.id} --street ...")
    document = Document(
        kind=DocumentKind.INVOICE,
        form=DocumentForm.FULL,
        number="",
        issued_on=terms.issued_on,
        days=_days(figures, account.rhythm, terms.until),
        due_on=terms.issued_on + timedelta(days=account.payment_days),
        currency=currency,
        tax_mode=mode,
        language=account.language,
        seller=seller.details.party,
        buyer=party,
        lines=figures.lines,
        tax_groups=figures.tax_groups,
        brand=account.brand,
        account=account.id,
        buyer_reference=account.details.buyer_reference,
        order_reference=account.details.order_reference,
        bank=seller.details.bank,
        grouped_by=account.grouped_by,
        borne=_borne(charges),
    )
    _require_supplied(document)
    require_e_invoice(document, account)
    return document


def _require_supplied(document: Document) -> None:
    """Sessions are invoiced when they have ended; where they ended it may be a day later than where the seller is."""
    ended = max((line.days[1] for line in document.lines if line.session is not None and line.days), default=None)
    if ended is not None and ended > document.issued_on + timedelta(days=1):
        raise CannotBeIssued(
            f"a session on it ended on {ended}, and it would be issued on {document.issued_on}",
            f"issue it on {ended} or later",
        )


def require_e_invoice(document: Document, account: Account) -> None:
    """Before it has a number: an issued document stays as it is, and could only be credited.

    Raises:
        CannotBeIssued: the account wants an e-invoice, and this one would break its rules.
    """
    if account.e_invoice is None:
        return
    invoice = fitted(e_invoice_of(replace(document, number=_SOME_NUMBER)), account.e_invoice)
    fatal = [rule for rule in findings(invoice, account.e_invoice) if rule.severity is Severity.FATAL]
    if fatal:
        raise CannotBeIssued(
            f"account {account.id} wants {account.e_invoice.value}, whose rules its document would break: "
            + "; ".join(rule.told(invoice) for rule in fatal),
            f"csms account set {account.id} and csms seller set enter what is missing",
        )


def receipt_of(seller: Seller, charge: BilledCharge, terms: Terms, *, language: str) -> Document:
    """A receipt for a session that nobody's account pays for: without a customer, as far as its amount allows that.

    Raises:
        CannotBeInvoiced: see compose().
        CannotBeIssued: it costs nothing, or too much for a receipt without a customer.
    """
    mode = tax_mode([charge], private=True)
    figures = _worded(compose([charge], mode=mode, currency=charge.currency), language)
    if figures.gross_minor == 0:
        raise CannotBeIssued(f"{charge.source} cost nothing", "nothing is to be done")
    most = simplified_max(seller, charge.currency)
    if most is not None and figures.gross_minor > most:
        raise CannotBeIssued(
            f"{charge.source} is {Money(figures.gross_minor, charge.currency)}: above {Money(most, charge.currency)} a"
            " document names the customer",
            "give the session's token to an account from its start on: csms account token give",
        )
    receipt = Document(
        kind=DocumentKind.INVOICE,
        form=DocumentForm.SIMPLIFIED,
        number="",
        issued_on=terms.issued_on,
        days=(charge.day, charge.day),
        currency=charge.currency,
        tax_mode=mode,
        language=language,
        seller=seller.details.party,
        buyer=None,
        lines=figures.lines,
        tax_groups=figures.tax_groups,
        brand=charge.brand,
        bank=seller.details.bank,
        borne=_borne([charge]),
    )
    _require_supplied(receipt)
    return receipt


def simplified_max(seller: Seller, currency: str) -> int | None:
    """Up to which gross amount a receipt may leave out the customer; None: nobody judges."""
    address = seller.details.party.address
    country = "" if address is None else address.country
    known = SIMPLIFIED_MAX.get((country, currency))
    if known is not None:
        return known
    return SIMPLIFIED_MAX_ELSEWHERE if currency == "EUR" else None


def credit_note_of(invoice: Document, note: CreditNote, *, issued_on: date, reason: str) -> Document:
    """The credit note: parties, language and terms are those of the invoice that it takes back."""
    figures = _worded(note.composed, invoice.language)
    return replace(
        invoice,
        kind=DocumentKind.CREDIT_NOTE,
        number="",
        issued_on=issued_on,
        due_on=None,
        lines=figures.lines,
        tax_groups=figures.tax_groups,
        borne=note.borne,
        paid_minor=0,
        paid_how=None,
        corrects=Reference(number=invoice.number, issued_on=invoice.issued_on),
        reason=reason,
    )


def issued_anew(old: Document, seller: Seller, account: Account | None, issued_on: date) -> Document:
    """The same lines, taxes and words again, with what is known of seller and customer by now.

    Raises:
        CannotBeIssued: it would lack what the law or the customer's e-invoice asks for.
    """
    anew = replace(
        old, number="", issued_on=issued_on, seller=seller.details.party, bank=seller.details.bank, paid_minor=0, paid_how=None,
    )  # fmt: skip
    if account is None:
        return anew
    party = account.details.party
    if party.address is None and account.kind is not AccountKind.PRIVATE:
        raise CannotBeIssued(f"account {account.id} has no address", f"csms account set {account.id} --street ...")
    anew = replace(
        anew, due_on=issued_on + timedelta(days=account.payment_days), buyer=party, brand=account.brand,
        buyer_reference=account.details.buyer_reference, order_reference=account.details.order_reference,
    )  # fmt: skip
    if old.form is not DocumentForm.SELF_BILLED:
        require_e_invoice(anew, account)
    return anew


def _currency(charges: Sequence[Charge]) -> str:
    first = charges[0]
    return first.currency if isinstance(first, BilledCharge) else first.charge.currency


def _days(figures: Composed, rhythm: Rhythm, until: date) -> tuple[date, date]:
    begin = first_day(rhythm, until)
    days = [day for line in figures.lines if line.days is not None for day in line.days]
    if begin is not None:
        return begin, until
    return (min(days), max(days)) if days else (until, until)


def _worded(figures: Composed, language: str) -> Composed:
    """Lines of our own making in the document's language."""

    def word(line: Line) -> Line:
        return replace(line, name=words.ROUNDING[language]) if line.kind is LineKind.ROUNDING else line

    return replace(figures, lines=tuple(map(word, figures.lines)))


def _borne(charges: Sequence[Charge]) -> tuple[BornePart, ...]:
    found: dict[tuple[str, str], int] = {}
    for charge in charges:
        for part in charge.borne if isinstance(charge, BilledCharge) else ():
            key = (part.party, part.label)
            found[key] = found.get(key, 0) + part.amount_minor
    return tuple(
        BornePart(party=party, label=label, amount_minor=minor) for (party, label), minor in sorted(found.items())
    )
