"""What becomes of a session now: nothing yet, a hold, an interim or the final bill. Decides only; knows no database.

RULES.md 14 (complete, then final), 16 (a held session bills nothing), 17 (interims) and 22 (one final bill).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Final

from billing.bills.bill import BillInputs, BillKind, BillSummary
from billing.bills.billable import BillableSession
from billing.bills.clock_doubt import doubt_of
from billing.bills.measuring import objection
from billing.bills.running import RunningSessions
from billing.money import Money
from billing.policies.interim import InterimPolicy
from billing.policies.policies import Policies
from billing.rating.engine import rate
from billing.rating.rating import Rating
from billing.rating.terms import NO_TERMS, Terms, Undecided
from billing.rating.usage_check import UsageInvalid
from billing.tariffs.assignment import Unresolved
from billing.tariffs.tariff import Tariff

RECHECK: Final = timedelta(hours=1)
"""How often a session that only a new fact or an operator can move is looked at again, should a signal be lost."""

PRICE_OUTLIER: Final = "price_outlier"
CLOCK_UNCERTAIN: Final = "clock_uncertain"
NOT_RATABLE: Final = "not_ratable"
"""The engine refuses the session's periods."""
UNPRICED: Final = "unpriced"
"""Complete, and token and EVSE were never both known."""
RATING_FAILED: Final = "rating_failed"
"""A bug of ours; the log has it."""
LATE_FACT: Final = "late_fact"
PROBLEMS_SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What has been billed and chosen for a session so far. `final`: the final bill, or the newest that corrects it.

    `ceiling`: what the session may cost by a limit; the interim that first comes to it is due at once.
    """

    interim: BillSummary | None = None
    final: BillSummary | None = None
    ceiling: Money | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Nothing to bill now; look again at `next_at` or when a fact arrives. `cost`: what it comes to, if it was rated."""

    next_at: datetime
    cost: Money | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Billing itself holds the session: it bills nothing until the reason is gone."""

    reason: str
    why: str
    next_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """A bill is due."""

    kind: BillKind
    rating: Rating
    inputs: BillInputs
    next_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """There is no session to bill; the gate or an operator says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """The final bill stands. `late` says what facts that came after it would change (RULES.md 14)."""

    late: str | None = None


Decision = Wait | Hold | Issue | Dropped | Settled


def decide(
    session: BillableSession,
    standing: Standing,
    tariff: Tariff | Unresolved | None,
    policies: Policies,
    now: datetime,
    *,
    terms: Terms | Undecided = NO_TERMS,
    running: RunningSessions | None = None,
) -> Decision:
    """What becomes of the session. `tariff` is None while it has no instant to be priced from.

    `terms` after the final bill are those that it was made by. `running` only saves work.
    """
    if standing.final is not None:
        return _after_final(session, standing.final, tariff, policies, terms)
    if session.dropped:
        return Dropped()
    complete = session.closed and session.complete_at is not None and session.complete_at <= now
    match tariff, terms:
        case (Unresolved() as missing, _) | (_, Undecided() as missing):
            return Hold(reason=missing.hold, why=missing.why, next_at=now + RECHECK)
        case Tariff() as known, Terms() as beside if not session.holds:
            return _rated(session, standing, known, policies, now, terms=beside, final=complete, running=running)
        case None, _ if complete and not session.holds:
            return Hold(reason=UNPRICED, why="token and EVSE were never both known", next_at=now + RECHECK)
        case _:
            return Wait(next_at=_next_look(session, now))


def _rated(
    session: BillableSession,
    standing: Standing,
    tariff: Tariff,
    policies: Policies,
    now: datetime,
    *,
    terms: Terms,
    final: bool,
    running: RunningSessions | None,
) -> Decision:
    rater = rate if running is None else partial(running.rate, session.id)
    try:
        rating = rater(session.usage, tariff, policies.rating, final=final, terms=terms)
    except UsageInvalid as wrong:
        why = "; ".join(str(problem) for problem in wrong.problems[:PROBLEMS_SHOWN])
        return Hold(reason=NOT_RATABLE, why=why, next_at=now + RECHECK)
    doubt = _doubted(session, tariff, policies, rating, terms)
    if doubt is not None:
        return Hold(reason=doubt[0], why=doubt[1], next_at=now + RECHECK)
    inputs = BillInputs.of(session, final=final, terms=terms)
    if final:
        return Issue(kind=BillKind.FINAL, rating=rating, inputs=inputs, next_at=None)
    thresholds = policies.interim.of(session.customer)
    every = thresholds.every
    if _interim_due(session, standing, rating, inputs, thresholds):
        next_at = _next_look(session, now, interval=every)
        return Issue(kind=BillKind.INTERIM, rating=rating, inputs=inputs, next_at=next_at)
    if session.closed:
        return Wait(next_at=_next_look(session, now), cost=rating.payable)
    left = every - _grown_for(session, standing.interim)
    next_at = _next_look(session, now, interval=left if left > timedelta(0) else every)
    return Wait(next_at=next_at, cost=rating.payable)


def _doubted(
    session: BillableSession, tariff: Tariff, policies: Policies, rating: Rating, terms: Terms
) -> tuple[str, str] | None:
    """Why a person must look at the amount first, unless one has: the hold's name, and the figures."""
    if rating.total_incl.decimal > policies.price_max and PRICE_OUTLIER not in session.released:
        return PRICE_OUTLIER, f"{rating.total_incl} is more than {policies.price_max}"
    against = objection(rating, session.measured)
    if against is not None:
        return against.reason, against.why
    if CLOCK_UNCERTAIN in session.released:
        return None
    why = doubt_of(session, tariff, policies, rating, terms)
    return None if why is None else (CLOCK_UNCERTAIN, why)


def _interim_due(
    session: BillableSession, standing: Standing, rating: Rating, inputs: BillInputs, thresholds: InterimPolicy
) -> bool:
    """Time, energy or amount have grown enough since the last interim, or it shows too much or by another tariff by now
    (RULES.md 17).

    Only while the session runs: one that has ended waits for its facts and gets its final bill next.
    """
    last = standing.interim
    if session.closed:
        return False
    if last is not None and (last.tariff, last.tariff_version) != (rating.tariff_id, rating.tariff_version):
        return True
    amount = rating.payable.decimal
    last_amount = Decimal(0) if last is None else last.payable.decimal
    if standing.ceiling is not None and amount >= standing.ceiling.decimal > last_amount:
        return True
    energy_wh = session.energy_wh - (Decimal(0) if last is None else last.energy_wh)
    moved = (
        amount < last_amount
        or _grown_for(session, last) >= thresholds.every
        or energy_wh >= thresholds.every_wh
        or amount - last_amount >= thresholds.every_amount
    )
    return moved and (last is None or last.inputs_hash != inputs.hash)  # the hash is of all periods: looked at last


def _grown_for(session: BillableSession, last: BillSummary | None) -> timedelta:
    """How long the session has run since the last interim, at first since its start; all on the charge point's clock."""
    periods = session.usage.periods
    if last is None and not periods:
        return timedelta(0)
    return session.as_of - (periods[0].start if last is None else last.as_of)


def _next_look(session: BillableSession, now: datetime, *, interval: timedelta = RECHECK) -> datetime:
    """When to look again without a signal: after `interval`, or when the facts count as complete."""
    later = now + interval
    if session.closed and session.complete_at is not None and session.complete_at > now:
        return min(later, session.complete_at)
    return later


def _after_final(
    session: BillableSession,
    final: BillSummary,
    tariff: Tariff | Unresolved | None,
    policies: Policies,
    terms: Terms | Undecided,
) -> Settled:
    """The bill stays as it is; what would differ is said."""
    if not isinstance(tariff, Tariff) or isinstance(terms, Undecided):
        return Settled()
    if BillInputs.of(session, final=True, terms=terms).hash == final.inputs_hash:
        return Settled()
    energy_kwh = (session.energy_wh - final.energy_wh).scaleb(-3)
    try:
        rating = rate(session.usage, tariff, policies.rating, final=True, terms=terms)
    except UsageInvalid:
        return Settled(late=f"{LATE_FACT}: {energy_kwh:+.3f} kWh, and what is known now cannot be rated")
    amount = rating.total_incl - final.total_incl
    sign = "" if amount.minor < 0 else "+"
    return Settled(late=f"{LATE_FACT}: {energy_kwh:+.3f} kWh, {sign}{amount.text} {amount.currency}")
