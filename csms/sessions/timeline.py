"""States of a session in time, from events or status reports; the stay after its end. Knows no energy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from csms.protocol.vocabulary import DEPARTED, ChargingState, EventKind
from csms.sessions.clock import is_plausible
from csms.sessions.facts import OnlineSpan, StoredEvent, StoredStatus, Surroundings
from csms.sessions.session import Activity, StateChange

AVAILABLE = "Available"
_OCCUPIED = frozenset({"Preparing", "Charging", "SuspendedEV", "SuspendedEVSE", "Finishing", "Occupied"})
_BY_STATUS = {
    "Preparing": Activity.CONNECTED,
    "Charging": Activity.CHARGING,
    "SuspendedEV": Activity.SUSPENDED_EV,
    "SuspendedEVSE": Activity.SUSPENDED_EVSE,
    "Finishing": Activity.FINISHING,
}
_BY_STATE = {
    ChargingState.EV_CONNECTED: Activity.CONNECTED,
    ChargingState.CHARGING: Activity.CHARGING,
    ChargingState.SUSPENDED_EV: Activity.SUSPENDED_EV,
    ChargingState.SUSPENDED_EVSE: Activity.SUSPENDED_EVSE,
    ChargingState.IDLE: Activity.IDLE,
}
_UNPLUGGED_REASON = "EVDisconnected"
_UNPLUGGED_TRIGGERS = frozenset({DEPARTED, "EVCommunicationLost"})
_LEFT = "left"
"""Beside statuses: the charge point said that the vehicle has gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """What follows the end: the unplugging, and the span in which occupation is proven (RULES.md 18)."""

    released_at: datetime | None = None
    idle_from: datetime | None = None
    idle_until: datetime | None = None


def instant(status: StoredStatus) -> datetime:
    """When a status was: its own stamp where that can be, else its arrival."""
    return status.at if status.at is not None and is_plausible(status.at, status.received_at) else status.received_at


def states(
    events: Sequence[StoredEvent],
    around: Surroundings,
    *,
    started_at: datetime,
    ended_at: datetime | None,
) -> tuple[StateChange, ...]:
    """The session's states in time order from its start on; equal neighbours are one.

    2.x says them in events. 1.6 has only the status reports of the EVSE; of those before the start the newest that can
    belong to this session opens the row.
    """
    if any(each.event.seq_no is not None for each in events):
        spoken = _spoken(events)
    else:
        previous_end = None if around.previous is None else around.previous.ended_at
        spoken = _reported(around.statuses, started_at, previous_end)
    until = _bound(around, ended_at)
    row: list[StateChange] = []
    charged = False
    for at, activity in spoken:
        if until is not None and at >= until:
            break
        charged = charged or activity is Activity.CHARGING
        # After charging, "connected" means that the driver has finished and the cable is still in.
        meant = Activity.FINISHING if activity is Activity.CONNECTED and charged else activity
        change = StateChange(at=max(at, started_at), activity=meant)
        if row and row[-1].at == change.at:
            row.pop()
        if not row or row[-1].activity is not change.activity:
            row.append(change)
    return tuple(row)


def _bound(around: Surroundings, ended_at: datetime | None) -> datetime | None:
    if ended_at is not None:
        return ended_at
    return None if around.following is None else around.following.started_at


def _spoken(events: Sequence[StoredEvent]) -> list[tuple[datetime, Activity]]:
    told = [
        each.event
        for each in events
        if each.event.charging_state is not None and each.event.kind is not EventKind.ENDED
    ]
    told.sort(key=lambda event: (event.at, event.seq_no or 0, event.key))
    return [(event.at, _BY_STATE[event.charging_state]) for event in told if event.charging_state is not None]


def _reported(
    statuses: Sequence[StoredStatus], started_at: datetime, previous_end: datetime | None
) -> list[tuple[datetime, Activity]]:
    row = [
        (at, _BY_STATUS.get(status)) for at, _, status in ordered(statuses) if previous_end is None or at > previous_end
    ]
    opening = [(at, activity) for at, activity in row if at <= started_at][-1:]
    later = [(at, activity) for at, activity in row if at > started_at]
    if opening and opening[0][1] is Activity.FINISHING:
        opening = []  # the vehicle before
    return [(at, activity) for at, activity in [*opening, *later] if activity is not None]


def ordered(statuses: Sequence[StoredStatus]) -> list[tuple[datetime, datetime, str]]:
    """Instant, arrival and word of each status, once, in order of time and then of arrival."""
    return sorted({(instant(each), each.received_at, each.status) for each in statuses})


def stay(
    events: Sequence[StoredEvent],
    stop: StoredEvent | None,
    around: Surroundings,
    *,
    started_at: datetime,
    ended_at: datetime,
) -> Stay:
    """What is known of the time after `ended_at`; nothing of it reaches into the next session.

    Some charge points say Available before they stop the transaction: then the vehicle left at the end. Some 1.6 ones
    say of the transaction itself that its vehicle has left.
    """
    until = None if around.following is None else around.following.started_at
    row = [(at, status) for at, _, status in ordered(around.statuses) if until is None or at < until]
    left_at = _left_at(events)
    if (stop is not None and _unplugged_by(stop)) or (left_at is not None and left_at <= ended_at):
        return Stay(released_at=ended_at)
    before = [status for at, status in row if at <= ended_at]
    within = [status for at, status in row if started_at < at <= ended_at]
    after = [(at, status) for at, status in row if at > ended_at]
    if within and within[-1] == AVAILABLE:
        return Stay(released_at=ended_at)
    if left_at is not None and (until is None or left_at < until):
        after = sorted([*after, (left_at, _LEFT)], key=lambda each: each[0])
    released_at = next((at for at, status in after if status in {AVAILABLE, _LEFT}), None)
    if before and before[-1] in _OCCUPIED:
        after.insert(0, (ended_at, before[-1]))
    idle_from = next((at for at, status in after if status in _OCCUPIED), None)
    if idle_from is None or (released_at is not None and released_at <= idle_from):
        return Stay(released_at=released_at)
    return _proven(idle_from, after, around.online, released_at=released_at, until=until)


def _left_at(events: Sequence[StoredEvent]) -> datetime | None:
    """When the vehicle left, as a 1.6 charge point told of its transaction; the first time counts."""
    told = [
        each.event.at if is_plausible(each.event.at, each.received_at) else each.received_at
        for each in events
        if each.event.seq_no is None and each.event.kind is EventKind.UPDATED and each.event.trigger == DEPARTED
    ]
    return min(told, default=None)


def _unplugged_by(stop: StoredEvent) -> bool:
    event = stop.event
    return event.stopped_reason == _UNPLUGGED_REASON or event.trigger in _UNPLUGGED_TRIGGERS


def _proven(
    idle_from: datetime,
    after: list[tuple[datetime, str]],
    online: Sequence[OnlineSpan],
    *,
    released_at: datetime | None,
    until: datetime | None,
) -> Stay:
    """Occupation ends at the first status that does not say so, at a disconnect, at the next session."""
    socket = next(
        (each for each in online if each.since <= idle_from and (each.until is None or each.until > idle_from)), None
    )
    if socket is None:
        return Stay(released_at=released_at)
    ends = [at for at, status in after if at > idle_from and status not in _OCCUPIED]
    bounds = [*ends[:1], *(each for each in (socket.until, until) if each is not None)]
    return Stay(released_at=released_at, idle_from=idle_from, idle_until=min(bounds) if bounds else None)
