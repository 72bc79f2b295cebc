"""When sessions are folded: starts and ends at once, readings at their turn, each session once however much it said."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from csms.charge_points import service as charge_points
from csms.charge_points.service import Choices
from csms.intake.arrival import Arrival
from csms.intake.ingest import Ingest
from csms.protocol.vocabulary import ChargingEvent, EventKind, Reading, Sample
from csms.sessions import service as projector
from csms.sessions.service import Sessions
from csms.settings import load_settings
from csms.sites import service as sites

CP = "CP-1"
NEVER_S = 100_000
BEGIN = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)


class Room:
    """The sessions room of a server, without sockets and without anybody's turn but by request."""

    def __init__(self, pool: Any) -> None:
        settings = load_settings({}, projection_interval_s=NEVER_S, sweep_interval_s=NEVER_S)
        self.pool = pool
        self.sessions = Sessions(pool, settings)

    async def hears(self, fact: ChargingEvent, *, wakes: bool = True) -> None:
        ingest = Ingest(self.pool, committed=self.sessions.wake) if wakes else Ingest(self.pool)
        now = datetime.now(UTC)
        await ingest.flush([Arrival(charge_point=CP, fact=fact, frame="[]", socket=None, received_at=now)])

    async def due(self) -> int:
        return int(await self.pool.fetchval("SELECT count(*) FROM session_due"))

    async def energy_wh(self, transaction: str) -> Decimal | None:
        energy: Decimal | None = await self.pool.fetchval(
            "SELECT energy_wh FROM session WHERE transaction = $1", transaction
        )
        return energy

    async def until_folded(self, transaction: str, *, energy_wh: int = 0) -> None:
        async with asyncio.timeout(20):
            while await self.energy_wh(transaction) != energy_wh:  # noqa: ASYNC110 - a row in the database tells
                await asyncio.sleep(0.01)


@pytest.fixture
async def room(pool: Any) -> Room:
    async with pool.acquire() as connection:
        await sites.create(connection, "s", name="S", country="DE", time_zone="Europe/Berlin", currency="EUR")
        await charge_points.create(connection, CP, Choices(site="s", security_profile=0), key=b"k")
    made = Room(pool)
    await made.sessions.prepare()
    return made


@pytest.fixture
async def running(room: Room) -> AsyncIterator[Room]:
    """The projector runs; its first turn is over, the next one never comes."""
    await room.hears(replace(event(EventKind.STARTED, "FIRST", 0, 0), evse=9), wakes=False)
    task = asyncio.create_task(room.sessions.run())
    await room.until_folded("FIRST")
    yield room
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def event(kind: EventKind, transaction: str, seq_no: int, register_wh: int) -> ChargingEvent:
    at = BEGIN + timedelta(minutes=seq_no)
    return ChargingEvent(
        kind=kind, at=at, key=f"{transaction}-{seq_no}".encode(), transaction=transaction, evse=1, connector=1,
        seq_no=seq_no, readings=(reading(at, register_wh),),
    )  # fmt: skip


def reading(at: datetime, register_wh: int) -> Reading:
    register = Sample(value=Decimal(register_wh), measurand="Energy.Active.Import.Register", unit="Wh")
    return Reading(at=at, samples=(register,), key=f"{at.isoformat()}-{register_wh}".encode())


async def test_a_start_is_folded_at_once(running: Room) -> None:
    await running.hears(event(EventKind.STARTED, "A", 0, 1000))

    await running.until_folded("A")


async def test_an_end_is_folded_at_once_with_all_that_waited(running: Room) -> None:
    await running.hears(event(EventKind.STARTED, "A", 0, 1000))
    await running.until_folded("A")
    await running.hears(event(EventKind.UPDATED, "A", 1, 1200))
    await running.hears(event(EventKind.ENDED, "A", 2, 1500))

    await running.until_folded("A", energy_wh=500)
    assert await running.due() == 0


async def test_an_update_of_one_session_waits_while_the_start_of_another_is_folded(running: Room) -> None:
    await running.hears(event(EventKind.STARTED, "A", 0, 1000))
    await running.until_folded("A")
    await running.hears(event(EventKind.UPDATED, "A", 1, 1200))
    await running.hears(replace(event(EventKind.STARTED, "B", 0, 7000), evse=2))
    await running.until_folded("B")

    assert await running.due() == 1
    assert await running.energy_wh("A") == 0


async def test_a_session_that_said_much_is_folded_once_a_turn(room: Room) -> None:
    await room.hears(event(EventKind.STARTED, "A", 0, 1000))
    for n in range(1, 3 * projector.BATCH_MAX):
        await room.hears(event(EventKind.UPDATED, "A", n, 1000 + n))

    is_more = await room.sessions.project_due()

    assert not is_more
    assert await room.due() == 0
    assert await room.energy_wh("A") == 3 * projector.BATCH_MAX - 1


async def test_who_has_waited_longest_is_folded_first(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projector, "BATCH_MAX", 1)
    await room.hears(event(EventKind.STARTED, "A", 0, 1000))
    await room.hears(replace(event(EventKind.STARTED, "B", 0, 7000), evse=2))
    await room.hears(event(EventKind.UPDATED, "A", 1, 1200))

    assert await room.sessions.project_due()
    assert await room.energy_wh("A") == 200
    assert await room.energy_wh("B") is None
    assert await room.sessions.project_due()
    assert not await room.sessions.project_due()
    assert await room.energy_wh("B") == 0
