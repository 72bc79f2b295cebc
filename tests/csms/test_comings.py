"""Charge points that come, boot and go in crowds: each is told what concerns it, and none of another's failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from billing import NotFound
from csms.charge_points import service as charge_points
from csms.charge_points.charge_point import ChargePoint, Proof
from csms.charge_points.service import Boot, Choices, Registered
from csms.comings import Comings
from csms.gateway.admission import STUCK_S
from csms.gateway.application import SocketInfo
from csms.nodes.service import Node, SocketEnd
from csms.protocol.vocabulary import Booted, Protocol, Registration
from csms.sites import service as sites

COUNT = 60
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
async def known(pool: asyncpg.Pool[Any]) -> list[ChargePoint]:
    """One of them is Pending, another has no template."""
    async with pool.acquire() as connection:
        await sites.create(connection, "here", name="Here", country="DE", time_zone="Europe/Berlin", currency="EUR")
        made = []
        for n in range(COUNT):
            registration = Registration.PENDING if n == 3 else None
            choices = Choices(site="here", registration=registration, template=n != 4)
            made.append((await charge_points.create(connection, f"CP-{n}", choices, key=b"k"))[0])
        return made


@asynccontextmanager
async def running(pool: asyncpg.Pool[Any], database: str) -> AsyncIterator[Comings]:
    node = Node(pool, database, lease_s=10)
    await node.enter(ocpp_url="ws://node.example/ocpp", http_url="http://node.example")
    comings = Comings(pool, node, at_once=2, patience_s=5)
    run = asyncio.create_task(comings.run())
    try:
        yield comings
    finally:
        run.cancel()
        await asyncio.wait((run,))


def socket_of(charge_point: ChargePoint) -> SocketInfo:
    return SocketInfo(
        charge_point=charge_point,
        protocol=Protocol.V16,
        id=str(uuid4()),
        remote="192.0.2.1",
        opened_at=AT,
        proof=Proof(profile=1, by_password=True),
    )


def boot_of(name: str, firmware: str = "1", at: datetime = AT) -> Boot:
    return Boot(charge_point=name, told=Booted(vendor="Example", model="One", firmware=firmware), at=at)


async def test_a_crowd_is_booked_in_few_transactions_and_each_hears_how_it_is_registered(
    pool: asyncpg.Pool[Any], database: str, known: list[ChargePoint]
) -> None:
    sockets = [socket_of(each) for each in known]
    async with running(pool, database) as comings:
        await asyncio.gather(*map(comings.came, sockets))
        booked = await pool.fetchval("SELECT count(DISTINCT xmin::text) FROM socket")
        registered = await asyncio.gather(*(comings.booted(boot_of(each.id)) for each in known))
        ends = [SocketEnd(socket=each.id, at=AT, code=1000, reason="x" * 600) for each in sockets]
        await asyncio.gather(
            *(comings.went(socket.charge_point.id, end) for socket, end in zip(sockets, ends, strict=True))
        )

    assert booked <= 4
    assert registered[0] == Registered(Registration.ACCEPTED, template=True)
    assert registered[3] == Registered(Registration.PENDING, template=True)
    assert registered[4] == Registered(Registration.ACCEPTED, template=False)
    rows = await pool.fetch("SELECT id, charge_point, closed_at, length(close_reason) AS length FROM socket")
    assert {(str(row["id"]), row["charge_point"]) for row in rows} == {
        (each.id, each.charge_point.id) for each in sockets
    }
    assert {(row["closed_at"], row["length"]) for row in rows} == {(AT, 500)}
    assert await pool.fetchval("SELECT count(*) FROM notice WHERE kind = 'boot'") == COUNT
    assert (
        await pool.fetchval("SELECT count(*) FROM charge_point WHERE booted_at = $1 AND serial_since IS NULL", AT)
        == COUNT
    )


async def test_of_boots_that_come_together_the_last_one_counts_and_each_is_kept(
    pool: asyncpg.Pool[Any], database: str, known: list[ChargePoint]
) -> None:
    boots = [boot_of(known[0].id, firmware=f"{n}", at=AT + timedelta(seconds=n)) for n in range(5)]
    async with running(pool, database) as comings:
        await asyncio.gather(*map(comings.booted, boots))

    assert await pool.fetchval("SELECT firmware FROM charge_point WHERE id = $1", known[0].id) == "4"
    kept = await pool.fetch("SELECT body ->> 'firmware' AS firmware FROM notice ORDER BY received_at")
    assert [row["firmware"] for row in kept] == ["0", "1", "2", "3", "4"]


async def test_what_fails_fails_alone(pool: asyncpg.Pool[Any], database: str, known: list[ChargePoint]) -> None:
    """Two that were deleted since they were looked up."""
    gone = ChargePoint(id="CP-gone", site="here")
    async with running(pool, database) as comings:
        came = await asyncio.gather(*(comings.came(socket_of(each)) for each in [gone, *known]), return_exceptions=True)
        booted = await asyncio.gather(
            *(comings.booted(boot_of(each.id)) for each in [gone, *known]), return_exceptions=True
        )

    assert [type(each) for each in came] == [asyncpg.ForeignKeyViolationError, *[type(None)] * COUNT]
    assert [type(each) for each in booted] == [NotFound, *[Registered] * COUNT]
    assert await pool.fetchval("SELECT count(*) FROM socket") == COUNT


async def test_who_has_to_wait_for_a_row_keeps_nobody_waiting_who_comes_later(
    pool: asyncpg.Pool[Any], database: str, known: list[ChargePoint]
) -> None:
    async with running(pool, database) as comings, pool.acquire() as holder:
        async with holder.transaction():
            await holder.execute("SELECT FROM charge_point WHERE id = $1 FOR UPDATE", known[0].id)
            stuck = asyncio.create_task(comings.booted(boot_of(known[0].id)))
            await asyncio.sleep(2 * STUCK_S)
            others = await asyncio.gather(*(comings.booted(boot_of(each.id)) for each in known[5:]))
            assert not stuck.done()
        registered = await stuck

    assert [registered, *others] == [Registered(Registration.ACCEPTED, template=True)] * (COUNT - 4)
