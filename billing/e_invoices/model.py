"""An invoice in the terms of EN 16931-1: the business terms (BT) and groups (BG) that we use, frozen. Knows no syntax.

Amounts are decimals in major units with the currency's own number of decimals. Each field names the term that it is; where
one party has two numbers, the seller's stands first. What is None is not told.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum


class TypeCode(StrEnum):
    """BT-3, codes of UNTDID 1001."""

    INVOICE = "380"
    CREDIT_NOTE = "381"
    SELF_BILLED_INVOICE = "389"
    SELF_BILLED_CREDIT_NOTE = "261"

    @property
    def is_credit_note(self) -> bool:
        """Whether UBL has a document of its own for it. Amounts are positive all the same."""
        return self in (TypeCode.CREDIT_NOTE, TypeCode.SELF_BILLED_CREDIT_NOTE)

    @property
    def is_self_billed(self) -> bool:
        return self in (TypeCode.SELF_BILLED_INVOICE, TypeCode.SELF_BILLED_CREDIT_NOTE)


class MeansCode(StrEnum):
    """BT-81, codes of UNTDID 4461."""

    NOT_DEFINED = "1"
    CREDIT_TRANSFER = "30"
    SEPA_CREDIT_TRANSFER = "58"
    SEPA_DIRECT_DEBIT = "59"
    CLEARING = "97"
    """Set off against what else is owed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifier:
    """A number, and the list that it is of."""

    value: str
    scheme: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostalAddress:
    """BG-5 of the seller, BG-8 of the buyer, BG-15 of the delivery. `country` is ISO 3166-1, two letters."""

    line_1: str | None
    """BT-35, BT-50, BT-75."""
    city: str | None
    """BT-37, BT-52, BT-77."""
    country: str
    """BT-40, BT-55, BT-80."""
    postal_code: str | None = None
    """BT-38, BT-53, BT-78."""
    line_2: str | None = None
    """BT-36, BT-51, BT-76."""
    region: str | None = None
    """BT-39, BT-54, BT-79."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """BG-6 of the seller, BG-9 of the buyer."""

    name: str | None = None
    """BT-41, BT-56."""
    phone: str | None = None
    """BT-42, BT-57."""
    email: str | None = None
    """BT-43, BT-58."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeParty:
    """BG-4, the seller, or BG-7, the buyer."""

    name: str
    """BT-27, BT-44."""
    address: PostalAddress | None
    trading_name: str | None = None
    """BT-28, BT-45."""
    identifier: str | None = None
    """BT-29, BT-46: its number with the other one."""
    registration: Identifier | None = None
    """BT-30, BT-47."""
    vat_id: str | None = None
    """BT-31, BT-48."""
    tax_number: str | None = None
    """BT-32, of the seller only."""
    electronic_address: Identifier | None = None
    """BT-34, BT-49, with a scheme of the EAS code list."""
    contact: Contact | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditTransfer:
    """BG-17."""

    account: str
    """BT-84, the IBAN."""
    holder: str | None = None
    """BT-85."""
    bic: str | None = None
    """BT-86."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Debit:
    """BG-19."""

    mandate: str
    """BT-89."""
    creditor: str
    """BT-90."""
    account: str | None = None
    """BT-91, the IBAN that is debited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """BG-16."""

    means: MeansCode
    text: str | None = None
    """BT-82."""
    remittance: str | None = None
    """BT-83, what the payer should write."""
    transfer: CreditTransfer | None = None
    debit: Debit | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preceding:
    """BG-3, the invoice that a credit note takes back."""

    number: str
    """BT-25."""
    issued_on: date
    """BT-26."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """BG-14 of the invoice, BG-26 of a line. Both days are included."""

    start: date
    end: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """BG-27."""

    amount: Decimal
    """BT-136."""
    reason: str
    """BT-139."""
    code: str
    """BT-140, of UNTDID 5189."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vat:
    """BG-30: what of a line is taxed how. `rate` is None where the supply is not subject to VAT (BR-O-05)."""

    category: str
    """BT-151, BT-118: codes of UNTDID 5305."""
    rate: Decimal | None
    """BT-152, BT-119, in percent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceLine:
    """BG-25. `net = quantity * price - allowance`, rounded."""

    id: str
    """BT-126."""
    name: str
    """BT-153."""
    quantity: Decimal
    """BT-129."""
    unit: str
    """BT-130, of UN/ECE recommendation 20."""
    price: Decimal
    """BT-146, without VAT, never below zero (BR-27)."""
    net: Decimal
    """BT-131."""
    vat: Vat
    allowance: Allowance | None = None
    description: str | None = None
    """BT-154."""
    period: Period | None = None
    accounting: str | None = None
    """BT-133: where the buyer books it."""
    attributes: tuple[tuple[str, str], ...] = ()
    """BG-32: name and value (BT-160, BT-161)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VatBreakdown:
    """BG-23: all lines of one category and rate."""

    vat: Vat
    taxable: Decimal
    """BT-116."""
    tax: Decimal
    """BT-117."""
    reason: str | None = None
    """BT-120: why no VAT is charged."""
    code: str | None = None
    """BT-121: the same as a code of the VATEX list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """BG-22."""

    lines: Decimal
    """BT-106."""
    net: Decimal
    """BT-109."""
    tax: Decimal
    """BT-110."""
    gross: Decimal
    """BT-112."""
    paid: Decimal
    """BT-113."""
    due: Decimal
    """BT-115."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """An invoice, a credit note, or one of the two that its receiver wrote himself."""

    number: str
    """BT-1."""
    issued_on: date
    """BT-2."""
    type_code: TypeCode
    currency: str
    """BT-5."""
    seller: TradeParty
    buyer: TradeParty
    lines: tuple[InvoiceLine, ...]
    breakdown: tuple[VatBreakdown, ...]
    totals: Totals
    period: Period
    delivered_on: date
    """BT-72: the day on which the supply was completed."""
    due_on: date | None = None
    """BT-9."""
    buyer_reference: str | None = None
    """BT-10."""
    contract_reference: str | None = None
    """BT-12."""
    order_reference: str | None = None
    """BT-13."""
    payment_terms: str | None = None
    """BT-20."""
    notes: tuple[str, ...] = ()
    """BT-22."""
    preceding: Preceding | None = None
    deliver_to: PostalAddress | None = None
    payment: Payment | None = None
