"""Rows of facts <-> what the fold takes. Everything for many sessions at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
from asyncpg import Record

from billing import Queries, Turns
from csms.evidence.law import MeasuringLaw
from csms.evidence.store import Began, laws_of
from csms.protocol.vocabulary import EventKind, TokenStatus
from csms.sessions import clock, packing
from csms.sessions.facts import (
    Kept,
    Neighbour,
    OnlineSpan,
    Reserved,
    StoredEvent,
    StoredReading,
    StoredStatus,
    Surroundings,
)
from csms.sessions.records import event_from_row
from csms.sessions.review import Release
from csms.sessions.spans import later
from csms.tokens.service import verdicts_at
from csms.tokens.token import canonical

SQL = Queries.load(__package__)
SLACK = timedelta(minutes=5)
"""Statuses so much earlier than the start still tell of the session (cable before card), readings so much after its end."""
STAY_MAX = timedelta(days=7)
"""So long after the stop we look for the unplugging; no longer stay is rated (billing's IDLE_MAX)."""
READINGS_AT_A_TIME = 50
"""So many readings become values - some 1 ms of work - before the loop goes round."""


@dataclass(slots=True)
class SessionFacts:
    """All that one session is folded from, with what stands around it.

    `kept` is what there is instead of events where nobody used a reservation.
    """

    id: int
    charge_point: str
    transaction: str | None
    generation: int
    site: str
    country: str
    currency: str
    time_zone: str
    current: str
    product: str
    max_power_w: Decimal | None
    idle_after_stop: bool
    idle_cap: timedelta | None
    dropped_by_review: str | None
    events: list[StoredEvent] = field(default_factory=list)
    readings: list[StoredReading] = field(default_factory=list)
    statuses: list[StoredStatus] = field(default_factory=list)
    stamps: list[clock.Stamp] = field(default_factory=list)
    online: list[OnlineSpan] = field(default_factory=list)
    previous: Neighbour | None = None
    following: Neighbour | None = None
    token_status: TokenStatus | None = None
    queue_empty: bool = False
    still_ongoing: bool | None = None
    occurrence: int = 0
    reserved: Reserved | None = None
    kept: Kept | None = None
    law: MeasuringLaw | None = None
    releases: list[Release] = field(default_factory=list)

    @property
    def evse(self) -> int | None:
        return next((each.event.evse for each in self.events if each.event.evse is not None), None)

    @property
    def connector(self) -> int | None:
        return next((each.event.connector for each in self.events if each.event.connector is not None), None)

    @property
    def since(self) -> datetime:
        """When it may have begun, by our clock: no later than we heard of it, and no year in which no clock was set."""
        stamps = [each.event.at for each in self.events if each.event.at >= clock.STAMP_MIN]
        return min([*stamps, self.first_received_at])

    def began(self) -> Began:
        """What decides which law and which keys hold for it."""
        return Began(session=self.id, charge_point=self.charge_point, site=self.site, since=self.since)

    @property
    def stop(self) -> StoredEvent | None:
        stops = [each for each in self.events if each.event.kind is EventKind.ENDED]
        return min(stops, key=lambda each: each.received_at, default=None)

    @property
    def released(self) -> frozenset[str]:
        """Names of billing's own holds that were released: they are judged at the end, and only those then decided count."""
        return frozenset(name for release in self.releases if release.was_closed for name in release.holds)

    @property
    def first_received_at(self) -> datetime:
        return min(each.received_at for each in self.events)

    @property
    def heard_at(self) -> datetime:
        """When we first heard of it, by our clock; a reservation that nobody used, when it was made."""
        return self.first_received_at if self.kept is None else self.kept.since

    @property
    def started_at(self) -> datetime:
        starts = [each.event.at for each in self.events if each.event.kind is EventKind.STARTED]
        return min(starts) if starts else min(each.event.at for each in self.events)

    def surroundings(self) -> Surroundings:
        told = clock.told_by(self.stamps)
        return Surroundings(
            current=self.current,
            max_power_w=self.max_power_w,
            token_status=self.token_status,
            statuses=tuple(self.statuses),
            online=tuple(self.online),
            previous=self.previous,
            following=self.following,
            queue_empty=self.queue_empty,
            still_ongoing=self.still_ongoing,
            clock_offset_s=told.offset_s,
            clock_uncertainty_s=told.uncertainty_s,
            reserved=self.reserved,
            held_by_ingest=frozenset({"start_ambiguous"} if self.occurrence else ()),
            law=self.law,
        )

    @property
    def reused(self) -> bool:
        """The transaction id was used before (RULES.md 3)."""
        return self.generation > 0


async def load_facts(connection: Any, sessions: Sequence[int], *, now: datetime) -> dict[int, SessionFacts]:
    """The sessions that exist and have events, or a reservation that nobody used, by id."""
    rows = await SQL.sessions_to_fold.fetch(connection, sessions=list(sessions))
    found = {row["id"]: _facts(row) for row in rows}
    for row in await SQL.events_of_sessions.fetch(connection, sessions=list(found)):
        facts = found[row["of_session"]]
        facts.events.append(event_from_row(row))
        if not row["offline"]:
            facts.stamps.append(clock.Stamp(at=row["at"], received_at=row["received_at"], socket=row["socket"]))
        if not row["linked"]:
            facts.occurrence = max(facts.occurrence, row["occurrence"])
    unused = {row["id"]: found[row["id"]] for row in rows if row["reservation"] is not None}
    found = {id_: facts for id_, facts in found.items() if facts.events}
    if found:
        await _load_neighbours(connection, found)
        await _load_readings(connection, found, now=now)
        await _load_surroundings(connection, found, now=now)
        await _load_answers(connection, found, [row["id"] for row in rows if row["is_asked"] and row["id"] in found])
        await _load_tokens(connection, found)
    if unused:
        await _load_kept(connection, unused)
    found |= unused
    await _load_releases(connection, found, [row["id"] for row in rows if row["is_released"] and row["id"] in found])
    return found


def _facts(row: Record) -> SessionFacts:
    return SessionFacts(
        id=row["id"],
        charge_point=row["charge_point"],
        transaction=row["transaction"],
        generation=row["generation"],
        site=row["site"],
        country=row["country"],
        currency=row["currency"],
        time_zone=row["time_zone"],
        current=row["current"],
        product=row["product"],
        max_power_w=row["max_power_w"],
        idle_after_stop=row["idle_after_stop"],
        idle_cap=None if row["idle_cap_s"] is None else timedelta(seconds=row["idle_cap_s"]),
        dropped_by_review=row["dropped_by_review"],
    )


async def _load_releases(connection: Any, found: Mapping[int, SessionFacts], released: Sequence[int]) -> None:
    if not released:
        return
    for row in await SQL.releases_of_sessions.fetch(connection, sessions=released):
        evidence = frozenset((each["rule"], each["evidence"]) for each in row["findings"])
        release = Release(holds=frozenset(row["holds"]), evidence=evidence, was_closed=row["closed"])
        found[row["session"]].releases.append(release)


async def _load_readings(connection: Any, found: Mapping[int, SessionFacts], *, now: datetime) -> None:
    await _add_readings(connection, found, await SQL.readings_of_sessions.fetch(connection, sessions=list(found)))
    placed = [facts for facts in found.values() if facts.evse is not None]
    loose = await SQL.loose_readings.fetch(
        connection,
        sessions=[facts.id for facts in placed],
        charge_points=[facts.charge_point for facts in placed],
        evses=[facts.evse for facts in placed],
        sinces=[_readings_since(facts) for facts in placed],
        untils=[_readings_until(facts, now=now) for facts in placed],
    )
    await _add_readings(connection, found, loose)


async def _add_readings(connection: Any, found: Mapping[int, SessionFacts], rows: Sequence[Record]) -> None:
    """They may be many thousands: sockets come in between."""
    layouts = await _layouts(connection, {row["layout"] for row in rows} - {None})
    turns = Turns()
    for first in range(0, len(rows), READINGS_AT_A_TIME):
        for row in rows[first : first + READINGS_AT_A_TIME]:
            found[row["of_session"]].readings.append(packing.reading_from_row(row, layouts))
        await turns.give()


async def _layouts(connection: Any, ids: set[bytes]) -> dict[bytes, packing.Layout]:
    layouts = packing.remembered(ids)
    missing = ids - layouts.keys()
    if missing:
        for row in await SQL.reading_layouts.fetch(connection, ids=sorted(missing)):
            layouts[row["id"]] = packing.learn(row["samples"])
    return layouts


def _readings_since(facts: SessionFacts) -> datetime:
    """By the charge point's clock, unless that was never set: then 1970 would begin before everybody else's session."""
    return facts.started_at if facts.started_at >= clock.STAMP_MIN else facts.first_received_at


def _readings_until(facts: SessionFacts, *, now: datetime) -> datetime:
    """By the charge point's clock: to the stop, to the next session on the EVSE, else to now."""
    ahead = max(facts.started_at - facts.first_received_at, timedelta())
    bounds = [later(now, ahead)]
    if facts.stop is not None:
        bounds.append(later(facts.stop.event.at, SLACK))
    if facts.following is not None and facts.following.started_at is not None:
        bounds.append(facts.following.started_at)
    return max(min(bounds), _readings_since(facts))


def _statuses_until(facts: SessionFacts, *, now: datetime) -> datetime:
    """By our clock: to the start of the next session on the EVSE, or so long as a vehicle that stopped may stand there.

    A status may come later than the next start is stamped where the clock is behind, or where both were queued.
    """
    bounds = [now]
    if facts.stop is not None:
        bounds.append(later(facts.stop.received_at, STAY_MAX))
    if facts.following is not None and facts.following.started_at is not None:
        bounds.append(max(facts.following.started_at, facts.following.heard_at))
    return max(min(bounds), facts.since)


async def _load_neighbours(connection: Any, found: Mapping[int, SessionFacts]) -> None:
    placed = [facts for facts in found.values() if facts.evse is not None]
    neighbours = await SQL.neighbours_of_sessions.fetch(
        connection,
        sessions=[facts.id for facts in placed],
        charge_points=[facts.charge_point for facts in placed],
        evses=[facts.evse for facts in placed],
        starts=[min(facts.started_at, facts.first_received_at) for facts in placed],
    )
    for row in neighbours:
        facts = found[row["of_session"]]
        neighbour = _neighbour(row)
        if row["side"] == "previous":
            facts.previous = neighbour
        else:
            facts.following = neighbour


async def _load_surroundings(connection: Any, found: Mapping[int, SessionFacts], *, now: datetime) -> None:
    placed = [facts for facts in found.values() if facts.evse is not None]
    statuses = await SQL.statuses_of_sessions.fetch(
        connection,
        sessions=[facts.id for facts in placed],
        charge_points=[facts.charge_point for facts in placed],
        evses=[facts.evse for facts in placed],
        connectors=[facts.connector for facts in placed],
        sinces=[facts.since - SLACK for facts in placed],
        untils=[_statuses_until(facts, now=now) for facts in placed],
    )
    stopped_at = {facts.id: facts.stop.received_at for facts in found.values() if facts.stop is not None}
    for row in statuses:
        facts = found[row["of_session"]]
        facts.statuses.append(StoredStatus(status=row["status"], at=row["at"], received_at=row["received_at"]))
        if row["at"] is not None and row["received_at"] <= stopped_at.get(facts.id, row["received_at"]):
            # What is said after the stop tells of the clock then, and must not move what has been billed.
            facts.stamps.append(clock.Stamp(at=row["at"], received_at=row["received_at"], socket=row["socket"]))
    await _load_online(connection, found, {id_: facts.since for id_, facts in found.items()})
    named = [id_ for id_, facts in found.items() if any(each.event.reservation is not None for each in facts.events)]
    if named:
        for row in await SQL.reservations_of_sessions.fetch(connection, sessions=named):
            found[row["of_session"]].reserved = Reserved(since=row["since"], until=row["until"])
    for id_, law in (await laws_of(connection, [facts.began() for facts in found.values()])).items():
        found[id_].law = law


async def _load_answers(connection: Any, found: Mapping[int, SessionFacts], asked: Sequence[int]) -> None:
    if not asked:
        return
    for row in await SQL.transaction_statuses.fetch(connection, sessions=asked):
        facts = found[row["session"]]
        facts.queue_empty = facts.queue_empty or row["messages_in_queue"] is False
        facts.still_ongoing = row["ongoing"]


async def _load_online(connection: Any, found: Mapping[int, SessionFacts], since: Mapping[int, datetime]) -> None:
    online = await SQL.online_of_sessions.fetch(
        connection,
        sessions=list(found),
        charge_points=[facts.charge_point for facts in found.values()],
        sinces=[since[id_] for id_ in found],
    )
    for row in online:
        found[row["of_session"]].online.append(OnlineSpan(since=row["opened_at"], until=row["closed_at"]))


async def _load_kept(connection: Any, unused: Mapping[int, SessionFacts]) -> None:
    since: dict[int, datetime] = {}
    for row in await SQL.kept_of_sessions.fetch(connection, sessions=list(unused)):
        since[row["of_session"]] = row["since"]
        unused[row["of_session"]].kept = Kept(
            reservation=row["reservation"],
            token=row["token"],
            since=row["since"],
            until=row["until"],
            used_by=row["used_by"],
            why_not=row["why_not"],
        )
    await _load_online(connection, unused, since)


def _neighbour(row: Record) -> Neighbour:
    return Neighbour(
        id=row["id"],
        token=row["token"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        register_begin_wh=row["register_begin_wh"],
        register_end_wh=row["register_end_wh"],
        heard_at=row["created_at"],
        has_facts=row["has_facts"],
    )


async def _load_tokens(connection: Any, found: Mapping[int, SessionFacts]) -> None:
    """The state of each session's token at its start.

    A token that was issued after that, but before we heard of the session, counts as it did when we heard: offline
    sessions may be older than the card's entry in our books. Blocked and expired are judged at the start alone.
    """
    presented: dict[int, tuple[tuple[str, datetime], tuple[str, datetime]]] = {}
    for facts in found.values():
        tokens = [(each.event.at, each.event.token) for each in facts.events if each.event.token is not None]
        if tokens:
            uid = canonical(min(tokens)[1])
            presented[facts.id] = ((uid, facts.started_at), (uid, facts.first_received_at))
    verdicts = await verdicts_at(connection, [key for keys in presented.values() for key in keys])
    for id_, (at_start, when_heard) in presented.items():
        status = verdicts[at_start].status
        found[id_].token_status = verdicts[when_heard].status if status is TokenStatus.INVALID else status


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """A session row as folded."""

    session: int
    evse: int | None
    connector: int | None
    token: str | None
    started_at: datetime | None
    ended_at: datetime | None
    released_at: datetime | None
    complete_at: datetime | None
    energy_wh: Decimal | None
    register_begin_wh: Decimal | None
    register_end_wh: Decimal | None
    energy_source: str | None
    dropped: str | None
    holds: frozenset[str]
    flags: frozenset[str]
    last_fact_at: datetime | None
    inputs_hash: bytes
    findings: list[dict[str, str]]


async def project(connection: Any, projections: Sequence[Projection]) -> None:
    """Store the projections and tell billing."""
    if not projections:
        return
    ordered = sorted(projections, key=lambda each: each.session)
    columns: dict[str, list[Any]] = defaultdict(list)
    for each in ordered:
        columns["sessions"].append(each.session)
        columns["evses"].append(each.evse)
        columns["connectors"].append(each.connector)
        columns["tokens"].append(each.token)
        columns["started_ats"].append(each.started_at)
        columns["ended_ats"].append(each.ended_at)
        columns["released_ats"].append(each.released_at)
        columns["complete_ats"].append(each.complete_at)
        columns["energies_wh"].append(each.energy_wh)
        columns["register_begins_wh"].append(each.register_begin_wh)
        columns["register_ends_wh"].append(each.register_end_wh)
        columns["energy_sources"].append(each.energy_source)
        columns["droppeds"].append(each.dropped)
        columns["holds"].append(",".join(sorted(each.holds)))
        columns["flags"].append(",".join(sorted(each.flags)))
        columns["last_fact_ats"].append(each.last_fact_at)
        columns["inputs_hashes"].append(each.inputs_hash)
        columns["findings"].append(orjson.dumps(each.findings).decode())
    await SQL.project_sessions.execute(connection, **columns)


def utc_now() -> datetime:
    """The one clock of this room."""
    return datetime.now(UTC)
