"""A period closed in one act: what ended in it is billed as far as it may be, and every session and kWh is accounted for.

Repeating it changes nothing: what is billed stays billed, and what waits is looked at again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import asyncpg

from billing.bills.bill import CommittedBill
from billing.bills.billable import SessionSource
from billing.bills.service import BillingService
from billing.bills.store import SQL
from billing.money import Money
from billing.sql import Connection

AT_A_TIME = 200
"""Sessions in one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """Whole days, both included, by the wall clock of each site; `site` None: of all."""

    first: date
    last: date
    site: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The sessions of one site that ended in the period: each is in exactly one state, each kWh of a meter too.

    `unrated`: held for want of a price. `waiting`: facts may still come. `kwh_metered` is what begin and end registers of
    the sessions say; `kwh_between` is what the meters counted between them, in no session at all.
    """

    site: str
    currency: str
    ended: int
    billed: int
    corrected: int
    held: int
    unrated: int
    waiting: int
    dropped: int
    orphans: int
    kwh_metered: Decimal
    kwh_billed: Decimal
    kwh_held: Decimal
    kwh_dropped: Decimal
    kwh_between: Decimal
    total_excl: Money
    total_incl: Money

    @property
    def kwh_unexplained(self) -> Decimal:
        """What the meters say and no state accounts for; anything but 0 is worth a look."""
        return self.kwh_metered - self.kwh_billed - self.kwh_held - self.kwh_dropped

    def to_dict(self) -> dict[str, object]:
        return {
            "site": self.site,
            "ended": self.ended,
            "billed": self.billed,
            "corrected": self.corrected,
            "held": self.held,
            "unrated": self.unrated,
            "waiting": self.waiting,
            "dropped": self.dropped,
            "orphans": self.orphans,
            "kwh_metered": self.kwh_metered,
            "kwh_billed": self.kwh_billed,
            "kwh_held": self.kwh_held,
            "kwh_dropped": self.kwh_dropped,
            "kwh_unexplained": self.kwh_unexplained,
            "kwh_between": self.kwh_between,
            "total_excl_tax": self.total_excl.text,
            "total_incl_tax": self.total_incl.text,
            "currency": self.currency,
        }


async def count_unbilled(connection: Connection, days: Days) -> int:
    """Sessions of the period that have no final bill yet and may get one."""
    found: int = await SQL.count_unbilled.fetchval(connection, **_parameters(days))
    return found


async def bill_period(
    pool: asyncpg.Pool[Any], source: SessionSource, days: Days, *, now: datetime
) -> AsyncIterator[tuple[int, list[CommittedBill]]]:
    """Settle what ended in the period, a batch at a time: how many sessions were looked at, and their new bills."""
    billing = BillingService(pool, source)
    async for sessions in unbilled_batches(pool, days):
        yield len(sessions), await billing.settle(sessions, now)


async def unbilled_batches(pool: asyncpg.Pool[Any], days: Days) -> AsyncIterator[list[int]]:
    """Sessions of the period without a final bill, in the order of their ends; none of them twice."""
    after: tuple[datetime | None, int] = (None, 0)
    while True:
        async with pool.acquire() as connection:
            rows = await SQL.unbilled_of.fetch(
                connection, **_parameters(days), after=after[0], after_session=after[1], limit=AT_A_TIME
            )
        if not rows:
            return
        after = (rows[-1]["ended_at"], rows[-1]["id"])
        yield [row["id"] for row in rows]


async def accounts(connection: Connection, days: Days) -> list[Account]:
    """Each site of which a session ended in the period, or a stop came that fits no session."""
    return [_account(row) for row in await SQL.accounts_of.fetch(connection, **_parameters(days))]


def _account(row: asyncpg.Record) -> Account:
    currency = row["currency"]
    counted = {name: row[name] for name in ("ended", "billed", "corrected", "held", "unrated", "waiting", "dropped")}
    kwh = {f"kwh_{name}": row[f"wh_{name}"].scaleb(-3) for name in ("metered", "billed", "held", "dropped", "between")}
    return Account(
        site=row["site"],
        currency=currency,
        orphans=row["orphans"],
        total_excl=Money(row["excl_minor"], currency),
        total_incl=Money(row["incl_minor"], currency),
        **counted,
        **kwh,
    )


def _parameters(days: Days) -> dict[str, object]:
    return {"first": days.first, "last": days.last, "site": days.site}
