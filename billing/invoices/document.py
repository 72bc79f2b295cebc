"""An invoice or a credit note as it was issued: parties, lines, taxes and totals, frozen. Knows no database, no layout and no XML.

Everything that leaves the house of a document - its PDF, its e-invoice, its postings - is made from this one value, so that
they cannot differ. Amounts are integers of the minor unit of `currency`; those of a credit note are positive too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from billing.money import Money


class DocumentKind(StrEnum):
    """Which way the money goes."""

    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"
    """Takes back, in whole or in part, the invoice that it names (VAT directive Art. 219)."""


class DocumentForm(StrEnum):
    """Which fields a document must have, and who writes it. Each has number series of its own."""

    FULL = "full"
    """All of Art. 226 of the VAT directive."""
    SIMPLIFIED = "simplified"
    """A receipt of a small amount, which may leave out the customer (Art. 226b)."""
    SELF_BILLED = "self_billed"
    """Written by the customer in the supplier's name (Art. 224): a statement to a partner whom we owe."""


class TaxMode(StrEnum):
    """How the tax of a document follows from its lines (RULES.md 21)."""

    KEEP_GROSS = "keep_gross"
    """Lines are with tax, as they were displayed; the net of each tax group is worked out from their sum."""
    SUM_THEN_ROUND = "sum_then_round"
    """Lines are without tax; the tax of each group is worked out from their sum and rounded once."""
    PER_LINE = "per_line"
    """Lines are without tax; the tax is worked out and rounded line by line."""


class LineKind(StrEnum):
    """What a line is paid for."""

    SESSION = "session"
    SUBSCRIPTION = "subscription"
    ITEM = "item"
    MILESTONE = "milestone"
    BORNE = "borne"
    """What a third party bears of a document to somebody else: no supply, and no tax is in it."""
    ROUNDING = "rounding"
    """The cents between the nets that the sessions' own receipts showed and the net of the document. No tax is in it."""


class GroupBy(StrEnum):
    """By what the lines of a document may be grouped."""

    DRIVER = "driver"
    VEHICLE = "vehicle"
    COST_CENTRE = "cost_centre"
    SITE = "site"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a party sits. `country` is ISO 3166-1, two letters."""

    street: str
    city: str
    country: str
    postal_code: str | None = None
    further: str | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A seller or a buyer as the document shows it.

    `tax_number` is the one that the tax office of its country gave it where it is no VAT id; `register` its entry in the
    register of companies, as one line; `electronic_address` where e-invoices reach it, with `electronic_scheme` of the EAS
    code list (EM: an e-mail address).
    """

    name: str
    address: Address | None
    vat_id: str | None = None
    tax_number: str | None = None
    register: str | None = None
    contact: str | None = None
    phone: str | None = None
    email: str | None = None
    electronic_address: str | None = None
    electronic_scheme: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BankAccount:
    """Where the seller wants to be paid."""

    iban: str
    holder: str
    bic: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectDebit:
    """How the seller takes what is due: which mandate, and by which creditor (SEPA)."""

    mandate: str
    creditor_id: str
    iban: str | None = None


@dataclass(frozen=True, slots=True)
class Tax:
    """What makes lines one tax group: category (UNTDID 5305), rate in percent, and why no tax is charged if none is.

    `country` is whose tax it is (ISO 3166-1, two letters); None: that of the seller.
    """

    category: str
    rate: Decimal
    note: str | None = None
    country: str | None = None

    @property
    def order(self) -> tuple[str, Decimal, str, str]:
        """By this, tax groups stand in a document: never by the order of lines."""
        return (self.category, -self.rate, self.note or "", self.country or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentDetail:
    """A part of a session's price: `energy` 10.000 kWh at 0.59. Amounts are text, `price` None where it varied."""

    name: str
    quantity: Decimal
    unit: str
    price: Decimal | None
    amount: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionDetail:
    """What a line says of its session. Times bear the offset of the site; `token` is masked; meter readings are Wh."""

    session: int
    bill: int
    site: str
    charge_point: str
    evse: int | None
    started_at: datetime
    ended_at: datetime
    energy_wh: int
    tariff: str
    tariff_version: int
    meter_start_wh: int | None = None
    meter_stop_wh: int | None = None
    meter_serial: str | None = None
    energy_source: str | None = None
    token: str | None = None
    components: tuple[ComponentDetail, ...] = ()
    late: bool = False
    """It ended before the period of the document, and came to be known only now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line. `net_minor + tax_minor = gross_minor`, after `discount_minor`, which is in the terms of the tax mode.

    `unit` is a code of UN/ECE recommendation 20 (KWH, C62 one, MON month). `unit_price` is in the terms of the tax mode too
    (with tax under KEEP_GROSS) and None where there is no single one. `source` names what it is paid for, for ever:
    `bill:17:3`. `days`: the period of the supply, both days included, in the customer's calendar.
    """

    position: int
    kind: LineKind
    source: str
    name: str
    quantity: Decimal
    unit: str
    unit_price: Decimal | None
    tax: Tax
    net_minor: int
    tax_minor: int
    gross_minor: int
    discount_minor: int = 0
    discount_name: str | None = None
    description: str | None = None
    days: tuple[date, date] | None = None
    labels: dict[str, str] = field(default_factory=dict)
    """By what it may be grouped: `GroupBy` -> name."""
    session: SessionDetail | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxGroup:
    """The lines of one tax together; what binds towards the tax office."""

    tax: Tax
    net_minor: int
    tax_minor: int

    @property
    def gross_minor(self) -> int:
        return self.net_minor + self.tax_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class BornePart:
    """What a third party pays of the total, such as an incentive."""

    party: str
    label: str
    amount_minor: int


def borne_source(seller: str, number: str, item: str, party: str) -> str:
    """How what a party bears of a document is named: of a credit note with the invoice on whose open item it is taken back."""
    return f"borne:{seller}:{number if number == item else f'{number}@{item}'}:{party}"


def borne_item(source: str) -> tuple[str, str]:
    """The document on whose open item that is which `borne_source` named, and the party."""
    _, _, numbers, party = source.split(":", 3)
    return numbers.rpartition("@")[2], party


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Another document that this one names."""

    number: str
    issued_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document as it stands in the books.

    `days` is the period of its supplies, both included; `due_on` None on credit notes and receipts that are paid already.
    `buyer` is None only on receipts. `buyer_reference` is what the buyer asks to see (BT-10, in Germany the Leitweg-ID),
    `order_reference` its order. `language` is that of names and texts (ISO 639-1). `notes` are legal and own texts as
    lines. `grouped_by` says how lines are arranged.
    """

    kind: DocumentKind
    form: DocumentForm
    number: str
    issued_on: date
    days: tuple[date, date]
    currency: str
    tax_mode: TaxMode
    language: str
    seller: Party
    buyer: Party | None
    lines: tuple[Line, ...]
    tax_groups: tuple[TaxGroup, ...]
    brand: str | None = None
    due_on: date | None = None
    account: str | None = None
    buyer_reference: str | None = None
    order_reference: str | None = None
    contract_reference: str | None = None
    corrects: Reference | None = None
    reason: str | None = None
    payment_terms: str | None = None
    bank: BankAccount | None = None
    direct_debit: DirectDebit | None = None
    grouped_by: tuple[GroupBy, ...] = ()
    borne: tuple[BornePart, ...] = ()
    paid_minor: int = 0
    paid_how: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def net_minor(self) -> int:
        return sum(group.net_minor for group in self.tax_groups)

    @property
    def tax_minor(self) -> int:
        return sum(group.tax_minor for group in self.tax_groups)

    @property
    def gross_minor(self) -> int:
        return self.net_minor + self.tax_minor

    @property
    def borne_minor(self) -> int:
        return sum(part.amount_minor for part in self.borne)

    @property
    def due_minor(self) -> int:
        """What the buyer has still to pay, or gets back."""
        return self.gross_minor - self.borne_minor - self.paid_minor

    @property
    def open_item(self) -> str:
        """The number under which the ledger keeps what is open of it: a credit note takes off that of its invoice."""
        return self.corrects.number if self.corrects else self.number

    def money(self, minor: int) -> Money:
        """An amount of this document with its currency."""
        return Money(minor, self.currency)
