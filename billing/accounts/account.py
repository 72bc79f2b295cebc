"""A customer's file: who it is, how it is reached, when it is invoiced, whose tokens it pays for. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Final

from billing.accounts.party import LANGUAGES, LINE_LENGTH_MAX, mistakes_in_bank, mistakes_in_party
from billing.accounts.seller import mistakes_in_id
from billing.e_invoices.profiles import Profile
from billing.invoices.document import BankAccount, GroupBy, Party
from billing.taxes.tax_rule import CustomerKind
from billing.time_zones import NoSuchZone, zone_named

PAYMENT_DAYS_MAX: Final = 365
GROUPS_MAX: Final = 50


class AccountKind(StrEnum):
    """What a customer is to us."""

    PRIVATE = "private"
    BUSINESS = "business"
    FLEET = "fleet"
    EMPLOYER = "employer"
    PARTNER = "partner"
    """One whom we owe: a site owner, another operator."""

    @property
    def taxed_as(self) -> CustomerKind:
        """What it is to the tax office."""
        return CustomerKind.PRIVATE if self is AccountKind.PRIVATE else CustomerKind.BUSINESS


class Rhythm(StrEnum):
    """When a customer gets an invoice."""

    SESSION = "session"
    """With each session, as soon as it has its final bill."""
    ON_DEMAND = "on_demand"
    """Only when an operator says so."""
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    HALF_YEAR = "half_year"
    YEAR = "year"


class AccountState(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
    """No token can be given to it; what was charged before is still invoiced."""
    PSEUDONYMISED = "pseudonymised"
    """Closed, and nobody can tell whose it was but from issued documents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfBilling:
    """What was agreed on documents that we write in a partner's name (Art. 224 of the VAT directive). Days included."""

    agreed_on: date
    until: date | None = None

    def covers(self, day: date) -> bool:
        return self.agreed_on <= day and (self.until is None or day <= self.until)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountDetails:
    """What identifies the customer, and with it is forgotten.

    `invoice_email` is where its documents go, its own address unless said; `buyer_reference` what it asks to see on
    them (BT-10), `order_reference` its order. A partner is paid to `bank`; `small_business` is what documents in its name
    say of why no tax is charged, where it is exempt for its size (Art. 284 of the VAT directive, in Germany § 19 UStG).
    `parties`: as whom incentives know it that it bears.
    """

    party: Party
    invoice_email: str | None = None
    buyer_reference: str | None = None
    order_reference: str | None = None
    note: str | None = None
    bank: BankAccount | None = None
    small_business: str | None = None
    parties: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """`payer` receives its documents in its place. `time_zone` is the calendar of its periods and fees.

    `grouped_by`: how the lines of its documents are arranged. `e_invoice`: in which form it wants them, if not as a PDF only.
    """

    id: str
    seller: str
    kind: AccountKind
    details: AccountDetails
    brand: str | None = None
    payer: str | None = None
    state: AccountState = AccountState.OPEN
    language: str = "en"
    time_zone: str = "UTC"
    rhythm: Rhythm = Rhythm.MONTH
    payment_days: int = 14
    groups: tuple[str, ...] = ()
    grouped_by: tuple[GroupBy, ...] = ()
    e_invoice: Profile | None = None
    self_billing: SelfBilling | None = None

    @property
    def name(self) -> str:
        return self.details.party.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """From `valid_from` on a token is paid for by `account`, until the next holding of it; None: by nobody.

    `labels`: who drives what on whose cost, as documents group by it.
    """

    token: str
    valid_from: datetime
    account: str | None
    labels: dict[GroupBy, str] = field(default_factory=dict)


def mistakes_in_account(account: Account) -> list[str]:
    """Why there can be no such account; all of it."""
    return [
        *mistakes_in_id(account.id),
        *mistakes_in_party(account.details.party),
        *_of_terms(account),
        *_of_details(account.details),
        *_of_kind(account),
    ]


def _of_terms(account: Account) -> Iterator[str]:
    if account.language not in LANGUAGES:
        yield f"documents are written in {', '.join(LANGUAGES)}, not in {account.language!r}"
    try:
        zone_named(account.time_zone)
    except NoSuchZone:
        yield f"{account.time_zone!r} is no time zone: use an IANA name such as Europe/Berlin"
    if not 0 <= account.payment_days <= PAYMENT_DAYS_MAX:
        yield f"payment is due after 0 to {PAYMENT_DAYS_MAX} days, not {account.payment_days}"
    if account.payer == account.id:
        yield "an account is not its own payer: leave the payer out"
    if len(account.groups) > GROUPS_MAX or any(mistakes_in_id(group) for group in account.groups):
        yield f"groups are at most {GROUPS_MAX} ids of letters, digits, dot, dash and underscore"
    if len(set(account.grouped_by)) != len(account.grouped_by):
        yield "lines are grouped by each thing once"


def _of_details(details: AccountDetails) -> Iterator[str]:
    for name in ("invoice_email", "buyer_reference", "order_reference", "note", "small_business"):
        text = getattr(details, name)
        if text is not None and not _is_line(text):
            yield f"{name} is one line of at most {LINE_LENGTH_MAX} characters, and not empty"
    if not all(map(_is_line, details.parties)):
        yield f"a party is one line of at most {LINE_LENGTH_MAX} characters, and not empty"
    if details.bank is not None:
        yield from mistakes_in_bank(details.bank)


def _is_line(text: str) -> bool:
    return bool(text.strip()) and text.isprintable() and len(text) <= LINE_LENGTH_MAX


def _of_kind(account: Account) -> Iterator[str]:
    if account.kind is AccountKind.PRIVATE and account.details.party.vat_id is not None:
        yield "no private customer has a VAT id: say what kind of business it is, or leave out the VAT id"
    if account.kind is not AccountKind.PRIVATE and account.details.party.address is None:
        yield "the invoice of a business shows its address (Art. 226 (5) of the VAT directive)"
    agreed = account.self_billing
    if agreed is not None and account.kind is not AccountKind.PARTNER:
        yield "documents in a customer's name are agreed with partners: make it one"
    if agreed is not None and agreed.until is not None and agreed.until < agreed.agreed_on:
        yield f"the agreement would end on {agreed.until}, before it begins on {agreed.agreed_on}"
