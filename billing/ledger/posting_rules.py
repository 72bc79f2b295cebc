"""From business facts to accounts: the one table, and how it makes an entry of a document or of money that moved. Pure.

A document is posted as it was issued. What was paid of it is a fact of its own, whoever took the money and whenever:
`paid_minor` of a document is for those who read it, and posts nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from billing.errors import Refused
from billing.invoices.document import Document, DocumentForm, DocumentKind, LineKind, Tax, borne_item
from billing.ledger.entry import AccountKind, DraftEntry, LedgerAccount, Posting, Side


class Fact(StrEnum):
    """What happens in the business and changes what somebody owes. The reversal of an entry is in no table."""

    INVOICE_ISSUED = "invoice_issued"
    CREDIT_NOTE_ISSUED = "credit_note_issued"
    RECEIPT_ISSUED = "receipt_issued"
    RECEIPT_CREDITED = "receipt_credited"
    SELF_BILLED_ISSUED = "self_billed_issued"
    SELF_BILLED_CREDITED = "self_billed_credited"
    PAYMENT_RECEIVED = "payment_received"
    PAYMENT_RETURNED = "payment_returned"
    PAYMENT_ALLOCATED = "payment_allocated"
    REFUND_PAID = "refund_paid"
    CARD_CAPTURED = "card_captured"
    CARD_REFUNDED = "card_refunded"
    PSP_PAID_OUT = "psp_paid_out"
    INCENTIVE_RECEIVED = "incentive_received"
    PARTNER_PAID = "partner_paid"
    WRITTEN_OFF = "written_off"


class Amount(StrEnum):
    """Which amount of a fact a leg takes; `OWNERS` says of whom or of what its account is."""

    CUSTOMER_OWES = "customer_owes"
    BORNE = "borne"
    NET = "net"
    CLAIMED = "claimed"
    ROUNDING = "rounding"
    TAX = "tax"
    GROSS = "gross"
    MONEY = "money"
    SETTLED = "settled"
    ADVANCE = "advance"
    FEE = "fee"


OWNERS: Final[Mapping[Amount, str]] = {
    Amount.CUSTOMER_OWES: "gross less what others bear, on its open item; by customer",
    Amount.BORNE: "what a third party bears; by party",
    Amount.NET: "net of the lines; by what is sold, country, tax category and rate",
    Amount.CLAIMED: "what it asks a third party for that bears it of another document, on its open item; by party",
    Amount.ROUNDING: "net of the document less net of its lines",
    Amount.TAX: "tax of each tax group; by country, tax category and rate",
    Amount.GROSS: "gross, on its open item; by partner",
    Amount.MONEY: "all of it, less the fee; by bank account or provider",
    Amount.SETTLED: "what was paid of each document; by who owes it or is owed it",
    Amount.ADVANCE: "what was paid before, and for no document yet; by customer",
    Amount.FEE: "what the provider has kept; by provider",
}


@dataclass(frozen=True, slots=True)
class Leg:
    """A side of a fact: this amount goes on such accounts."""

    side: Side
    kind: AccountKind
    amount: Amount


@dataclass(frozen=True, slots=True)
class Rule:
    """What a fact means for the books."""

    fact: Fact
    what: str
    legs: tuple[Leg, ...]


def _debit(kind: AccountKind, amount: Amount) -> Leg:
    return Leg(Side.DEBIT, kind, amount)


def _credit(kind: AccountKind, amount: Amount) -> Leg:
    return Leg(Side.CREDIT, kind, amount)


def _back(legs: Sequence[Leg]) -> tuple[Leg, ...]:
    """The same on the other sides."""
    return tuple(Leg(leg.side.other, leg.kind, leg.amount) for leg in legs)


_SALE: Final = (
    _debit(AccountKind.RECEIVABLE, Amount.CUSTOMER_OWES),
    _debit(AccountKind.INCENTIVE_RECEIVABLE, Amount.BORNE),
    _credit(AccountKind.REVENUE, Amount.NET),
    _credit(AccountKind.INCENTIVE_RECEIVABLE, Amount.CLAIMED),
    _credit(AccountKind.ROUNDING, Amount.ROUNDING),
    _credit(AccountKind.TAX_PAYABLE, Amount.TAX),
)
_SHARE: Final = (
    _debit(AccountKind.REVENUE_SHARE, Amount.NET),
    _debit(AccountKind.ROUNDING, Amount.ROUNDING),
    _debit(AccountKind.INPUT_TAX, Amount.TAX),
    _credit(AccountKind.PAYABLE, Amount.GROSS),
)
_PAID: Final = (_debit(AccountKind.BANK, Amount.MONEY), _credit(AccountKind.RECEIVABLE, Amount.SETTLED))
_CARD: Final = (_debit(AccountKind.PSP_CLEARING, Amount.MONEY), _credit(AccountKind.RECEIVABLE, Amount.SETTLED))

RULES: Final = (
    Rule(Fact.INVOICE_ISSUED, "a customer is to pay a document", _SALE),
    Rule(Fact.CREDIT_NOTE_ISSUED, "it is taken back in whole or in part", _back(_SALE)),
    Rule(Fact.RECEIPT_ISSUED, "a receipt of a small amount, with or without a customer", _SALE),
    Rule(Fact.RECEIPT_CREDITED, "it is taken back in whole or in part", _back(_SALE)),
    Rule(Fact.SELF_BILLED_ISSUED, "a partner gets its share by a document that we write", _SHARE),
    Rule(Fact.SELF_BILLED_CREDITED, "it is taken back in whole or in part", _back(_SHARE)),
    Rule(Fact.PAYMENT_RECEIVED, "money came to a bank account", _PAID),
    Rule(Fact.PAYMENT_RETURNED, "it went back, as a direct debit that is refused", _back(_PAID)),
    Rule(
        Fact.PAYMENT_ALLOCATED,
        "money that came for no document is for these",
        (_debit(AccountKind.RECEIVABLE, Amount.ADVANCE), _credit(AccountKind.RECEIVABLE, Amount.SETTLED)),
    ),
    Rule(Fact.REFUND_PAID, "a customer got money back from a bank account", _back(_PAID)),
    Rule(Fact.CARD_CAPTURED, "a payment service provider took money for us", _CARD),
    Rule(Fact.CARD_REFUNDED, "it gave money back for us", _back(_CARD)),
    Rule(
        Fact.PSP_PAID_OUT,
        "it paid us what it had taken, less its fee",
        (
            _debit(AccountKind.BANK, Amount.MONEY),
            _debit(AccountKind.PAYMENT_FEE, Amount.FEE),
            _credit(AccountKind.PSP_CLEARING, Amount.SETTLED),
        ),
    ),
    Rule(
        Fact.INCENTIVE_RECEIVED,
        "a third party paid what it bears",
        (_debit(AccountKind.BANK, Amount.MONEY), _credit(AccountKind.INCENTIVE_RECEIVABLE, Amount.SETTLED)),
    ),
    Rule(
        Fact.PARTNER_PAID,
        "a partner was paid",
        (_debit(AccountKind.PAYABLE, Amount.SETTLED), _credit(AccountKind.BANK, Amount.MONEY)),
    ),
    Rule(
        Fact.WRITTEN_OFF,
        "a debt is given up; its tax stays owed until a credit note says otherwise",
        (_debit(AccountKind.BAD_DEBT, Amount.MONEY), _credit(AccountKind.RECEIVABLE, Amount.SETTLED)),
    ),
)
"""Every fact, and on which accounts it is posted."""

_BY_FACT: Final = {rule.fact: rule for rule in RULES}
_OF_DOCUMENTS: Final = {
    (DocumentForm.FULL, DocumentKind.INVOICE): Fact.INVOICE_ISSUED,
    (DocumentForm.FULL, DocumentKind.CREDIT_NOTE): Fact.CREDIT_NOTE_ISSUED,
    (DocumentForm.SIMPLIFIED, DocumentKind.INVOICE): Fact.RECEIPT_ISSUED,
    (DocumentForm.SIMPLIFIED, DocumentKind.CREDIT_NOTE): Fact.RECEIPT_CREDITED,
    (DocumentForm.SELF_BILLED, DocumentKind.INVOICE): Fact.SELF_BILLED_ISSUED,
    (DocumentForm.SELF_BILLED, DocumentKind.CREDIT_NOTE): Fact.SELF_BILLED_CREDITED,
}
DOCUMENT_FACTS: Final = frozenset(_OF_DOCUMENTS.values())
"""Their entries are taken back by another document only."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some of an amount: whose or of what, how much, and on which open item."""

    owner: str
    minor: int
    document: str | None = None
    due_on: date | None = None


def entry_of(document: Document, seller: str) -> DraftEntry:
    """The entry of an issued document in the books of the seller with this id.

    Raises:
        Refused: its lines and totals differ by more than rounding, it owes a partner without an account, or whose tax
            it bears is unknown.
    """
    fact = _OF_DOCUMENTS[document.form, document.kind]
    item = document.open_item
    due_on = None if document.corrects else document.due_on
    revenue, claimed = _nets(document), _claimed(document)
    lines_minor = sum(revenue.values()) + sum(each.minor for each in claimed)
    amounts = {
        Amount.CUSTOMER_OWES: [Part(document.account or "", document.gross_minor - document.borne_minor, item, due_on)],
        Amount.BORNE: [Part(each.party, each.amount_minor, item) for each in document.borne],
        Amount.NET: [Part(owner, minor) for owner, minor in revenue.items()],
        Amount.CLAIMED: claimed,
        Amount.ROUNDING: [Part("", _rounding(document, lines_minor))],
        Amount.TAX: [Part(tax_owner(document, group.tax), group.tax_minor) for group in document.tax_groups],
    }
    if document.form is DocumentForm.SELF_BILLED:
        amounts[Amount.GROSS] = [Part(_partner(document), document.gross_minor, item, due_on)]
    return _entry(
        fact, amounts, seller=seller, key=document_key(document.number), on=document.issued_on,
        currency=document.currency, text=document.number, document=document.number,
    )  # fmt: skip


def document_key(number: str) -> str:
    """By which the entry of a document is found."""
    return f"document:{number}"


def _nets(document: Document) -> dict[str, int]:
    """The nets of lines by the owner of their account."""
    nets: dict[str, int] = {}
    for line in document.lines:
        if line.kind not in {LineKind.ROUNDING, LineKind.BORNE}:
            owner = f"{line.kind}:{tax_owner(document, line.tax)}"
            nets[owner] = nets.get(owner, 0) + line.net_minor
    return nets


def _claimed(document: Document) -> list[Part]:
    """What the document asks its buyer for as the party that bears parts of others: it was owed by that party before."""
    found = []
    for line in document.lines:
        if line.kind is LineKind.BORNE:
            item, party = borne_item(line.source)
            found.append(Part(party, line.gross_minor, item))
    return found


def _rounding(document: Document, lines_minor: int) -> int:
    """What the document's net is above that of its lines: as its rounding lines say, or what rounding each may leave."""
    difference = document.net_minor - lines_minor
    lines = [line.net_minor for line in document.lines if line.kind is LineKind.ROUNDING]
    allowed = abs(difference) <= len(document.lines) + len(document.tax_groups)
    if (lines and sum(lines) != difference) or not allowed:
        raise Refused(
            f"document {document.number}: its lines have a net of {document.money(lines_minor)}, it has"
            f" {document.money(document.net_minor)}, and its rounding lines say {document.money(sum(lines))}",
            "it cannot be posted as it is: report how it came about",
        )
    return difference


def tax_owner(document: Document, tax: Tax) -> str:
    """DE:S:19: whose tax it is, its category and its rate.

    Raises:
        Refused: neither the tax nor the seller has a country.
    """
    country = tax.country or (document.seller.address.country if document.seller.address else None)
    if country is None:
        raise Refused(
            f"document {document.number}: whose tax {tax.category} {tax.rate:f} % is, is unknown",
            "give its seller an address with a country",
        )
    rate = format(tax.rate, "f")
    return f"{country}:{tax.category}:{rate.rstrip('0').rstrip('.') if '.' in rate else rate}"


def _partner(document: Document) -> str:
    if document.account is None:
        raise Refused(f"document {document.number}: which partner it is for is unknown", "name its account")
    return document.account


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """Money that moved. `through`: which bank account or provider of ours; `items`: what it is for.

    An item without a document is an advance, which `PAYMENT_ALLOCATED` gives to documents later. `fee_minor` is what a
    provider has kept of it. Amounts are above zero; the fact says which way they go.
    """

    fact: Fact
    seller: str
    key: str
    on: date
    currency: str
    items: tuple[Part, ...]
    through: str = ""
    fee_minor: int = 0
    text: str = ""


def entry_of_settlement(paid: Settlement) -> DraftEntry:
    """The entry of money that moved.

    Raises:
        Refused: the fact is a document, an amount is not above zero, or an advance is given to no document.
    """
    if paid.fact in DOCUMENT_FACTS:
        raise Refused(f"{paid.fact} is the fact of a document", "issue the document")
    whole = sum(each.minor for each in paid.items)
    if not paid.items or any(each.minor <= 0 for each in paid.items) or not 0 <= paid.fee_minor <= whole:
        raise Refused(f"{paid.fact} {paid.key}: its amounts are not above zero", "say which way it goes by its fact")
    if paid.fact is Fact.PAYMENT_ALLOCATED and any(each.document is None for each in paid.items):
        raise Refused(f"{paid.fact} {paid.key}: for which document is not said", "name the document of each item")
    if paid.fee_minor and Amount.FEE not in {leg.amount for leg in _BY_FACT[paid.fact].legs}:
        raise Refused(f"{paid.fact} {paid.key}: a fee is no part of it", f"post it with {Fact.PSP_PAID_OUT}")
    amounts = {
        Amount.MONEY: [Part(paid.through, whole - paid.fee_minor)],
        Amount.FEE: [Part(paid.through, paid.fee_minor)],
        Amount.SETTLED: paid.items,
        Amount.ADVANCE: [Part(each.owner, each.minor) for each in paid.items],
    }
    return _entry(
        paid.fact, amounts, seller=paid.seller, key=paid.key, on=paid.on, currency=paid.currency, text=paid.text,
        document=None,
    )  # fmt: skip


def _entry(
    fact: Fact,
    amounts: Mapping[Amount, Iterable[Part]],
    *,
    seller: str,
    key: str,
    on: date,
    currency: str,
    text: str,
    document: str | None,
) -> DraftEntry:
    """What the table says of a fact with these amounts."""
    postings = (
        Posting(LedgerAccount(leg.kind, part.owner), leg.side.sign * part.minor, currency, part.document, part.due_on)
        for leg in _BY_FACT[fact].legs
        for part in amounts[leg.amount]
        if part.minor
    )
    return DraftEntry(
        seller=seller, fact=fact.value, key=key, fact_on=on, postings=tuple(postings), text=text, document=document
    )


def rule_rows(rules: Iterable[Rule] = RULES) -> list[dict[str, object]]:
    """The table as `csms ledger rules` prints it: a row for each leg."""
    return [
        {
            "fact": rule.fact,
            "side": leg.side,
            "account": leg.kind,
            "amount": OWNERS[leg.amount],
            "what": rule.what,
        }
        for rule in rules
        for leg in rule.legs
    ]
