"""What a part of a period costs: its share by days of the whole period, in minor units. Pure.

A part costs what has accrued when it ends less what had accrued when it began, each rounded once. So the parts of a period
add up to its whole price, however it is divided, and no part is off by as much as one unit.
"""

from __future__ import annotations

from datetime import date
from fractions import Fraction

from billing.contracts.days import Days
from billing.contracts.recurrence import Period
from billing.money import round_units


def accrued_minor(whole_minor: int, period: Period, until: date) -> int:
    """What of the whole price has accrued before the day `until`, which lies in the period or ends it."""
    assert period.first <= until <= period.until, f"{until} is not in {period}"
    return round_units(Fraction(whole_minor) * (until - period.first).days / period.length)


def part_minor(whole_minor: int, period: Period, part: Days) -> int:
    """What days of a period cost; all of its days cost the whole."""
    assert part.until is not None, "a part of a period ends"
    return accrued_minor(whole_minor, period, part.until) - accrued_minor(whole_minor, period, part.first)
