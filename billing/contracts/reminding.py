"""Which deadlines of a contract lie ahead, and of which somebody is to be reminded by a day. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from billing.contracts.contract import Deadline, DeadlineKind, deadlines
from billing.contracts.days import DAY, Days
from billing.contracts.standing import Standing

BEFORE_MAX: Final = 366
"""Days."""
HORIZON: Final = timedelta(days=BEFORE_MAX + 366)
"""So far ahead deadlines are looked for."""
BY_ITSELF: Final[dict[DeadlineKind, tuple[int, ...]]] = {
    DeadlineKind.NOTICE: (30, 7),
    DeadlineKind.END: (30,),
    DeadlineKind.MILESTONE: (7,),
}
"""Of what somebody is reminded, and how many days before, unless the contract says otherwise."""


@dataclass(frozen=True, slots=True, order=True)
class Reminder:
    """On `remind_on` somebody is reminded of a deadline."""

    deadline: Deadline
    remind_on: date


@dataclass(frozen=True, slots=True)
class Reminding:
    """The reminders that are due by a day, and when to look again. `next_on` None: nothing lies ahead."""

    due: tuple[Reminder, ...]
    next_on: date | None


def deadlines_of(contract: Standing, days: Days) -> list[Deadline]:
    """Every deadline of a contract in a stretch of days: of its terms, of items and milestones, and of payments.

    A payment is due so many days after what it is for fell due, as if that were invoiced on the day.
    """
    found = deadlines(contract.terms, contract.until, days)
    open_days = [(f"item:{each.id}", each.name, each.due_on) for each in contract.items]
    open_days += [
        (f"milestone:{each.id}", f"{each.split}: {each.name}", each.due_on)
        for each in contract.milestones
        if each.due_on is not None
    ]
    found += [Deadline(on, DeadlineKind.MILESTONE, f"{source} {name}") for source, name, on in open_days if on in days]
    paid = {(source, on) for source, _, on in open_days} | {(each.source, each.due_on) for each in contract.fallen_due}
    term = timedelta(days=contract.payment_days)
    found += [Deadline(on + term, DeadlineKind.PAYMENT, source) for source, on in paid if on + term in days]
    return sorted(found)


def remind(contract: Standing, today: date) -> Reminding:
    """Of each deadline from today on the newest reminder whose day has come; those that were missed before are not made up."""
    due: list[Reminder] = []
    looks: list[date] = []
    for deadline in deadlines_of(contract, Days(today, today + HORIZON)):
        days = _days(deadline, contract.remind_before.get(deadline.kind, ()))
        come = [day for day in days if day <= today]
        if come:
            due.append(Reminder(deadline, max(come)))
        looks += [day for day in days if day > today]
    if contract.until is None or contract.until > today:
        looks.append(today + HORIZON / 2)
    return Reminding(tuple(due), min(looks, default=None))


def _days(deadline: Deadline, before: Sequence[int]) -> list[date]:
    return [deadline.on - each * DAY for each in before]
