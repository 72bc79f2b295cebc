"""An operator's act: sessions without a final bill get another tariff, for the whole of them.

Downward only (RULES.md 15): what would cost more now stays as it is, and what would cost more later costs what it would
have (billing.bills.ceiling). A stated legal basis lifts both. Each change leaves a row; repeating the act changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

import asyncpg

from billing.bills import ceiling, store
from billing.bills.billable import SessionSource
from billing.bills.ceiling import Candidate, NoAmount
from billing.bills.store import SQL, RatingState
from billing.errors import NotFound, Refused
from billing.money import Money
from billing.policies import store as policy_store
from billing.policies.policies import Policies
from billing.sql import Connection
from billing.tariffs.assignment import TariffVersion
from billing.tariffs.service import require_site
from billing.tariffs.store import TariffCache

AT_A_TIME = 100
"""Sessions in one transaction; the worker waits for these alone."""


class Outcome(StrEnum):
    """What became of a session."""

    APPLIED = "applied"
    UNCHANGED = "unchanged"
    """It has that tariff."""
    UPWARD = "upward"
    """It would cost more: refused."""
    NOT_RATED = "not_rated"
    """No amounts to compare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSessions:
    """Sessions that have a tariff and no final bill: those of one tariff, of one site, or all."""

    tariff: str | None = None
    site: str | None = None

    def parameters(self) -> dict[str, object]:
        return {"tariff": self.tariff, "site": self.site}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalculation:
    """The act. `to`: a tariff and its version, None for the one in force now; None: each session's own tariff."""

    reason: str
    actor: str
    to: tuple[str, int | None] | None = None
    legal_basis: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalculated:
    """One session: what the customer pays, with tax, as of `as_of`. `after` None: there is nothing to compare, and `why_not` says why."""

    session: int
    charge_point: str
    had: TariffVersion
    gets: TariffVersion | None
    before: Money | None
    after: Money | None
    as_of: datetime
    outcome: Outcome
    why_not: str | None = None

    def to_dict(self) -> dict[str, object]:
        difference = None if self.before is None or self.after is None else self.after - self.before
        return {
            "session": self.session,
            "charge_point": self.charge_point,
            "tariff_before": self.had.tariff.id,
            "version_before": self.had.number,
            "tariff_after": None if self.gets is None else self.gets.tariff.id,
            "version_after": None if self.gets is None else self.gets.number,
            "before_incl_tax": None if self.before is None else self.before.text,
            "after_incl_tax": None if self.after is None else self.after.text,
            "difference_incl_tax": None if difference is None else difference.text,
            "currency": self.had.tariff.currency,
            "as_of": self.as_of,
            "outcome": self.outcome.value,
            "why_not": self.why_not,
        }


async def count_open(connection: Connection, chosen: OpenSessions) -> int:
    """How many sessions the act looks at."""
    found: int = await SQL.count_open_sessions.fetchval(connection, **chosen.parameters())
    return found


async def require_possible(connection: Connection, chosen: OpenSessions, act: Recalculation, now: datetime) -> None:
    """Refuse what no session could be given.

    Raises:
        Refused: no reason, an empty legal basis, or no version of the tariff that it names is in force.
        NotFound: no such site, tariff or version.
    """
    if not act.reason.strip():
        raise Refused("tariffs of open sessions are changed for a reason", "say why: --reason TEXT")
    if act.legal_basis is not None and not act.legal_basis.strip():
        raise Refused("the legal basis is empty", "name it, or leave --legal-basis out")
    if chosen.site is not None:
        await require_site(connection, chosen.site)
    for tariff in {chosen.tariff, None if act.to is None else act.to[0]} - {None}:
        if not (await TariffCache().all_of(connection, [str(tariff)]))[str(tariff)]:
            raise NotFound(f"no tariff {tariff}", "list them with csms tariff list")
    if act.to is not None and (await _target(connection, TariffCache(), act.to, now)) is None:
        tariff, number = act.to
        if number is None:
            raise Refused(f"no version of tariff {tariff} is in force now", f"name one: --to {tariff}:VERSION")
        raise NotFound(f"tariff {tariff} has no version {number}", f"see csms tariff show {tariff}")


async def recalculate(
    pool: asyncpg.Pool[Any],
    source: SessionSource,
    chosen: OpenSessions,
    act: Recalculation,
    *,
    now: datetime,
    dry_run: bool = False,
) -> AsyncIterator[list[Recalculated]]:
    """Batch by batch, each in a transaction of its own; with `dry_run` rolled back.

    Raises:
        Refused, NotFound: as `require_possible`, before anything is changed.
    """
    async with pool.acquire() as connection:
        await require_possible(connection, chosen, act, now)
    cache, after = TariffCache(), 0
    while True:
        async with pool.acquire() as connection:
            rows = await SQL.open_sessions.fetch(connection, **chosen.parameters(), after=after, limit=AT_A_TIME)
            if not rows:
                return
            sessions = [row["session"] for row in rows]
            after = sessions[-1]
            transaction = connection.transaction()
            await transaction.start()
            try:
                done = await _recalculate(connection, source, sessions, chosen, act, cache, now)
            except BaseException:
                await transaction.rollback()
                raise
            await (transaction.rollback() if dry_run else transaction.commit())
        yield done


async def _recalculate(
    connection: Connection,
    source: SessionSource,
    sessions: Sequence[int],
    chosen: OpenSessions,
    act: Recalculation,
    cache: TariffCache,
    now: datetime,
) -> list[Recalculated]:
    """Locked as the worker locks them, so that no bill is made between what is compared and what is stored."""
    states = [each for each in await store.lock_states(connection, sessions) if _is_open(each, chosen)]
    loaded = await source.load(connection, [each.session for each in states], now=now)
    states = [each for each in states if each.session in loaded and not loaded[each.session].dropped]
    policies = await policy_store.current(connection)
    versions = await ceiling.versions_of(connection, states, cache)
    gets = {each.session: await _target(connection, cache, act.to or _own(each), now) for each in states}
    wanted = {session: [each] for session, each in gets.items() if each is not None}
    may_price = await ceiling.candidates_of(connection, versions, loaded, now)
    would_price = await ceiling.candidates_of(connection, wanted, loaded, now)
    done: list[Recalculated] = []
    for state in states:
        await asyncio.sleep(0)
        [after] = would_price.get(state.session, [None])
        done.append(compared(may_price[state.session], after, policies, at_will=act.legal_basis is not None))
    await store.insert_recalculations(
        connection, [_row(each, act) for each in done if each.outcome is Outcome.APPLIED], now=now
    )
    return done


def _row(done: Recalculated, act: Recalculation) -> dict[str, object]:
    """As it is kept."""
    assert done.gets is not None, "what is applied is known"
    assert done.before is not None, "what is applied was compared"
    assert done.after is not None, "what is applied was compared"
    return {
        "session": done.session,
        "tariff_before": done.had.tariff.id,
        "version_before": done.had.number,
        "tariff_after": done.gets.tariff.id,
        "version_after": done.gets.number,
        "currency": done.after.currency,
        "before_minor": done.before.minor,
        "after_minor": done.after.minor,
        "as_of": done.as_of.isoformat(),
        "reason": act.reason,
        "legal_basis": act.legal_basis,
        "actor": act.actor,
    }


def _is_open(state: RatingState, chosen: OpenSessions) -> bool:
    """Still, now that it is locked."""
    fits = chosen.tariff is None or (state.tariff is not None and state.tariff[0] == chosen.tariff)
    return state.tariff is not None and state.next_at is not None and fits


def _own(state: RatingState) -> tuple[str, int | None]:
    assert state.tariff is not None, "only sessions with a tariff are looked at"
    return state.tariff[0], None


async def _target(
    connection: Connection, cache: TariffCache, to: tuple[str, int | None], now: datetime
) -> TariffVersion | None:
    """The version that is named, else the one that sessions which begin now get."""
    versions = (await cache.all_of(connection, [to[0]]))[to[0]]
    if to[1] is not None:
        return next((each for each in versions if each.number == to[1]), None)
    begun = [each for each in versions if each.valid_from <= now]
    return max(begun, key=lambda each: (each.valid_from, each.number), default=None)


def compared(
    may_price: Sequence[Candidate], gets: Candidate | None, policies: Policies, *, at_will: bool
) -> Recalculated:
    """Before and after. `may_price`: by the tariff that it has, and by those that it may not exceed; `at_will`: upward too."""
    had, session = may_price[0].version, may_price[0].session
    found = Recalculated(
        session=session.id, charge_point=session.charge_point, had=had, gets=None if gets is None else gets.version,
        before=None, after=None, as_of=session.as_of, outcome=Outcome.NOT_RATED,
    )  # fmt: skip
    if gets is None:
        return replace(found, why_not=f"no version of tariff {had.tariff.id} is in force now")
    tariff = gets.version.tariff
    if tariff.currency != session.currency:
        why = f"tariff {tariff.id} is in {tariff.currency}, site {session.site} in {session.currency}"
        return replace(found, why_not=why)
    try:
        before, after = ceiling.cheapest(may_price, policies).amount(policies), gets.amount(policies)
    except NoAmount as why_not:
        return replace(found, why_not=str(why_not))
    found = replace(found, before=before, after=after, outcome=Outcome.APPLIED)
    if (tariff.id, gets.version.number) == (had.tariff.id, had.number) and not (at_will and len(may_price) > 1):
        return replace(found, after=before, outcome=Outcome.UNCHANGED)
    if after.minor > before.minor and not at_will:
        return replace(found, outcome=Outcome.UPWARD, why_not=f"it would cost {(after - before).text} more")
    return found
