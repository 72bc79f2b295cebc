"""The stay after the transaction's end, where the tariff or the charge point says that it is rated (RULES.md 18). Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from billing.bills.billable import BillableSession
from billing.rating.usage import Period, PeriodKind
from billing.tariffs.idle import IdleAfterStop

_END_OF_TIME = datetime.max.replace(tzinfo=UTC)


def with_stay(session: BillableSession, tariff: IdleAfterStop | None, now: datetime) -> BillableSession:
    """The session as it is billed: it closes when the stay does, and what is proven of that is parking.

    The tariff's word goes before the charge point's: it is what the driver was told. While the stay goes on the session
    counts as complete only when it is over at the latest, and what is past of it is parking.
    """
    idle = tariff or session.idle
    if idle is None or session.ended_at is None or session.stay is None or session.stay.since is None:
        return session
    ends = [_later(session.stay.since, idle.longest)]
    if session.stay.until is not None:
        ends.append(session.stay.until)
    closed_at = min(ends)
    parked = _parked(session, session.stay.since, min(closed_at, now))
    return replace(
        session,
        complete_at=None if session.complete_at is None else max(session.complete_at, closed_at),
        as_of=max(session.as_of, closed_at),
        usage=replace(session.usage, periods=(*session.usage.periods, *parked)),
    )


def _later(at: datetime, span: timedelta) -> datetime:
    """`at + span`; the end of time where a charge point's clock leaves no room for it."""
    return at + min(span, _END_OF_TIME - at)


def _parked(session: BillableSession, since: datetime, until: datetime) -> list[Period]:
    if session.priced_from is None:
        return []
    since = max(session.priced_from, since)
    return [Period(kind=PeriodKind.PARKING, start=since, end=until, energy_wh=Decimal(0))] if since < until else []
