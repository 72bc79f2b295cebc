"""A site as its books show it: its EVSEs, what they were told, the vehicles there. Reads only; decides nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_CEILING
from typing import Any
from zoneinfo import ZoneInfo

from asyncpg import Record

from billing import NotFound, Queries, zone_named
from csms.nodes.routing import command_from_json
from csms.protocol.blocks.charging_profile import Purpose
from csms.protocol.blocks.charging_profile_rules import Abilities
from csms.protocol.blocks.smart_charging import ClearChargingProfile, SetChargingProfile
from csms.protocol.vocabulary import Protocol
from csms.sessions.records import sample_from_row
from csms.site_limits.allocation import Key
from csms.site_limits.appetite import Draw, draw_of, is_resting, wants_a
from csms.site_limits.exposure import UNABLE, Place, Reach, Slot, Step, Told, told
from csms.site_limits.grid import SiteLimit, limit_from_row
from csms.site_limits.plan import Stay
from csms.site_limits.profiles import Target, cannot, set_limit
from csms.site_limits.wiring import Outlet, Via, Wiring, outlet_of
from csms.smart_charging.abilities import NAMES, abilities_of
from csms.smart_charging.installed import Installed, installed

SQL = Queries.load(__package__)
READINGS_MAX = 4
DRAW_AGE_MAX = timedelta(minutes=30)
_ABILITY_NAMES = [name for names in NAMES.values() for name in names]
_CONNECTORS = "NumberOfConnectors"
_DIGITS_MAX = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Vehicle:
    """A session that runs on an EVSE, and what flows there as far as readings tell."""

    session: int
    transaction: str
    began_at: datetime
    state: str | None
    draws: Sequence[Draw] = ()

    def draw(self, now: datetime) -> Draw | None:
        """The newest, if it is not too old to say anything."""
        newest = self.draws[-1] if self.draws else None
        return newest if newest is not None and now - newest.received_at <= DRAW_AGE_MAX else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """An EVSE with everything that the planner and its operator may ask about it."""

    place: Place
    target: Target
    protocol: Protocol | None
    vehicle: Vehicle | None = None
    stay: Stay | None = None
    is_online: bool = False
    booted_at: datetime | None = None
    silent_since: datetime | None = None
    seen: bool = True
    abilities_known: bool = True
    unable: str | None = None
    """Why it cannot be told a limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    site: str
    zone: ZoneInfo
    limit: SiteLimit | None
    evses: Sequence[Known]
    gone: Sequence[int]
    """Steps of sessions that are over."""

    @property
    def places(self) -> list[Place]:
        return [each.place for each in self.evses]

    @property
    def stays(self) -> dict[Key, Stay]:
        return {each.place.key: each.stay for each in self.evses if each.stay is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """`pace` lies between two limits of a charge point; an answer may come within `patience`."""

    pace: timedelta
    patience: timedelta


def names_as(protocol: Protocol) -> Protocol:
    """The version whose names a charge point uses for its settings."""
    return Protocol.V201 if protocol.has_device_model else protocol


async def newest_limit(connection: Any, site: str) -> tuple[SiteLimit | None, ZoneInfo]:
    """Raises NotFound where there is no such site."""
    row = await SQL.newest_limit.fetchrow(connection, site=site)
    if row is None:
        raise NotFound(f"no site {site}", "see csms site list")
    return limit_from_row(dict(row)), zone_named(row["time_zone"])


async def read_books(
    connection: Any, site: str, timing: Timing, *, now: datetime, instead: SiteLimit | None = None
) -> Books:
    """Everything that is known; `instead` asks how it would be with another limit.

    Raises:
        NotFound: there is no such site.
    """
    limit, zone = await newest_limit(connection, site)
    limit = instead or limit
    charge_points = await SQL.charge_points_of.fetch(connection, site=site, names=_ABILITY_NAMES)
    wirings = {(row["charge_point"], row["evse"]): row for row in await SQL.wirings_of.fetch(connection, site=site)}
    shape = limit or SiteLimit(amps=1)
    sessions, steps, turns, changes, told_at = await _read(connection, site)
    vehicles = {(row["charge_point"], row["evse"]): row for row in sorted(sessions, key=_is_there)}
    draws = await _read_draws(connection, [row["id"] for row in vehicles.values()])
    running = {row["id"] for row in sessions}
    evses = []
    for charge_point in charge_points:
        used = {*vehicles, *((row["charge_point"], row["evse"]) for row in steps), *wirings}
        numbers = _evses(charge_point, used)
        for evse in numbers:
            wiring = _wiring(wirings.get((charge_point["id"], evse)))
            if wiring.absent:
                continue
            key = (charge_point["id"], evse)
            outlet = outlet_of(
                wiring, shape, evse=evse, is_dc=charge_point["current"] == "DC",
                power_max_w=charge_point["max_power_w"], settings=charge_point["wires"],
            )  # fmt: skip
            known = _known(
                charge_point, outlet, key, vehicles.get(key), draws, [row for row in steps if _of(row, key, running)],
                changes=[row for row in changes if row["charge_point"] == key[0]], several=len(numbers) > 1,
                voltage_v=shape.voltage_v, timing=timing, now=now, told_at=told_at.get(key[0]),
            )  # fmt: skip
            evses.append(_with_stay(known, turns.get(key), shape.min_a, now))
    gone = _gone(steps, running, evses)
    return Books(site=site, zone=zone, limit=limit, evses=_one_at_a_time(evses), gone=gone)


async def _read(
    connection: Any, site: str
) -> tuple[list[Record], list[Record], dict[Key, Record], list[Record], dict[str, Any]]:
    sessions = await SQL.sessions_of.fetch(connection, site=site)
    steps = await SQL.steps_of.fetch(connection, site=site)
    turns = await SQL.turns_of.fetch(connection, site=site)
    changes = await SQL.changes_by_others.fetch(connection, site=site) if steps else []
    told_last = await SQL.told_last.fetch(connection, site=site) if steps else []
    return (
        sessions,
        steps,
        {(row["charge_point"], row["evse"]): row for row in turns},
        changes,
        {row["id"]: row["at"] for row in told_last},
    )


def _is_there(session: Record) -> tuple[bool, int]:
    """Which of the sessions on an EVSE is that of the vehicle: the greatest."""
    return not session["dropped"], session["id"]


async def _read_draws(connection: Any, sessions: Sequence[int]) -> dict[int, list[Record]]:
    found: dict[int, list[Record]] = {}
    if sessions:
        for row in await SQL.readings_of.fetch(connection, sessions=sessions, most=READINGS_MAX):
            found.setdefault(row["session"], []).append(row)
    return found


def _of(row: Record, key: Key, running: Collection[int]) -> bool:
    is_over = row["session"] is not None and row["session"] not in running
    return (row["charge_point"], row["evse"]) == key and not is_over


def _gone(steps: Sequence[Record], running: Collection[int], evses: Sequence[Known]) -> list[int]:
    """Steps of sessions that have ended, and of those that cannot run where another one has taken a profile.

    A session that was merely dropped goes on by what it was told, and one after it may be the same one twice.
    """
    known = {each.place.key: each.place.session for each in evses if each.place.tx.accepted is not None}
    of_sessions = [row for row in steps if row["session"] is not None]
    return [
        row["id"]
        for row in of_sessions
        if row["session"] not in running
        or known.get((row["charge_point"], row["evse"]), row["session"]) != row["session"]
    ]


def _evses(charge_point: Record, used: Collection[Key]) -> list[int]:
    """Those that it told of, and those with a session, a limit or an operator's word; one that has told nothing has one."""
    named = {evse for name, evse in used if name == charge_point["id"]}
    count = (charge_point["wires"].get(_CONNECTORS) or "").strip()
    counted = range(1, int(count) + 1) if count.isascii() and count.isdecimal() and len(count) <= _DIGITS_MAX else ()
    return sorted({*charge_point["evses"], *named, *counted}) or [1]


def _wiring(row: Record | None) -> Wiring:
    if row is None:
        return Wiring()
    return Wiring(
        amps=row["amps"], phases=row["phases"], rotation=row["rotation"], via=Via(row["via"]), absent=row["absent"]
    )


def _known(
    charge_point: Record,
    outlet: Outlet,
    key: Key,
    session: Record | None,
    draws: Mapping[int, Sequence[Record]],
    rows: Sequence[Record],
    *,
    changes: Sequence[Record],
    several: bool,
    voltage_v: int,
    timing: Timing,
    now: datetime,
    told_at: datetime | None,
) -> Known:
    base, tx, others = _slots([_step(row) for row in rows], None if session is None else session["id"])
    if tx.accepted is not None:
        others = ()  # what runs there is this session
    protocol = None if charge_point["protocol"] is None else Protocol(charge_point["protocol"])
    abilities = Abilities() if protocol is None else abilities_of(names_as(protocol), charge_point["abilities"])
    target = Target(
        evse=key[1], outlet=outlet, abilities=abilities, voltage_v=voltage_v,
        transaction=None if session is None else str(session["transaction"]),
    )  # fmt: skip
    unable = _unable(target, base, charge_point["booted_at"], several=several)
    reach = _reach((base, tx), charge_point, unable=unable, timing=timing, now=now)
    done = [row for row in changes if row["at"] <= now]  # what is still under way cannot be put right yet
    doubtful = base.is_doubtful_after(charge_point["booted_at"], now, timing.patience)
    lost = (
        doubtful or _is_lost(base, target, changes) or _is_lost(tx, target, changes)
        or _is_overridden(base, tx, target, changes)
    )  # fmt: skip
    vehicle = _vehicle(session, draws, outlet, voltage_v)
    may_not_hold = lost or reach in {Reach.UNABLE, Reach.REFUSING} or _is_older(base, charge_point["booted_at"])
    place = Place(
        charge_point=key[0], evse=key[1], lines=outlet.lines, amps_max=outlet.amps_max, reach=reach,
        session=None if session is None else session["id"], base=base, tx=tx, keeps_tx=outlet.via is Via.TX,
        confirm_base=_is_older(base, charge_point["booted_at"]) or _is_lost(base, target, done),
        confirm_tx=_is_older(tx, charge_point["booted_at"]) or _is_lost(tx, target, done)
        or _is_overridden(base, tx, target, done),
        lost=lost, others=others, measured_a=_measured_a(vehicle, base, tx, now) if may_not_hold else 0,
        told_at=told_at,
    )  # fmt: skip
    return Known(
        place=place, target=target, protocol=protocol, seen=charge_point["seen"], unable=unable,
        vehicle=vehicle, abilities_known=abilities.stack_level_max is not None,
        is_online=charge_point["online"], booted_at=charge_point["booted_at"], silent_since=None if charge_point["online"] else charge_point["closed_at"],
    )  # fmt: skip


def _step(row: Record) -> Step:
    return Step(
        id=row["id"], slot=Slot(row["slot"]), amps=row["amps"], sent_at=row["sent_at"], session=row["session"],
        answered_at=row["answered_at"], accepted=row["accepted"], status=row["status"],
    )  # fmt: skip


def _slots(steps: Sequence[Step], session: int | None) -> tuple[Told, Told, tuple[Told, ...]]:
    """What was told to whoever comes, for this session, and for each other one."""
    others = sorted({each.session for each in steps if each.session is not None and each.session != session})
    return (
        told(each for each in steps if each.slot is Slot.BASE),
        told(each for each in steps if each.slot is Slot.TX and each.session == session and session is not None),
        tuple(told(each for each in steps if each.slot is Slot.TX and each.session == other) for other in others),
    )


def _measured_a(vehicle: Vehicle | None, base: Told, tx: Told, now: datetime) -> int:
    """What flows, rounded up, by a reading that came after the newest limit had been accepted."""
    draw = None if vehicle is None else vehicle.draw(now)
    held = tx.accepted or base.accepted
    if draw is None or (held is not None and (held.answered_at or held.sent_at) >= draw.received_at):
        return 0
    return int(draw.amps.to_integral_value(ROUND_CEILING))


def _unable(target: Target, base: Told, booted_at: datetime | None, *, several: bool) -> str | None:
    """Why it cannot be told; what it answered counts until its next boot."""
    if target.outlet.via is Via.CHARGE_POINT_MAX and several:
        return "one limit of the charge point does not say how its EVSEs share it: use --via tx or tx_default"
    last = base.since[-1] if base.since else None
    if last is not None and last.status in UNABLE and (booted_at is None or booted_at < last.sent_at):
        return cannot(target) or "it does no smart charging"
    return cannot(target)


def _reach(
    slots: Collection[Told], charge_point: Record, *, unable: str | None, timing: Timing, now: datetime
) -> Reach:
    if unable is not None:
        return Reach.UNABLE
    if not charge_point["online"]:
        return Reach.SILENT
    if any(each.in_flight(now, timing.patience) for each in slots):
        return Reach.BUSY
    fresh = max(filter(None, (charge_point["opened_at"], charge_point["booted_at"])))
    failed = [each for each in slots if each.since and (each.since[-1].answered_at or each.since[-1].sent_at) > fresh]
    waits = any((retry := each.retry_at(timing.pace)) is not None and retry > now for each in failed)
    return Reach.REFUSING if waits else Reach.LIVE


def _is_older(slot: Told, booted_at: datetime | None) -> bool:
    return slot.accepted is not None and booted_at is not None and slot.accepted.sent_at < booted_at


def _is_lost(slot: Told, target: Target, changes: Sequence[Record]) -> bool:
    """Whether an operator's own profiles have put an end to ours; one that has got no answer may have."""
    accepted = slot.accepted
    if accepted is None or accepted.amps is None or cannot(target) is not None:
        return False
    if accepted.slot is Slot.TX and target.transaction is None:
        return False
    ours = set_limit(target, accepted.slot, accepted.amps)
    later = [row for row in changes if row["at"] >= accepted.sent_at]
    return bool(later) and all(each.profile != ours.profile for each in _held([(accepted.sent_at, ours)], later))


def _is_overridden(base: Told, tx: Told, target: Target, changes: Sequence[Record]) -> bool:
    """Whether an operator gave the session a profile of its own, where we have only told the default."""
    if base.accepted is None or tx.accepted is not None or target.transaction is None:
        return False
    since = base.accepted.sent_at
    return any(
        each.profile.purpose is Purpose.TX and each.profile.transaction == target.transaction
        for each in _held([], [row for row in changes if row["at"] >= since])
    )


def _held(history: Sequence[tuple[datetime, SetChargingProfile]], changes: Sequence[Record]) -> list[Installed]:
    """What is in place after what operators did later."""
    all_of_it: list[tuple[datetime, SetChargingProfile | ClearChargingProfile]] = list(history)
    for row in changes:
        command = command_from_json(row["body"])
        assert isinstance(command, SetChargingProfile | ClearChargingProfile), "the query names these two"
        all_of_it.append((row["at"], command))
    return installed(all_of_it, now=max(at for at, _ in all_of_it)) if all_of_it else []


def _vehicle(
    session: Record | None, draws: Mapping[int, Sequence[Record]], outlet: Outlet, voltage_v: int
) -> Vehicle | None:
    if session is None:
        return None
    read = (
        draw_of(
            [sample_from_row(sample) for sample in row["samples"]], row["received_at"],
            is_dc=outlet.is_dc, phases=outlet.phases, voltage_v=voltage_v,
        )
        for row in draws.get(session["id"], ())
    )  # fmt: skip
    return Vehicle(
        session=session["id"],
        transaction=str(session["transaction"]),
        began_at=session["created_at"],
        state=session["charging_state"] or session["status"],
        draws=[each for each in read if each is not None],
    )


def _with_stay(known: Known, turn: Record | None, min_a: int, now: datetime) -> Known:
    """Go on from what the last plan remembered, if the vehicle is the same."""
    vehicle, place = known.vehicle, known.place
    if vehicle is None:
        return known
    served = place.allowed_a >= min_a
    before = turn if turn is not None and turn["session"] == vehicle.session else None
    since = vehicle.began_at
    if before is not None:
        since = before["since"] if before["served"] == served else now
    slot = place.tx if place.tx.accepted is not None else place.base
    held_since = None if slot.accepted is None else slot.accepted.answered_at
    want_a = wants_a(
        vehicle.draws, allowed_a=place.allowed_a, allowed_since=held_since,
        before_a=place.amps_max if before is None else before["want_a"], amps_max=place.amps_max, min_a=min_a,
    )  # fmt: skip
    resting = is_resting(vehicle.draws, vehicle.state, allowed_a=place.allowed_a, allowed_since=held_since, min_a=min_a)
    stay = Stay(session=vehicle.session, served=served, since=since, want_a=want_a, resting=resting)
    return replace(known, stay=stay)


def _one_at_a_time(evses: Sequence[Known]) -> list[Known]:
    """A charge point that is being told something of one EVSE is busy with all of them."""
    busy = {each.place.charge_point for each in evses if each.place.reach is Reach.BUSY}
    return [
        replace(each, place=replace(each.place, reach=Reach.BUSY))
        if each.place.reach is Reach.LIVE and each.place.charge_point in busy
        else each
        for each in evses
    ]
