"""Stored sessions against their facts, folded anew. Changes nothing.

A fold looks at the clock only for what waits for time, and at the limits that were in force. So a row is right if its
facts give it now, or gave it when it was folded; what time or a new limit has made of it since, the next fold says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from billing import Queries
from csms.sessions.policy import ReviewPolicy
from csms.sessions.projection import folded_from, projection_of
from csms.sessions.service import with_waits
from csms.sessions.store import SessionFacts, load_facts
from csms.settings import Settings
from csms.verification.difference import Difference, differing

SQL = Queries.load(__package__)
REBUILD = "csms db rebuild --dry-run, then without it"
DEFECT = "this is a defect of csms: report it with csms session facts {session}"


@dataclass(frozen=True, slots=True)
class _InForce:
    """A version of the review policy, from when on it was stored."""

    policy: ReviewPolicy
    since: datetime


@dataclass(frozen=True, slots=True)
class Limits:
    """Every version of the review policy with the waits of this installation, oldest first; nodes take up a new one within
    `taken_up`.
    """

    versions: tuple[_InForce, ...]
    taken_up: timedelta

    @classmethod
    async def read(cls, connection: Any, settings: Settings) -> Limits:
        rows = await SQL.review_policies.fetch(connection)
        versions = [_InForce(with_waits(_policy(row), settings), row["created_at"]) for row in rows]
        default = _InForce(with_waits(ReviewPolicy(), settings), datetime.min.replace(tzinfo=UTC))
        return cls(tuple(versions) or (default,), timedelta(seconds=2 * settings.sweep_interval_s))

    @property
    def newest(self) -> ReviewPolicy:
        return self.versions[-1].policy

    def at(self, then: datetime) -> list[ReviewPolicy]:
        """Those by which a fold may have judged then, most likely first."""
        found: list[ReviewPolicy] = []
        for instant in (then, then - self.taken_up):
            known = [each.policy for each in self.versions if each.since <= instant] or [self.versions[0].policy]
            if known[-1] not in found:
                found.append(known[-1])
        return found


def _policy(row: asyncpg.Record) -> ReviewPolicy:
    return replace(ReviewPolicy.from_dict(row["body"]), version=row["version"])


async def compared(
    connection: Any, rows: Sequence[asyncpg.Record], limits: Limits, *, now: datetime
) -> list[Difference]:
    """What differs in these rows; those of which new facts wait are none of them."""
    found = await load_facts(connection, [row["id"] for row in rows], now=now)
    differences: list[Difference] = []
    for row in rows:
        facts = found.get(row["id"])
        if facts is None:
            differences += _without_facts(row)
            continue
        first = list(_differences(row, facts, limits.newest, now=now))
        if first and not await _was_right(connection, row, limits):
            differences += first
    return differences


def _without_facts(row: asyncpg.Record) -> list[Difference]:
    if row["projected_at"] is None:
        return []
    return [
        Difference(
            session=row["id"],
            what="facts",
            stored=f"folded at {row['projected_at'].isoformat()}",
            recomputed="there are none",
            next_step="facts are never deleted by csms: restore a backup that has them (csms db restore)",
        )
    ]


async def _was_right(connection: Any, row: asyncpg.Record, limits: Limits) -> bool:
    """Whether the row is what its facts gave when it was folded."""
    then = row["projected_at"]
    if then is None:
        return False
    facts = (await load_facts(connection, [row["id"]], now=then))[row["id"]]
    facts.online = [
        replace(each, until=None if each.until is None or each.until > then else each.until)
        for each in facts.online
        if each.since <= then
    ]
    return any(not list(_differences(row, facts, policy, now=then)) for policy in limits.at(then))


def _differences(
    row: asyncpg.Record, facts: SessionFacts, policy: ReviewPolicy, *, now: datetime
) -> Iterator[Difference]:
    session = row["id"]
    try:
        projection = projection_of(facts, folded_from(facts, policy, now=now))
    except Exception as trouble:  # noqa: BLE001 - one that our code fails on must not keep the others from being compared
        yield Difference(
            session=session,
            what="fold",
            stored="rating_failed" if "rating_failed" in row["holds"] else "folded",
            recomputed=f"{type(trouble).__name__}: {trouble}",
            next_step=DEFECT.format(session=session),
        )
        return
    for name, stored, recomputed in differing(row, projection):
        yield Difference(session=session, what=name, stored=stored, recomputed=recomputed, next_step=REBUILD)
