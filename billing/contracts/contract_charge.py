"""What has fallen due under a contract, once and for ever: the row that is kept of it, and how it is handed over. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Final

from billing.contracts.days import DAY, Days
from billing.contracts.discount import Given
from billing.invoices.charge import PricedCharge
from billing.invoices.document import LineKind
from billing.money import Money

ONE: Final = Decimal(1)
PIECE: Final = "C62"
"""One of it, in UN/ECE recommendation 20."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractCharge:
    """A line that is to be invoiced. `quantity` below zero takes back: `corrects` is then the source of what it takes back.

    It comes to `quantity * unit_price`, rounded once to the minor unit, less `discounts`. `days`: what it is for.
    """

    source: str
    kind: LineKind
    contract: str
    name: str
    quantity: Decimal
    unit: str
    unit_price: Decimal
    currency: str
    price_with_tax: bool
    supply: str
    country: str
    tax_point: date
    due_on: date
    days: Days | None = None
    description: str | None = None
    corrects: str | None = None
    discounts: tuple[Given, ...] = ()
    subscription: int | None = None
    item: int | None = None
    milestone: int | None = None

    @property
    def discount_minor(self) -> int:
        return sum(each.minor for each in self.discounts)

    @property
    def amount_minor(self) -> int:
        exact = Fraction(self.quantity) * Fraction(self.unit_price)
        return Money.round_from(exact, self.currency).minor - self.discount_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressee:
    """Whom the charges of a contract are for."""

    account: str
    labels: dict[str, str] = field(default_factory=dict)


def priced(charge: ContractCharge, to: Addressee) -> PricedCharge:
    """As it is handed over to be invoiced."""
    names = ", ".join(dict.fromkeys(each.label for each in charge.discounts))
    return PricedCharge(
        source=charge.source,
        kind=charge.kind,
        account=to.account,
        currency=charge.currency,
        name=charge.name,
        quantity=charge.quantity,
        unit=charge.unit,
        unit_price=charge.unit_price,
        price_with_tax=charge.price_with_tax,
        supply=charge.supply,
        country=charge.country,
        tax_point=charge.tax_point,
        due_on=charge.due_on,
        days=_both_included(charge.days),
        description=charge.description,
        contract=charge.contract,
        labels=dict(to.labels),
        discount=Money(charge.discount_minor, charge.currency).decimal,
        discount_name=names or None,
        corrects=charge.corrects,
    )


def _both_included(days: Days | None) -> tuple[date, date] | None:
    if days is None or days.until is None:
        return None
    return days.first, days.until - DAY
