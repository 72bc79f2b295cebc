"""A tax rule: from a day to a day, for such customers and supplies of a country, this rate. Knows no database and no clock."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Final, TypeAlias

from billing.rating.rating import ComponentName

NOTE_LENGTH_MAX: Final = 500
RATE_MAX: Final = Decimal(100)
RATE_PLACES_MAX: Final = 4
SUPPLIES: Final = f"{', '.join(ComponentName)}, or what contracts and items call theirs, such as subscription"
_PRODUCT: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")


class CustomerKind(StrEnum):
    """What a customer is to the tax office."""

    PRIVATE = "private"
    BUSINESS = "business"


@dataclass(frozen=True, slots=True)
class Product:
    """A supply that is no part of a session: what contracts and items call it, such as subscription or hardware."""

    value: str


Supplied: TypeAlias = ComponentName | Product


def supplied(text: str) -> Supplied:
    """What is meant by the name of a supply.

    Raises:
        ValueError: nothing can be called so.
    """
    if text in set(ComponentName):
        return ComponentName(text)
    if not _PRODUCT.fullmatch(text):
        raise ValueError(text)
    return Product(text)


class VatIdAsked(StrEnum):
    """What a rule asks of the customer's VAT id, as seen from the country of supply."""

    NO = "no"
    YES = "yes"
    DOMESTIC = "domestic"
    """One of the country of supply."""
    FOREIGN = "foreign"
    """One of another country."""


class Category(StrEnum):
    """VAT category of EN 16931 (codes of UNTDID 5305)."""

    STANDARD = "S"
    ZERO = "Z"
    EXEMPT = "E"
    REVERSE_CHARGE = "AE"
    INTRA_COMMUNITY = "K"
    EXPORT = "G"
    OUT_OF_SCOPE = "O"
    CANARY_ISLANDS = "L"
    CEUTA_MELILLA = "M"


_ZERO: Final = frozenset(
    {
        Category.ZERO,
        Category.EXEMPT,
        Category.REVERSE_CHARGE,
        Category.INTRA_COMMUNITY,
        Category.EXPORT,
        Category.OUT_OF_SCOPE,
    }
)
"""Their rate is zero (EN 16931 BR-Z-09, BR-E-09, BR-AE-09, BR-IC-09, BR-G-09; O has none, BR-O-05)."""
_TOLD: Final = _ZERO - {Category.ZERO}
"""A document must say why no tax is charged (BR-E-10, BR-AE-10, BR-IC-10, BR-G-10, BR-O-10)."""
_OF_THE_BUYER: Final = frozenset({Category.REVERSE_CHARGE, Category.INTRA_COMMUNITY})
"""A document must name the buyer's VAT id (BR-AE-02, BR-IC-02)."""
_WITH_VAT_ID: Final = frozenset({VatIdAsked.YES, VatIdAsked.DOMESTIC, VatIdAsked.FOREIGN})


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxRule:
    """What is due of a supply in `country` (ISO 3166-1) from `valid_from` to `valid_to`, both days included.

    `customer`, `vat_id` and `supply` are what it asks for; None does not ask. `rate` is a percentage, `note` the legal
    text that a document must show. Days are those of the site's own calendar.
    """

    id: str
    country: str
    rate: Decimal
    category: Category
    valid_from: date
    valid_to: date | None = None
    customer: CustomerKind | None = None
    vat_id: VatIdAsked | None = None
    supply: Supplied | None = None
    note: str | None = None

    @property
    def asks(self) -> tuple[CustomerKind | None, VatIdAsked | None, Supplied | None]:
        """What it asks for, with what follows from that: only a business has a VAT id."""
        customer, vat_id = self.customer, self.vat_id
        if customer is None and vat_id in _WITH_VAT_ID:
            customer = CustomerKind.BUSINESS
        if vat_id is None and customer is CustomerKind.PRIVATE:
            vat_id = VatIdAsked.NO
        return customer, vat_id, self.supply

    def goes_before(self, other: TaxRule) -> bool:
        """Whether it asks for all that the other one asks for, and more."""
        if self.asks == other.asks:
            return False
        (customer, vat_id, supply), (their_customer, their_vat_id, their_supply) = self.asks, other.asks
        return (
            their_customer in (None, customer)
            and (their_vat_id in (None, vat_id) or (their_vat_id is VatIdAsked.YES and vat_id in _WITH_VAT_ID))
            and their_supply in (None, supply)
        )

    def meets(self, other: TaxRule) -> bool:
        """Whether both hold on some day, for the same customers and supplies."""
        return (
            self.country == other.country
            and self.asks == other.asks
            and (other.valid_to is None or self.valid_from <= other.valid_to)
            and (self.valid_to is None or other.valid_from <= self.valid_to)
        )


def mistakes(rule: TaxRule) -> list[str]:
    """Why such a rule is not taken in; all of it."""
    found = []
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", rule.id):
        found.append(f"{rule.id!r} is no rule id: use letters, digits, dot, dash and underscore, at most 64")
    if not re.fullmatch(r"[A-Z]{2}", rule.country):
        found.append(f"{rule.country!r} is no country: use two capital letters (ISO 3166-1), such as DE")
    if rule.valid_to is not None and rule.valid_to < rule.valid_from:
        found.append(f"it would end on {rule.valid_to}, before it begins on {rule.valid_from}")
    return found + _of_rate(rule) + _of_customer(rule) + _of_note(rule)


def _of_rate(rule: TaxRule) -> list[str]:
    rate = rule.rate
    if not rate.is_finite() or not 0 <= rate <= RATE_MAX:
        return [f"a rate is a percentage from 0 to {RATE_MAX}, not {rate}"]
    if rate != round(rate, RATE_PLACES_MAX):
        return [f"a rate has at most {RATE_PLACES_MAX} decimals, not {rate}"]
    if rule.category in _ZERO and rate:
        return [f"category {rule.category.value} means that no tax is charged: its rate is 0, not {rate}"]
    if rule.category is Category.STANDARD and not rate:
        return ["category S has a rate above 0: zero-rated is Z, exempt is E, out of scope is O"]
    return []


def _of_customer(rule: TaxRule) -> list[str]:
    found = []
    if rule.customer is CustomerKind.PRIVATE and rule.vat_id in _WITH_VAT_ID:
        found.append("no private customer has a VAT id: leave out one of the two")
    if rule.category in _OF_THE_BUYER and rule.vat_id not in _WITH_VAT_ID:
        found.append(f"category {rule.category.value} is for customers with a VAT id: ask for it, yes or foreign")
    if rule.category is Category.INTRA_COMMUNITY and rule.vat_id is VatIdAsked.DOMESTIC:
        found.append("category K is for customers with a VAT id of another country: ask for a foreign one")
    return found


def _of_note(rule: TaxRule) -> list[str]:
    if rule.note is None:
        if rule.category in _TOLD:
            return [f"category {rule.category.value} needs the legal note that a document shows"]
        return []
    if not rule.note.strip() or not rule.note.isprintable() or len(rule.note) > NOTE_LENGTH_MAX:
        return [f"a note is one line of at most {NOTE_LENGTH_MAX} characters, and not empty"]
    return []
