"""What stands around a session, as the database tells it: its own connector, its neighbours, its own time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from billing import PeriodKind
from csms.charge_points import service as charge_points
from csms.charge_points.service import Choices
from csms.intake.arrival import Arrival, StorableFact
from csms.intake.ingest import Ingest
from csms.protocol.vocabulary import ChargingEvent, EventKind, Reading, ReadingsReported, Sample, StatusReported
from csms.sessions.periods import usage
from csms.sessions.projection import folded_from
from csms.sessions.review import Release
from csms.sessions.service import Sessions
from csms.sessions.session import Session
from csms.sessions.store import SessionFacts, load_facts
from csms.settings import load_settings
from csms.sites import service as sites
from tests.faults.world import until

CP, SOCKET = "CP-1", UUID(int=1)
NOW = datetime.now(UTC).replace(microsecond=0)
BEGIN = NOW - timedelta(hours=3)


def at(minutes: float) -> datetime:
    return BEGIN + timedelta(minutes=minutes)


WAITS = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND locktype = 'advisory')"


class Room:
    """The sessions room of a server, without sockets; what it hears comes when it says."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self.sessions = Sessions(pool, load_settings({}))
        self.ingest = Ingest(pool)

    async def hears(self, fact: StorableFact, received_at: datetime) -> None:
        await self.ingest.flush(
            [Arrival(charge_point=CP, fact=fact, frame="[]", socket=SOCKET, received_at=received_at)]
        )
        if isinstance(fact, ChargingEvent) and fact.kind is EventKind.STARTED:
            # The database's clock is that of the test; the story began hours ago.
            await self.pool.execute(
                "UPDATE session SET created_at = $1 WHERE id = (SELECT max(id) FROM session)", received_at
            )

    async def starts(self, minutes: float, *, stamped: datetime | None = None, **more: Any) -> int:
        """A 1.6 start; the session's id."""
        when = stamped or at(minutes)
        given = {"evse": 1, "connector": 1, "token": "DEMO-1", "register_wh": Decimal(1000)} | more
        key = f"{minutes} {sorted(more.items())}".encode()
        await self.hears(ChargingEvent(kind=EventKind.STARTED, at=when, key=key, **given), at(minutes))
        return int(await self.pool.fetchval("SELECT max(id) FROM session"))

    async def stops(self, session: int, minutes: float, wh: int) -> None:
        stop = ChargingEvent(
            kind=EventKind.ENDED, at=at(minutes), key=f"stop {session}".encode(), transaction=str(session),
            register_wh=Decimal(wh),
        )  # fmt: skip
        await self.hears(stop, at(minutes))

    async def reports(self, status: str, minutes: float, *, connector: int = 1, stamped: float | None = None) -> None:
        said = StatusReported(
            evse=1, connector=connector, status=status, at=at(minutes if stamped is None else stamped)
        )
        await self.hears(said, at(minutes))

    async def reads(self, minutes: float, wh: int, *, stamped: datetime | None = None) -> None:
        """A reading without a transaction."""
        when = stamped or at(minutes)
        sample = Sample(value=Decimal(wh))
        one = Reading(at=when, samples=(sample,), key=f"{when} {wh}".encode())
        await self.hears(ReadingsReported(evse=1, connector=1, transaction=None, readings=(one,)), at(minutes))

    async def facts(self, session: int) -> SessionFacts:
        async with self.pool.acquire() as connection:
            return (await load_facts(connection, [session], now=NOW))[session]

    async def fold(self, session: int) -> Session:
        async with self.pool.acquire() as connection, connection.transaction():
            await self.sessions.fold_all(connection, [session])
        return folded_from(await self.facts(session), self.sessions._policy, now=NOW)

    async def online(self) -> None:
        node = UUID(int=9)
        await self.pool.execute("INSERT INTO node (id, pid, host) VALUES ($1, 1, 'h')", node)
        await self.pool.execute(
            "INSERT INTO socket (id, charge_point, node, protocol, opened_at) VALUES ($1, $2, $3, 'ocpp1.6', $4)",
            SOCKET, CP, node, BEGIN - timedelta(days=1),
        )  # fmt: skip


@pytest.fixture
async def room(pool: Any) -> Room:
    async with pool.acquire() as connection:
        await sites.create(connection, "s", name="S", country="DE", time_zone="Europe/Berlin", currency="EUR")
        await charge_points.create(connection, CP, Choices(site="s", security_profile=0), key=b"k")
    made = Room(pool)
    await made.sessions.prepare()
    await made.online()
    return made


# --- the clock -------------------------------------------------------------------------------------------------------


async def test_statuses_that_waited_two_hours_do_not_move_the_tariff(room: Room) -> None:
    session = await room.starts(120, stamped=at(0))
    await room.reports("Charging", 120, stamped=1)

    folded = await room.fold(session)

    assert folded.tariff_at == folded.priced_from == at(0)


async def test_a_clock_two_hours_behind_moves_the_tariff_as_soon_as_it_is_proven(room: Room) -> None:
    session = await room.starts(120, stamped=at(0))
    await room.reports("Charging", 121, stamped=1)

    assert (await room.fold(session)).tariff_at == at(120)


# --- neighbours ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [timedelta(minutes=10), timedelta(days=3650)])
async def test_a_start_whose_clock_was_ahead_ends_no_later_session(room: Room, ahead: timedelta) -> None:
    wrong = await room.starts(0, stamped=at(0) + ahead)
    await room.stops(wrong, 1, 1000)
    running = await room.starts(2)

    assert (await room.facts(running)).following is None
    assert not (await room.fold(running)).closed


async def test_a_start_that_was_never_true_follows_nobody(room: Room) -> None:
    running = await room.starts(0)
    await room.starts(5, stamped=at(5) + timedelta(days=3650))
    await room.starts(6, stamped=datetime(1970, 1, 1, tzinfo=UTC))

    facts = await room.facts(running)

    assert (facts.previous, facts.following) == (None, None)


async def test_the_next_start_ends_a_session_whose_clock_was_ahead(room: Room) -> None:
    ahead = await room.starts(0, stamped=at(30))
    after = await room.starts(20)
    following = (await room.facts(ahead)).following

    assert following is not None
    assert following.id == after
    assert (await room.fold(ahead)).closed


# --- connectors ------------------------------------------------------------------------------------------------------


async def test_the_other_connector_of_an_evse_ends_nothing(room: Room) -> None:
    session = await room.starts(0)
    await room.reports("Charging", 1)
    await room.reports("Available", 2, connector=2)

    assert not (await room.fold(session)).closed


async def test_the_whole_evse_speaks_for_its_connectors(room: Room) -> None:
    session = await room.starts(0)
    await room.reports("Available", 2, connector=0)

    assert (await room.fold(session)).holds == {"no_stop"}


# --- windows ---------------------------------------------------------------------------------------------------------


async def test_of_endless_statuses_the_newest_count_and_repeats_do_not(room: Room) -> None:
    session = await room.starts(0)
    for word, count, seconds in (("Charging", 5, 0), ("flips", 2500, 10)):
        await room.pool.execute(
            "INSERT INTO status_report (charge_point, evse, connector, status, at, received_at) "
            "SELECT $1, 1, 1, CASE WHEN $2 <> 'flips' THEN $2 WHEN n % 2 = 0 THEN 'Charging' ELSE 'SuspendedEV' END, "
            "       NULL, $3::timestamptz + n * interval '1 second' FROM generate_series(1, $4::integer) n",
            CP, word, at(0) + timedelta(seconds=seconds), count,
        )  # fmt: skip
    await room.reports("Available", 60)

    statuses = (await room.facts(session)).statuses

    assert len(statuses) == 2000
    assert max(statuses, key=lambda each: each.received_at).status == "Available"


async def test_a_session_of_1970_sees_nothing_of_others_before_it(room: Room) -> None:
    await room.reports("Available", 0)
    await room.reports("Charging", 1)
    await room.reads(10, 500)
    await room.reports("Available", 20)
    session = await room.starts(60, stamped=datetime(1970, 1, 1, 0, 5, tzinfo=UTC))
    facts = await room.facts(session)

    assert [each.status for each in facts.statuses] == ["Available"]
    assert facts.readings == []


async def test_readings_of_a_clock_that_is_hours_ahead_are_found(room: Room) -> None:
    ahead = timedelta(hours=5)
    session = await room.starts(0, stamped=at(0) + ahead)
    await room.reads(30, 2000, stamped=at(30) + ahead)

    assert (await room.fold(session)).energy_wh == 1000


async def test_an_ended_session_gathers_no_more_readings_and_a_week_of_statuses(room: Room) -> None:
    session = await room.starts(0)
    await room.stops(session, 30, 2000)
    for minute in (29, 34, 36, 60):
        await room.reads(minute, 2000)
    facts = await room.facts(session)

    assert [each.reading.at for each in facts.readings] == [at(29), at(34)]


# --- identity --------------------------------------------------------------------------------------------------------


async def _again(room: Room, minutes: float) -> int:
    """The same start as one stamped 1970 at minute 0, once more; the newest session's id."""
    never = datetime(1970, 1, 1, 0, 5, tzinfo=UTC)
    start = ChargingEvent(
        kind=EventKind.STARTED, at=never, key=b"same", evse=1, connector=1, token="DEMO-1", register_wh=Decimal(0)
    )
    await room.hears(start, at(minutes))
    return int(await room.pool.fetchval("SELECT max(id) FROM session"))


async def test_an_equal_start_of_a_running_session_is_a_repeat(room: Room) -> None:
    assert await _again(room, 0) == await _again(room, 10)


async def test_an_equal_start_after_a_paired_stop_is_another_session(room: Room) -> None:
    first = await _again(room, 0)
    orphan = ChargingEvent(kind=EventKind.ENDED, at=at(9), key=b"orphan", transaction="-1", register_wh=Decimal(500))
    await room.hears(orphan, at(9))
    await room.pool.execute(
        "INSERT INTO event_link (event, session, why) SELECT id, $1, 'it fits' FROM charging_event WHERE session IS NULL",
        first,
    )

    assert await _again(room, 10) != first


@pytest.mark.parametrize("its_own_stop", [True, False])
async def test_a_stop_that_fits_nowhere_is_given_to_no_session_whose_own_stop_has_come(
    room: Room, *, its_own_stop: bool
) -> None:
    session = await room.starts(0)
    await room.fold(session)
    if its_own_stop:
        await room.stops(session, 10, 1500)
    await room.pool.execute("DELETE FROM session_due")  # taken by a node that has not folded it yet
    await room.hears(ChargingEvent(kind=EventKind.ENDED, at=at(11), key=b"oops", transaction="oops"), at(11))

    await room.sessions._sweep_for_all()

    linked = await room.pool.fetchval("SELECT count(*) FROM event_link")
    assert linked == (0 if its_own_stop else 1)


async def test_a_session_that_waits_to_be_folded_is_given_no_stop_before(room: Room) -> None:
    session = await room.starts(0)
    await room.fold(session)
    await room.pool.execute("INSERT INTO session_due (session) VALUES ($1)", session)
    await room.hears(ChargingEvent(kind=EventKind.ENDED, at=at(11), key=b"oops", transaction="oops"), at(11))

    await room.sessions._sweep_for_all()

    assert await room.pool.fetchval("SELECT count(*) FROM event_link") == 0


async def test_an_equal_start_after_an_end_without_stop_is_another_session(room: Room) -> None:
    first = await _again(room, 0)
    await room.reports("Available", 2)
    assert (await room.fold(first)).closed

    assert await _again(room, 30) != first


async def test_a_transaction_id_is_free_again_after_an_end_without_stop(room: Room) -> None:
    start = ChargingEvent(
        kind=EventKind.STARTED, at=at(0), key=b"a", transaction="T", seq_no=0, evse=1, connector=1, token="DEMO-1"
    )
    await room.hears(start, at(0))
    first = int(await room.pool.fetchval("SELECT max(id) FROM session"))
    await room.reports("Available", 2)
    assert (await room.fold(first)).closed
    await room.hears(replace(start, at=at(60), key=b"b"), at(60))

    assert await room.pool.fetchval("SELECT generation FROM session WHERE id <> $1", first) == 1


async def test_two_forms_of_one_start_are_one_session(room: Room) -> None:
    first = await room.starts(0)
    again = await room.starts(0.1, stamped=at(0), reservation=7)

    async with room.pool.acquire() as connection, connection.transaction():
        await room.sessions.fold_all(connection, [first, again])
    rows = await room.pool.fetch("SELECT id, dropped, ended_at FROM session ORDER BY id")
    assert [tuple(row) for row in rows] == [(first, None, None), (again, "duplicate_start", None)]


async def test_the_younger_of_two_equal_starts_that_both_stop_is_held(room: Room) -> None:
    first = await room.starts(0)
    again = await room.starts(0.1, stamped=at(0), reservation=7)
    await room.stops(first, 30, 1500)
    await room.stops(again, 31, 1600)

    async with room.pool.acquire() as connection, connection.transaction():
        await room.sessions.fold_all(connection, [first, again])
    held = [row["holds"] for row in await room.pool.fetch("SELECT holds FROM session ORDER BY id")]
    assert ["start_ambiguous" in each for each in held] == [False, True]


async def test_a_release_is_read_with_what_had_been_found(room: Room) -> None:
    session = await room.starts(0)
    await room.pool.execute(
        "INSERT INTO review_entry (session, action, holds, reason, actor, findings, closed) "
        "VALUES ($1, 'release', '{late}', 'seen', 'ops', $2, false)",
        session, [{"rule": "late", "action": "hold", "evidence": "by a year"}],
    )  # fmt: skip

    assert (await room.facts(session)).releases == [
        Release(holds=frozenset({"late"}), evidence=frozenset({("late", "by a year")}), was_closed=False)
    ]


# --- what was kept for the driver ------------------------------------------------------------------------------------


async def _keep(room: Room, since: float, until: float, *, card: str = "DEMO-1", group: str | None = None) -> int:
    """A reservation that the charge point accepted; its id."""
    number = await room.pool.fetchval(
        "INSERT INTO reservation (charge_point, evse, token, group_id, until, actor) VALUES ($1, 1, $2, $3, $4, 'a')"
        " RETURNING id",
        CP, card, group, at(until),
    )  # fmt: skip
    await _answer(room, number, "reserve", since)
    return int(number)


async def _answer(room: Room, number: int, question: str, minutes: float) -> None:
    await room.pool.execute(
        "INSERT INTO reservation_answer (reservation, question, accepted, status, actor, at)"
        " VALUES ($1, $2, true, 'Accepted', 'a', $3)",
        number, question, at(minutes),
    )  # fmt: skip


def _reserved(session: Session) -> list[tuple[datetime, datetime]]:
    periods = usage(session, as_of=NOW).periods
    return [(each.start, each.end) for each in periods if each.kind is PeriodKind.RESERVATION]


async def test_what_was_kept_for_a_driver_who_came_is_billed_with_the_session(room: Room) -> None:
    number = await _keep(room, 10, 60)
    session = await room.starts(30, reservation=number)

    folded = await room.fold(session)

    assert _reserved(folded) == [(at(10), at(30))]
    assert usage(folded, as_of=NOW).periods[0].kind is PeriodKind.RESERVATION
    await _answer(room, number, "cancel", 20)
    assert folded.inputs_hash != (await room.fold(session)).inputs_hash


async def test_a_reservation_that_was_over_before_the_start_is_billed_to_its_end(room: Room) -> None:
    over = await room.fold(await room.starts(30, reservation=await _keep(room, 10, 20)))
    number = await _keep(room, 40, 90)
    await _answer(room, number, "cancel", 45)
    taken_back = await room.fold(await room.starts(50, reservation=number))

    assert (_reserved(over), _reserved(taken_back)) == ([(at(10), at(20))], [(at(40), at(45))])


async def test_nobody_pays_for_what_was_kept_for_another_or_was_never_accepted(room: Room) -> None:
    of_another = await room.fold(await room.starts(30, reservation=await _keep(room, 10, 60, card="ELSE")))
    unknown = await room.fold(await room.starts(40, reservation=4711))
    number = await _keep(room, 10, 90, group="FLEET")
    await room.pool.execute(
        "INSERT INTO token_event (uid, kind, group_id, at) VALUES ('DEMO-2', 'issued', 'FLEET', $1)", BEGIN
    )
    of_the_group = await room.fold(await room.starts(50, token="demo-2", reservation=number))
    named_again = await room.fold(await room.starts(70, token="demo-2", reservation=number))

    found = [_reserved(each) for each in (of_another, unknown, of_the_group, named_again)]
    assert found == [[], [], [(at(10), at(50))], []]


async def test_a_queued_start_takes_from_the_session_before_it_what_a_status_said_of_a_later_one(room: Room) -> None:
    """The newest status comes at once, the transactions before it from the queue."""
    first = await room.starts(0)
    await room.stops(first, 30, 1000)
    await room.reports("Available", 102)
    before = (await room.fold(first)).released_at
    await room.pool.execute("DELETE FROM session_due")

    second = await room.starts(103, stamped=at(50))
    await room.pool.execute("UPDATE session SET created_at = now() WHERE id = $1", second)
    await room.fold(second)

    due = [row["session"] for row in await room.pool.fetch("SELECT DISTINCT session FROM session_due")]
    assert before == at(102)
    assert first in due
    assert (await room.fold(first)).released_at is None


async def test_who_begins_while_the_session_before_it_is_folded_is_folded_again_with_its_end(
    room: Room, database: str
) -> None:
    first = await room.starts(0)
    await room.hears(
        ReadingsReported(evse=1, connector=1, transaction=str(first), readings=(register_of(5, 2000),)), at(5)
    )
    await room.fold(first)
    await room.stops(first, 10, 5000)
    owner = await asyncpg.connect(database)
    try:
        await owner.execute(
            "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END'"
        )
        await owner.execute(
            f"CREATE TRIGGER waits BEFORE UPDATE ON session FOR EACH ROW WHEN (NEW.id = {first}) EXECUTE FUNCTION wait()"
        )
    finally:
        await owner.close()
    async with room.pool.acquire() as connection:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(1)")
            folds = asyncio.create_task(room.fold(first))
            await until(partial(connection.fetchval, WAITS), what="the fold waits before it is stored")
            second = await room.starts(20, register_wh=Decimal(5000))
            await room.fold(second)
            await room.pool.execute("DELETE FROM session_due")  # all that was heard is folded, or being folded
            early = await connection.fetchval("SELECT flags FROM session WHERE id = $1", second)
        await folds
    while await room.sessions.project_due():
        pass

    assert early == ["register_gap"]
    assert await room.pool.fetchval("SELECT flags FROM session WHERE id = $1", second) == []


def register_of(minutes: float, wh: int) -> Reading:
    return Reading(at=at(minutes), samples=(Sample(value=Decimal(wh)),), key=f"{minutes} {wh}".encode())
