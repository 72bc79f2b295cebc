"""How a contract stands: its terms, what it has subscribed to, what was billed of it, what is open. Frozen values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from billing.contracts.contract import DeadlineKind, Terms
from billing.contracts.days import Days
from billing.contracts.discount import Discount, Given
from billing.contracts.plan import Plan
from billing.contracts.recurrence import Period


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Days of a subscription that are billed, within one period, at what the whole period costs then.

    What is known of it here never changes but its end, which comes nearer where days are taken back.
    """

    source: str
    days: Days
    period: Period
    price: Decimal
    gross_minor: int
    discounts: tuple[Given, ...]
    name: str
    currency: str
    price_with_tax: bool
    supply: str
    country: str
    tax_point: date

    @property
    def until(self) -> date:
        assert self.days.until is not None, "what is billed has an end"
        return self.days.until

    @property
    def net_minor(self) -> int:
        """What the whole period costs after discounts."""
        return self.gross_minor - sum(each.minor for each in self.discounts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """`quantity` pieces of a version of a plan, on `days`. Those of one `line` follow each other by changes of plan.

    `begins`: when the line began. `priced_from`: since when it has this version, from which its price steps are counted.
    `cells`: what is billed, in order; at least the last one and those that end later than the subscription does.
    """

    id: int
    line: int
    plan_id: str
    version: int
    plan: Plan
    quantity: Decimal
    days: Days
    anchor: date
    begins: date
    priced_from: date
    cells: tuple[Cell, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenItem:
    """A one-time item that has not fallen due yet."""

    id: int
    name: str
    quantity: Decimal
    unit: str
    unit_price: Decimal
    price_with_tax: bool
    supply: str
    due_on: date
    description: str | None = None
    country: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenMilestone:
    """A part of a sum that has not fallen due yet; `due_on` None: what it waits for has not been reached."""

    id: int
    split: str
    name: str
    percent: Decimal
    total_minor: int
    amount_minor: int
    price_with_tax: bool
    supply: str
    due_on: date | None
    country: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """A token or a group of tokens of the contract, which gets the kWh that are in its plans."""

    id: int
    days: Days
    token: str | None = None
    token_group: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """kWh that a bearer has by a subscription on these days; `rule`: the discount rule that gives them."""

    rule: str
    subscription: int
    bearer: int
    days: Days


@dataclass(frozen=True, slots=True, kw_only=True)
class FallenDue:
    """A charge that was handed over, of which the day of payment may lie ahead."""

    source: str
    due_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A contract on its way. `until`: the first day on which it is no more; None: no end is known.

    `given`: how much of each discount on items was given. `charged_until`: by line of subscriptions and discount for so
    many periods, up to before which day the line was charged when the discount was entered; where it was not, nothing.
    `remind_before`: so many days before each kind of deadline. `revision` counts its changes.
    """

    id: str
    account: str
    currency: str
    country: str
    time_zone: str
    payment_days: int
    terms: Terms
    until: date | None
    revision: int
    title: str = ""
    subscriptions: tuple[Subscription, ...] = ()
    items: tuple[OpenItem, ...] = ()
    milestones: tuple[OpenMilestone, ...] = ()
    discounts: tuple[Discount, ...] = ()
    given: dict[int, int] = field(default_factory=dict)
    charged_until: Mapping[int, Mapping[int, date]] = field(default_factory=dict)
    bearers: tuple[Bearer, ...] = ()
    allowances: tuple[Allowance, ...] = ()
    fallen_due: tuple[FallenDue, ...] = ()
    remind_before: dict[DeadlineKind, tuple[int, ...]] = field(default_factory=dict)

    def days_of(self, subscription: Subscription) -> Days:
        """On which days a subscription holds: its own, and none after the contract."""
        return within(subscription.days, self.until)


def within(days: Days, until: date | None) -> Days:
    """Those of them before a day; none after it."""
    ends = [each for each in (days.until, until) if each is not None]
    return Days(days.first, max(days.first, min(ends)) if ends else None)
