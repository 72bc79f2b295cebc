"""What sessions of the past would have cost by another tariff: their bills' own inputs, rated again. Changes nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from billing.bills.bill import BillInputs
from billing.bills.draft_terms import Billed, terms_for
from billing.bills.store import SQL
from billing.money import Money
from billing.policies import store as policy_store
from billing.rating.engine import rate
from billing.rating.policy import RatingPolicy
from billing.rating.terms import Terms, Undecided
from billing.rating.usage_check import UsageInvalid
from billing.sql import Connection
from billing.tariffs.tariff import Tariff, TaxIncluded
from billing.taxes.store import Bearer

AT_A_TIME = 500
"""So many bills are in memory at once."""


class GroupBy(StrEnum):
    """By what the differences are added up."""

    SESSION = "session"
    SITE = "site"
    TOKEN_GROUP = "token_group"  # noqa: S105 - a group of cards, no secret
    USER_CLASS = "user_class"
    TARIFF = "tariff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Ended sessions with a bill: from `since` to before `until`, of a site, billed by a tariff; None: of any."""

    since: datetime
    until: datetime
    site: str | None = None
    tariff: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """One session: what it was billed, and what the draft makes of it. `after` None: the draft cannot rate it."""

    session: int
    site: str
    token_group: str | None
    user_class: str | None
    tariff: str
    before: Money
    after: Money | None
    why_not: str | None = None


@dataclass(slots=True)
class Sum:
    """Of the sessions of one group; those that cannot be rated are counted and in no amount."""

    sessions: int = 0
    not_rated: int = 0
    before_minor: int = 0
    after_minor: int = 0
    dearer: int = 0
    cheaper: int = 0

    def add(self, each: Simulated) -> None:
        self.sessions += 1
        if each.after is None:
            self.not_rated += 1
            return
        self.before_minor += each.before.minor
        self.after_minor += each.after.minor
        self.dearer += each.after.minor > each.before.minor
        self.cheaper += each.after.minor < each.before.minor

    def to_dict(self, currency: str) -> dict[str, object]:
        return {
            "sessions": self.sessions,
            "before_incl_tax": Money(self.before_minor, currency).text,
            "after_incl_tax": Money(self.after_minor, currency).text,
            "difference_incl_tax": Money(self.after_minor - self.before_minor, currency).text,
            "currency": currency,
            "dearer": self.dearer,
            "cheaper": self.cheaper,
            "not_rated": self.not_rated,
        }


def key_of(each: Simulated, by: GroupBy) -> str | int | None:
    """Which group a session belongs to."""
    key: str | int | None = getattr(each, by.value)
    return key


async def count(connection: Connection, chosen: Selection, *, currency: str) -> int:
    """How many sessions a simulation will look at."""
    found: int = await SQL.count_bills_between.fetchval(connection, **_parameters(chosen, currency))
    return found


async def simulate(connection: Connection, draft: Tariff, chosen: Selection) -> AsyncIterator[Simulated]:
    """The sessions one after the other as they ended, in a transaction of the caller's."""
    policies: dict[int, RatingPolicy] = {}
    query = SQL.bills_between
    cursor = connection.cursor(query.sql, *query.args(_parameters(chosen, draft.currency)), prefetch=AT_A_TIME)
    rows: list[Any] = []
    async for row in cursor:
        rows.append(row)
        if len(rows) == AT_A_TIME:
            for each in await _rated(connection, draft, rows, policies):
                yield each
            rows = []
    for each in await _rated(connection, draft, rows, policies):
        yield each


async def _rated(
    connection: Connection, draft: Tariff, rows: Iterable[Any], policies: dict[int, RatingPolicy]
) -> list[Simulated]:
    billed = {row["session"]: (row, _billed(row)) for row in rows}
    terms = await terms_for(connection, draft, [each for _, each in billed.values()])
    found = []
    for session, (row, each) in billed.items():
        version = row["policy_version"]
        if version not in policies:
            policies[version] = await policy_store.rating_policy(connection, version)
        await asyncio.sleep(0)
        after, why_not = _outcome(each.inputs, draft, policies[version], terms[session])
        found.append(_simulated(row, after, why_not))
    return found


def _billed(row: Any) -> Billed:
    return Billed(
        session=row["session"],
        inputs=BillInputs.from_dict(json.loads(row["inputs"])),
        country=row["country"],
        bearer=Bearer(token=row["token"], token_group=row["group_id"]),
        started_at=row["started_at"],
        as_of=row["as_of"],
        tax_applied=row["tax_included"] != TaxIncluded.NOT_APPLICABLE.value,
    )


def _outcome(
    inputs: BillInputs, draft: Tariff, policy: RatingPolicy, terms: Terms | Undecided
) -> tuple[Money | None, str | None]:
    """The draft's total, or why there is none."""
    if isinstance(terms, Undecided):
        return None, terms.why
    try:
        return rate(inputs.usage, draft, policy, final=True, terms=terms).total_incl, None
    except UsageInvalid as wrong:
        return None, str(wrong.problems[0])


def _simulated(row: Any, after: Money | None, why_not: str | None) -> Simulated:
    return Simulated(
        session=row["session"],
        site=row["site"],
        token_group=row["group_id"],
        user_class=row["user_class"],
        tariff=row["tariff"],
        before=Money(row["total_incl_minor"], row["currency"]),
        after=after,
        why_not=why_not,
    )


def _parameters(chosen: Selection, currency: str) -> dict[str, object]:
    return {
        "since": chosen.since,
        "until": chosen.until,
        "site": chosen.site,
        "tariff": chosen.tariff,
        "currency": currency,
    }
