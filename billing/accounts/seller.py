"""A legal entity that sells, and what its documents show of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final

from billing.accounts.party import creditor_id_mistake, mistakes_in_bank, mistakes_in_party
from billing.documents.brand import LINE_LENGTH_MAX
from billing.invoices.document import BankAccount, Party
from billing.mail.address import mistake_in
from billing.time_zones import NoSuchZone, zone_named, zone_of_country

ID_FORM: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""Of sellers, brands and accounts."""


class TaxRounding(StrEnum):
    """Where the tax of net prices is rounded (RULES.md 21). Prices that were shown with tax keep their gross in either case."""

    PER_DOCUMENT = "per_document"
    """On the sum of the nets of each tax."""
    PER_LINE = "per_line"


@dataclass(frozen=True, slots=True, kw_only=True)
class SellerDetails:
    """`creditor_id` by which it collects direct debits (SEPA). `footer` stands on each page of its documents.

    `reminders_to`: who is told of deadlines of its contracts, by mail. `time_zone`: by whose days it dates what it issues; None:
    that of its country.
    """

    party: Party
    bank: BankAccount | None = None
    creditor_id: str | None = None
    footer: str | None = None
    reminders_to: str | None = None
    tax_rounding: TaxRounding = TaxRounding.PER_DOCUMENT
    time_zone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seller:
    id: str
    details: SellerDetails


def zone_of(seller: Seller) -> str:
    """The time zone in which a seller dates all that it issues; UTC where its country has several and nobody said which."""
    address = seller.details.party.address
    return seller.details.time_zone or (None if address is None else zone_of_country(address.country)) or "UTC"


def today_of(seller: Seller, now: datetime) -> date:
    """The day where a seller is: whoever dates what it issues goes by it, since a series never goes back a day."""
    return now.astimezone(zone_named(zone_of(seller))).date()


def mistakes_in_seller(seller: Seller) -> list[str]:
    """Why there can be no such seller; all of it. A seller has an address, and a number by which its taxes are known."""
    found = mistakes_in_id(seller.id)
    details = seller.details
    found += mistakes_in_party(details.party)
    if details.party.address is None:
        found.append("a seller has an address (Art. 226 (5) of the VAT directive)")
    if details.party.vat_id is None and details.party.tax_number is None:
        found.append("a seller has a VAT id or a tax number (Art. 226 (3) of the VAT directive)")
    if details.bank is not None:
        found += mistakes_in_bank(details.bank)
    footer = details.footer
    if footer is not None and (not footer.strip() or not footer.isprintable() or len(footer) > LINE_LENGTH_MAX):
        found.append(f"the foot of a page is one line of at most {LINE_LENGTH_MAX} characters, and not empty")
    if details.creditor_id is not None and (why := creditor_id_mistake(details.creditor_id)) is not None:
        found.append(f"{details.creditor_id} is no creditor identifier: {why}")
    if details.reminders_to is not None and (why := mistake_in(details.reminders_to)) is not None:
        found.append(f"nobody can be reminded at {details.reminders_to}: {why}")
    return [*found, *_of_zone(details.time_zone)]


def _of_zone(name: str | None) -> Iterator[str]:
    try:
        if name is not None:
            zone_named(name)
    except NoSuchZone:
        yield f"{name!r} is no time zone: use an IANA name such as Europe/Berlin"


def mistakes_in_id(id_: str) -> list[str]:
    if ID_FORM.fullmatch(id_):
        return []
    return [f"{id_!r} is no id: use letters, digits, dot, dash and underscore, at most 64"]
