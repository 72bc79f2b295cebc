"""A session as rows of periods: what the rating engine gets. Knows no tariff."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise

from billing import Period, PeriodKind, Usage
from csms.sessions.facts import Surroundings
from csms.sessions.samples import WH_STEP
from csms.sessions.session import Activity, PowerPoint, RegisterPoint, Session
from csms.sessions.spans import later, seconds_between

PARKING = frozenset({Activity.SUSPENDED_EV, Activity.FINISHING, Activity.IDLE})
"""The vehicle asks for no power (OCPI 2.3.0-ed2 mod_cdrs); that the station withholds it, or says nothing, is TIME."""


def as_of(session: Session, around: Surroundings, *, now: datetime) -> datetime | None:
    """The instant up to which an interim amount may count (RULES.md 17), the end where it is known.

    Now, while the socket lives and the transaction is known to be open; else no later than the newest fact. What came
    from a queue does not tell that it still is.
    """
    if session.ended_at is not None:
        return session.ended_at
    alive = any(each.until is None for each in around.online)
    if session.last_fact_at is None or (alive and session.is_live and now > session.last_fact_at):
        return now
    return session.last_fact_at


def usage(session: Session, *, as_of: datetime, parking: frozenset[Activity] = PARKING) -> Usage:
    """The session up to `as_of`, cut at every register reading and every change of state.

    A reservation that was used stands first. The other periods tile the time from `priced_from` without gap or overlap, and their energies add up to the session's
    energy at `as_of` exactly; what flowed before `priced_from` stands in the first. Where the state changes between two
    readings the energy is interpolated. Time of which no register tells has no energy.
    """
    if session.reserved is not None and not session.reserved.used:
        return Usage(time_zone=session.time_zone, periods=tuple(_reserved(session)))
    start = session.priced_from
    if start is None or (session.ended_at is None and as_of <= start):
        return Usage(time_zone=session.time_zone, periods=())
    end = as_of if session.ended_at is None else min(as_of, session.ended_at)
    cuts = _cuts(session, start, max(start, end))
    periods = _periods(session, cuts, horizon=end, parking=parking)
    return Usage(time_zone=session.time_zone, periods=(*_reserved(session), *periods))


def _reserved(session: Session) -> Iterator[Period]:
    """What was kept for the driver comes before the session, and is billed with it; or alone, if nobody came."""
    kept = session.reserved
    if kept is not None:
        kind = PeriodKind.RESERVATION if kept.used else PeriodKind.RESERVATION_EXPIRED
        yield Period(kind=kind, start=kept.since, end=kept.until)


def shifted(usage: Usage, by: timedelta) -> Usage:
    """The same, so much later by every clock."""
    if not by:
        return usage
    moved = tuple(replace(each, start=later(each.start, by), end=later(each.end, by)) for each in usage.periods)
    return replace(usage, periods=moved)


def energy_wh_of(usage: Usage) -> Decimal:
    """The energy in all periods, Wh."""
    return sum((period.energy_wh for period in usage.periods if period.energy_wh is not None), Decimal(0))


def _cuts(session: Session, start: datetime, end: datetime) -> list[datetime]:
    """Instants in order; the first and the last are `start` and `end`, which may be the same."""
    inner = {point.at for point in session.points} | {change.at for change in session.states}
    return [start, *sorted(at for at in inner if start < at < end), end]


def _periods(
    session: Session, cuts: list[datetime], *, horizon: datetime, parking: frozenset[Activity]
) -> list[Period]:
    energies = _energies(session.points, cuts, horizon)
    changes = [change.at for change in session.states]
    powers = [point.at for point in session.powers]
    rows: list[Period] = []
    for index, (start, end) in enumerate(pairwise(cuts)):
        energy = energies[index + 1] - (energies[index] if index else Decimal(0))
        known = energy > 0 or any(point.at <= start for point in session.points[:1])
        beyond = not session.points or (start >= session.points[-1].at and energy == 0)
        state = bisect_right(changes, start) - 1
        power, current = _measured(session.powers, powers, start, end)
        rows.append(
            Period(
                kind=PeriodKind.PARKING
                if state >= 0 and session.states[state].activity in parking
                else PeriodKind.CHARGING,
                start=start,
                end=end,
                energy_wh=None if beyond or not known else energy,
                power_w=power,
                current_a=current,
            )
        )
    return rows


def _energies(points: Sequence[RegisterPoint], cuts: list[datetime], horizon: datetime) -> list[Decimal]:
    """Energy since the begin at each cut, Wh in three decimals; at the last cut that of `horizon`."""
    found: list[Decimal] = []
    index = -1
    for position, cut in enumerate(cuts):
        # A session that ended before it could be priced has one period without length: it holds all the energy.
        at = max(cut, horizon) if position == len(cuts) - 1 else cut
        while index + 1 < len(points) and points[index + 1].at <= at:
            index += 1
        found.append(_interpolated(points, index, at))
    return found


def _interpolated(points: Sequence[RegisterPoint], index: int, at: datetime) -> Decimal:
    if index < 0:
        return Decimal(0)
    point = points[index]
    if index + 1 == len(points):
        return point.energy_wh
    after = points[index + 1]
    share = seconds_between(point.at, at) / seconds_between(point.at, after.at)
    energy = point.energy_wh + (after.energy_wh - point.energy_wh) * share
    return energy.quantize(WH_STEP, rounding=ROUND_HALF_UP)


def _measured(
    points: Sequence[PowerPoint], instants: list[datetime], start: datetime, end: datetime
) -> tuple[Decimal | None, Decimal | None]:
    """Power and current last measured within (start, end], else at `start` itself."""
    power = current = None
    index = bisect_right(instants, end) - 1
    while index >= 0 and instants[index] >= start and (power is None or current is None):
        power = points[index].power_w if power is None else power
        current = points[index].current_a if current is None else current
        index -= 1
    return power, current
