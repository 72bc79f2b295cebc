"""Sockets of the whole server: a newer one takes over, and many strangers come at once (C1, D15)."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from csms.database.pool import connect_once
from tests.faults.wire import Reply, Wire, start_16, stop_16, wire
from tests.faults.world import commission, furnish, rounds, serving, until

NEWCOMERS = 50
T0 = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
BOOT = {"chargePointVendor": "Fictitious Chargers", "chargePointModel": "Simulated"}
STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Preparing"}


async def test_a_second_authenticated_socket_takes_over_in_the_middle_of_a_session(
    database: str, tmp_path: Path
) -> None:
    """C1; a stranger with a wrong password disturbs neither (C4)."""
    async with serving(database, tmp_path) as running:
        await furnish(database)
        passwords = await commission(database, tmp_path, ["CP-1"])
        async with wire(running.ocpp_url, "CP-1", passwords["CP-1"]) as old:
            started = await old.call("StartTransaction", start_16(T0))
            with pytest.raises(InvalidStatus) as refused:
                async with wire(running.ocpp_url, "CP-1", "a wrong password of enough length"):
                    pass
            assert refused.value.response.status_code == 401
            assert (await old.call("Heartbeat", {})).error is None

            async with wire(running.ocpp_url, "CP-1", passwords["CP-1"]) as new:
                assert await old.closed() == 1008
                stopped = await new.call(
                    "StopTransaction", stop_16(started.payload["transactionId"], T0 + timedelta(hours=1))
                )
                assert stopped.error is None
                await until(lambda: _open_sockets(database, 1), what="one socket is open in the books")
        await until(lambda: _open_sockets(database, 0), what="no socket is open in the books")

    async with connect_once(database) as connection:
        codes = await connection.fetch("SELECT close_code FROM socket ORDER BY opened_at")
    assert [row["close_code"] for row in codes] == [1008, 1000]


async def _open_sockets(dsn: str, count: int) -> bool:
    async with connect_once(dsn) as connection:
        return bool(await connection.fetchval("SELECT count(*) = $1 FROM socket WHERE closed_at IS NULL", count))


async def test_the_first_messages_of_fifty_new_charge_points_at_once_are_all_answered(
    database: str, tmp_path: Path
) -> None:
    """D15. Nobody gets a CALLERROR, and no deadlock comes to the surface."""
    async with serving(database, tmp_path) as running:
        await furnish(database)
        for turn in range(rounds(3, 30, of="D15")):
            names = [f"CP-{turn}-{n}" for n in range(NEWCOMERS)]
            passwords = await commission(database, tmp_path, names)
            async with contextlib.AsyncExitStack() as stack:
                stations = [
                    await stack.enter_async_context(wire(running.ocpp_url, name, passwords[name])) for name in names
                ]
                replies = [
                    reply
                    for first in await asyncio.gather(*(_first_messages(station) for station in stations))
                    for reply in first
                ]
            assert [reply.error for reply in replies if reply.error] == []
            assert len(replies) == 3 * NEWCOMERS
            async with connect_once(database) as connection:
                sessions = await connection.fetchval(
                    "SELECT count(*) FROM session WHERE charge_point = ANY ($1::text[])", names
                )
                statuses = await connection.fetchval(
                    "SELECT count(*) FROM connector WHERE charge_point = ANY ($1::text[])", names
                )
            assert (sessions, statuses) == (NEWCOMERS, NEWCOMERS)


async def _first_messages(station: Wire) -> list[Reply]:
    sent = [
        await station.send("BootNotification", BOOT),
        await station.send("StatusNotification", STATUS),
        await station.send("StartTransaction", start_16(T0)),
    ]
    return list(await asyncio.gather(*sent))
