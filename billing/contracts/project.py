"""A whole project as it can be made again: a contract with all that is in it, its days told as distances from its begin. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Final, TypeAlias

from pydantic import BeforeValidator, PlainSerializer

from billing.contracts.contract import DeadlineKind, Renewal, Terms
from billing.contracts.days import A_MONTH, Length, add_months, months_between
from billing.contracts.discount import Target
from billing.contracts.reminding import BY_ITSELF
from billing.contracts.written import Written

_OFFSET: Final = re.compile(r"(?:([0-9]{1,4})m)?(?:(-?[0-9]{1,5})d)?")


@dataclass(frozen=True, slots=True)
class Offset:
    """So many months and then days after the begin: `2m`, `1m15d`, `0d`. What is before the begin has days below zero."""

    months: int = 0
    days: int = 0

    @classmethod
    def parse(cls, text: str) -> Offset:
        """Read `1m15d`.

        Raises:
            ValueError: it is no such text.
        """
        match = _OFFSET.fullmatch(text.strip())
        if match is None or not text.strip():
            raise ValueError(f"{text!r} is no distance from the begin; write months and days such as 1m15d")
        return cls(int(match[1] or 0), int(match[2] or 0))

    @classmethod
    def between(cls, start: date, day: date) -> Offset:
        """The one that leads from `start` to `day`."""
        months = max(0, months_between(start, day))
        return cls(months, (day - add_months(start, months)).days)

    def __str__(self) -> str:
        months = f"{self.months}m" if self.months else ""
        return f"{months}{self.days}d" if self.days or not months else months

    def after(self, start: date) -> date:
        return add_months(start, self.months) + timedelta(days=self.days)


def _length(value: object) -> object:
    return Length.parse(value) if isinstance(value, str) else value


def _offset(value: object) -> object:
    return Offset.parse(value) if isinstance(value, str) else value


LengthText: TypeAlias = Annotated[Length, BeforeValidator(_length), PlainSerializer(str)]
OffsetText: TypeAlias = Annotated[Offset, BeforeValidator(_offset), PlainSerializer(str)]
"""As a document has them: text."""

AT_ONCE: Final = Offset()


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedTerms(Written):
    """Terms without their begin; see Terms."""

    renewal: Renewal = Renewal.OPEN
    term: LengthText | None = None
    renewal_length: LengthText | None = None
    notice: LengthText = A_MONTH
    to_month_end: bool = False

    def terms(self, start: date) -> Terms:
        return Terms(
            starts_on=start, renewal=self.renewal, term=self.term, renewal_length=self.renewal_length,
            notice=self.notice, to_month_end=self.to_month_end,
        )  # fmt: skip

    @classmethod
    def of(cls, terms: Terms) -> WantedTerms:
        return cls(
            renewal=terms.renewal, term=terms.term, renewal_length=terms.renewal_length, notice=terms.notice,
            to_month_end=terms.to_month_end,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedSubscription(Written):
    """`version` None: the newest when the contract is made."""

    plan: str
    quantity: Decimal = Decimal(1)
    after: OffsetText = AT_ONCE
    until: OffsetText | None = None
    version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedItem(Written):
    """A one-time item: hardware, an installation, an inspection. `price_with_tax` None: as the contract has it."""

    name: str
    unit_price: Decimal
    quantity: Decimal = Decimal(1)
    after: OffsetText = AT_ONCE
    supply: str = "item"
    unit: str = "C62"
    description: str | None = None
    country: str | None = None
    price_with_tax: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedPart(Written):
    """A share of a sum, due so long after the begin, or by an event."""

    name: str
    percent: Decimal
    after: OffsetText | None = None
    event: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedSplit(Written):
    """A sum that is paid in parts."""

    name: str
    total: Decimal
    parts: tuple[WantedPart, ...]
    supply: str = "milestone"
    country: str | None = None
    price_with_tax: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedDiscount(Written):
    """See Discount; `only` of plans the id of one, of items their supply."""

    label: str
    target: Target = Target.PLANS
    percent: Decimal | None = None
    amount: Decimal | None = None
    after: OffsetText = AT_ONCE
    until: OffsetText | None = None
    periods: int | None = None
    only: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Partner(Written):
    """Another party of the contract: a site owner, an installer. `account`: its customer's file, if it has one."""

    role: str
    name: str
    account: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Project(Written):
    """Everything of a contract but whose it is and when it begins. `labels`: by what its lines may be grouped."""

    currency: str
    title: str = ""
    terms: WantedTerms = field(default_factory=WantedTerms)
    price_with_tax: bool = False
    country: str | None = None
    reference: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    partners: tuple[Partner, ...] = ()
    remind_before: dict[DeadlineKind, tuple[int, ...]] = field(default_factory=lambda: dict(BY_ITSELF))
    subscriptions: tuple[WantedSubscription, ...] = ()
    items: tuple[WantedItem, ...] = ()
    splits: tuple[WantedSplit, ...] = ()
    discounts: tuple[WantedDiscount, ...] = ()
