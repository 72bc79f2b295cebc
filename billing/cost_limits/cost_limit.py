"""What a session may cost: limits in money and the one rule by which they meet (RULES.md 17). Knows no database.

A limit is of a session, a token or a token group. Of each of them the newest that has begun counts; of those the one
that leaves the session least decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from billing.money import Money


class LimitScope(StrEnum):
    """Whose sessions a limit is for, narrowest first."""

    SESSION = "session"
    TOKEN = "token"  # noqa: S105 - a driver's card, no secret
    TOKEN_GROUP = "token_group"  # noqa: S105 - no secret either


@dataclass(frozen=True, slots=True, kw_only=True)
class CostLimit:
    """From `valid_from` on, a session of `target` may cost `amount`, tax included; None ends the limit.

    `is_total`: all its sessions together, those that had ended by then excepted.
    """

    id: int
    scope: LimitScope
    target: str
    amount: Money | None
    is_total: bool
    valid_from: datetime
    reason: str
    actor: str
    entered_at: datetime

    @property
    def slot(self) -> tuple[LimitScope, str]:
        """What a later limit of the same replaces."""
        return self.scope, self.target

    def to_dict(self) -> dict[str, object]:
        """As a list shows it."""
        return {
            "id": self.id,
            "scope": self.scope,
            "target": self.target,
            "amount": None if self.amount is None else self.amount.text,
            "currency": None if self.amount is None else self.amount.currency,
            "total": self.is_total,
            "valid_from": self.valid_from,
            "reason": self.reason,
            "actor": self.actor,
            "entered_at": self.entered_at,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """What a session may cost in its own currency, and by which limit.

    A limit in another currency leaves nothing: nobody can say what it is worth there.
    """

    limit: CostLimit
    amount: Money

    def reached_by(self, cost: Money) -> bool:
        """A session that costs exactly so much has reached it."""
        return (cost - self.amount).minor >= 0


def in_force(limits: Iterable[CostLimit], *, at: datetime) -> list[CostLimit]:
    """Of each session, token and group the newest limit that has begun, unless that one says that there is none."""
    newest: dict[tuple[LimitScope, str], CostLimit] = {}
    for each in sorted(limits, key=lambda limit: (limit.valid_from, limit.id)):
        if each.valid_from <= at:
            newest[each.slot] = each
    return [each for each in newest.values() if each.amount is not None]


def next_change(limits: Iterable[CostLimit], *, after: datetime) -> datetime | None:
    """When the next limit begins or ends, if one does."""
    return min((each.valid_from for each in limits if each.valid_from > after), default=None)


def ceiling_of(limits: Iterable[CostLimit], *, currency: str, spent_minor: Mapping[int, int]) -> Ceiling | None:
    """The least that limits in force leave a session. `spent_minor`: by total limit, what other sessions have cost."""
    ceilings = [_ceiling(each, currency, spent_minor.get(each.id, 0)) for each in limits]
    return min(ceilings, key=_rank, default=None)


def _ceiling(limit: CostLimit, currency: str, spent_minor: int) -> Ceiling:
    assert limit.amount is not None, "a limit that has ended is not in force"
    left = limit.amount.minor - (spent_minor if limit.is_total else 0)
    is_worth_something = limit.amount.currency == currency and left > 0
    return Ceiling(limit=limit, amount=Money(left if is_worth_something else 0, currency))


def _rank(ceiling: Ceiling) -> tuple[int, int, int]:
    """The lower amount first; of equal ones the narrower limit, then the earlier."""
    return ceiling.amount.minor, list(LimitScope).index(ceiling.limit.scope), ceiling.limit.id
