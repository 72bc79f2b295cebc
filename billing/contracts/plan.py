"""A plan: what recurs, how often, for how much, and what is in it. A version of it never changes. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Final

from billing.contracts import pricing as prices
from billing.contracts.pricing import Pricing
from billing.contracts.recurrence import CALENDAR, Interval
from billing.contracts.written import Written
from billing.money import MINOR_DIGITS

ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
NAME_MAX: Final = 200
UNIT: Final = re.compile(r"[A-Z0-9]{2,3}")
"""Of a code of UN/ECE recommendation 20."""
SUPPLY: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
KWH_MAX: Final = Decimal(10_000_000)


class Timing(StrEnum):
    """When a period falls due."""

    ADVANCE = "advance"
    """On its first day."""
    ARREARS = "arrears"
    """On its last day, so that it is invoiced and closed with the month in which it ends."""


class Align(StrEnum):
    """Where periods begin."""

    CALENDAR = "calendar"
    """On Mondays, on the first of a month, a quarter, a half-year, a year."""
    START = "start"
    """As the subscription did, on that day of the week or month."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(Written):
    """What a subscription pays for. `included_kwh`: of each period, for each token or group of tokens of the contract.

    The price is for one piece and a whole period, with tax if `price_with_tax`. `unit` is a code of UN/ECE
    recommendation 20, `supply` what tax rules are asked with. Nothing in it must be about charging.
    """

    name: str
    interval: Interval
    currency: str
    pricing: Pricing
    price_with_tax: bool = False
    timing: Timing = Timing.ADVANCE
    align: Align = Align.CALENDAR
    supply: str = "subscription"
    unit: str = "C62"
    included_kwh: Decimal | None = None
    description: str | None = None

    def anchor(self, start: date) -> date:
        """From which day its periods are counted for a subscription that begins on `start`."""
        return CALENDAR if self.align is Align.CALENDAR else start


def mistakes(plan: Plan) -> list[str]:
    """Why such a plan is not taken in; all of it."""
    found = prices.mistakes(plan.pricing)
    found += of_line(plan.name, plan.unit, plan.supply, plan.description)
    if plan.currency not in MINOR_DIGITS:
        found.append(f"{plan.currency!r} is no currency of ISO 4217; write one such as EUR")
    kwh = plan.included_kwh
    if kwh is not None and not (kwh.is_finite() and 0 < kwh <= KWH_MAX and kwh == round(kwh, 3)):
        found.append(f"included kWh are above zero, up to {KWH_MAX}, with three decimals at most, not {kwh}")
    return found


def of_line(name: str, unit: str, supply: str, description: str | None) -> list[str]:
    """Why such a line cannot stand on a document."""
    found = []
    if not name.strip() or not name.isprintable() or len(name) > NAME_MAX:
        found.append(f"a name is one line of 1 to {NAME_MAX} characters, not {name[:NAME_MAX]!r}")
    if description is not None and (not description.isprintable() or len(description) > NAME_MAX * 5):
        found.append(f"a description is one line of at most {NAME_MAX * 5} characters")
    if not UNIT.fullmatch(unit):
        found.append(f"{unit!r} is no unit of UN/ECE recommendation 20; write C62 for pieces")
    if not SUPPLY.fullmatch(supply):
        found.append(f"{supply!r} is no kind of supply; write small letters, digits and underscores")
    return found
