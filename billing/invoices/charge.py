"""What waits to be invoiced: a session with a final bill, a fee that fell due, an item, a milestone. Pure.

Every room that has something to be paid hands it over in this one form, and remembers it by `source` for ever: a source is
on one document, whatever happens.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction

from billing.invoices.document import BornePart, LineKind, SessionDetail, Tax
from billing.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxedPart:
    """A part of a charge under one tax, in minor units. `net_minor + tax_minor = gross_minor`."""

    tax: Tax
    net_minor: int
    tax_minor: int

    @property
    def gross_minor(self) -> int:
        return self.net_minor + self.tax_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class BilledCharge:
    """A session with the bill that counts: its amounts were shown to the driver, and are taken as they are.

    `price_with_tax`: its tariff's prices are meant with tax. `parts` has one part per tax. `day` is that of its end by the
    calendar of the site. `brand`: under which it was sold, where nobody's account says another.
    """

    source: str
    account: str | None
    currency: str
    name: str
    price_with_tax: bool
    parts: tuple[TaxedPart, ...]
    day: date
    session: SessionDetail
    description: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    borne: tuple[BornePart, ...] = ()
    brand: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PricedCharge:
    """Something at a price: its amount is worked out on the document.

    The amount is `quantity * unit_price - discount`, with tax if `price_with_tax`. `unit` is a code of UN/ECE
    recommendation 20. `country` and `supply` are what tax rules are asked with, on the day `tax_point`. `days`: the period
    it is for, both included, in the customer's calendar. `due_on`: the day from which it may be invoiced. A `quantity`
    below zero takes back from what `corrects` names by its source.
    """

    source: str
    kind: LineKind
    account: str
    currency: str
    name: str
    quantity: Decimal
    unit: str
    unit_price: Decimal
    price_with_tax: bool
    supply: str
    country: str
    tax_point: date
    due_on: date
    days: tuple[date, date] | None = None
    description: str | None = None
    contract: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    discount: Decimal = Decimal(0)
    discount_name: str | None = None
    corrects: str | None = None

    @property
    def amount(self) -> Money:
        """What the line comes to: quantity times price rounded once to the minor unit, less the discount."""
        exact = Fraction(self.quantity) * Fraction(self.unit_price)
        return Money.round_from(exact, self.currency) - Money.round_from(self.discount, self.currency)
