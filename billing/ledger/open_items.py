"""What others owe us, document by document, and since when it is due."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from billing.ledger.entry import OPEN_ITEM_KINDS, AccountKind, LedgerAccount
from billing.ledger.store import SQL
from billing.money import Money
from billing.sql import Connection


class Age(StrEnum):
    """How long ago something was due, in days."""

    NOT_DUE = "not_due"
    UP_TO_30 = "1-30"
    UP_TO_60 = "31-60"
    UP_TO_90 = "61-90"
    OVER_90 = "over_90"


_LIMITS: Final = ((0, Age.NOT_DUE), (30, Age.UP_TO_30), (60, Age.UP_TO_60), (90, Age.UP_TO_90))


def age_of(days_overdue: int) -> Age:
    """On the day itself something is not due yet."""
    return next((age for limit, age in _LIMITS if days_overdue <= limit), Age.OVER_90)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenItem:
    """What is open of a document: below zero where more was paid. `document` None: paid for none, or not yet for one."""

    account: LedgerAccount
    document: str | None
    opened_on: date
    due_on: date
    currency: str
    open_minor: int

    def days_overdue(self, as_of: date) -> int:
        """Below zero: so many days are left."""
        return (as_of - self.due_on).days

    def to_dict(self, as_of: date) -> dict[str, object]:
        overdue = self.days_overdue(as_of)
        return {
            "account": self.account.kind,
            "owner": self.account.owner,
            "document": self.document,
            "opened_on": self.opened_on,
            "due_on": self.due_on,
            "days_overdue": max(overdue, 0),
            "age": age_of(overdue),
            "open": Money(self.open_minor, self.currency).text,
            "currency": self.currency,
        }


async def open_items(connection: Connection, seller: str, *, as_of: date, owner: str | None = None) -> list[OpenItem]:
    """What is not settled of all that is booked up to a day. What has no due date was due when it came about."""
    rows = await SQL.open_items.fetch(
        connection, seller=seller, as_of=as_of, owner=owner, kinds=[each.value for each in OPEN_ITEM_KINDS]
    )
    return [
        OpenItem(
            account=LedgerAccount(AccountKind(row["kind"]), row["owner"]),
            document=row["document"],
            opened_on=row["opened_on"],
            due_on=row["due_on"] or row["opened_on"],
            currency=row["currency"],
            open_minor=row["open_minor"],
        )
        for row in rows
    ]


def ageing(items: Iterable[OpenItem], as_of: date) -> list[dict[str, object]]:
    """A row for each who owes and each currency: how much of what age, and all together."""
    found: dict[tuple[str, str, str], dict[Age, int]] = {}
    for each in items:
        key = (each.account.kind.value, each.account.owner, each.currency)
        ages = found.setdefault(key, dict.fromkeys(Age, 0))
        ages[age_of(each.days_overdue(as_of))] += each.open_minor
    return [
        {
            "account": kind,
            "owner": owner,
            **{age.value: Money(minor, currency).text for age, minor in ages.items()},
            "total": Money(sum(ages.values()), currency).text,
            "currency": currency,
        }
        for (kind, owner, currency), ages in sorted(found.items())
    ]
