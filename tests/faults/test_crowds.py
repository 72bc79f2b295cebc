"""More charge points than there are files to open, and one that comes back again and again (C9, C12)."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from websockets.exceptions import InvalidMessage, InvalidStatus

from csms.database.pool import connect_once
from tests.faults.wire import Reply, Wire, boot, meter_values_16, start_16, wire
from tests.faults.world import commission, installation, rounds, until

OPEN_FILES_MAX = 256
CROWD = 400
SERVED_MAX = 230
SERVED_MIN = 150
"""The other files are the program's own, its connections to the database, and those with which some are refused."""
LINES_MAX = 10
T0 = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)


@dataclass
class Door:
    """A server at which charge points knock."""

    url: str
    passwords: dict[str, str]
    sockets: contextlib.AsyncExitStack
    served: dict[str, Wire] = field(default_factory=dict)
    refused: Counter[int] = field(default_factory=Counter)
    """By HTTP status; 0: let go of without a word."""

    async def come(self, name: str) -> bool:
        try:
            self.served[name] = await self.sockets.enter_async_context(wire(self.url, name, self.passwords[name]))
        except InvalidStatus as refused:
            self.refused[refused.response.status_code] += 1
        except (InvalidMessage, OSError, TimeoutError):
            self.refused[0] += 1
        return name in self.served

    async def crowd(self) -> None:
        """Everybody who is not served, at once."""
        await asyncio.gather(*(self.come(name) for name in self.passwords if name not in self.served))

    async def ask_all(self) -> list[Reply]:
        """A transaction message of each that is served."""
        return list(
            await asyncio.gather(*(each.call("StartTransaction", start_16(T0)) for each in self.served.values()))
        )


def errors(replies: Iterable[Reply]) -> list[str]:
    return [reply.error for reply in replies if reply.error is not None]


async def test_as_many_are_served_as_there_are_files_for_and_the_others_are_refused(
    database: str, tmp_path: Path
) -> None:
    """C12. Nobody who is served feels it, and the log stays short."""
    async with (
        installation(tmp_path, dsn=database, open_files_max=OPEN_FILES_MAX) as server,
        contextlib.AsyncExitStack() as sockets,
    ):
        names = [f"CP-{n}" for n in range(CROWD)]
        door = Door(server.url, await commission(database, tmp_path, names), sockets)
        await door.crowd()
        served = dict(door.served)
        assert SERVED_MIN <= len(served) <= SERVED_MAX

        for _ in range(3):
            _, replies = await asyncio.gather(door.crowd(), door.ask_all())
            assert errors(replies) == []
        assert served.items() <= door.served.items()
        assert len(door.served) <= SERVED_MAX
        assert set(door.refused) <= {0, 503}
        assert door.refused[503]

        told = [line for line in server.log_lines() if line["event"] != "connection_opened"]
        assert len(told) <= LINES_MAX, told
        assert not server.bugs()

        gone, late = next(iter(served)), next(name for name in names if name not in served)
        await served[gone].socket.close()
        await until(lambda: door.come(late), what="whoever comes takes the place of one that has gone")
        assert errors([await door.served[late].call("Heartbeat", {})]) == []


async def test_the_first_message_of_its_kind_needs_no_file(database: str, tmp_path: Path) -> None:
    """Where nobody can open one any more, schemas are at hand: nothing is quarantined for want of them."""
    async with installation(tmp_path, dsn=database) as server:
        passwords = await commission(database, tmp_path, ["CP-1"])
        async with wire(server.url, "CP-1", passwords["CP-1"]) as station:
            _, hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (3, hard))
            replies = [await station.call("Heartbeat", {}), await station.call("StartTransaction", start_16(T0))]
            started = replies[1].payload["transactionId"]
            replies.append(await station.call("MeterValues", meter_values_16(started, T0, meter_wh=1000)))
            resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (hard, hard))
        bugs = server.bugs()
        async with connect_once(database) as connection:
            quarantined = await connection.fetchval("SELECT count(*) FROM quarantine")

    assert errors(replies) == []
    assert (bugs, quarantined) == ([], 0)


async def test_a_charge_point_that_reconnects_again_and_again_is_served_told_of_and_felt_by_nobody(
    database: str, tmp_path: Path
) -> None:
    """C9. A hundred times a minute for five minutes, faster; it is in the middle of a session, and so is another one."""
    comings = rounds(100, 500, of="C9")
    async with installation(tmp_path, dsn=database) as server:
        passwords = await commission(database, tmp_path, ["CP-1", "CP-2"])
        async with wire(server.url, "CP-2", passwords["CP-2"]) as other:
            async with wire(server.url, "CP-1", passwords["CP-1"]) as first:
                started = [await each.call("StartTransaction", start_16(T0)) for each in (first, other)]
            restless, steady = (reply.payload["transactionId"] for reply in started)
            for coming in range(1, comings + 1):
                at = T0 + timedelta(seconds=coming)
                async with wire(server.url, "CP-1", passwords["CP-1"]) as again:
                    told = meter_values_16(restless, at, meter_wh=1000 + coming)
                    assert errors([await boot(again), await again.call("MeterValues", told)]) == []
                told = meter_values_16(steady, at, meter_wh=1000 + coming)
                assert errors([await other.call("MeterValues", told)]) == []
        assert not server.bugs()
        await until(lambda: _alarmed(database), what="the operator is told")
        async with connect_once(database) as connection:
            readings = await connection.fetch("SELECT charge_point, count(*) FROM reading GROUP BY 1 ORDER BY 1")
            alarms = await connection.fetch("SELECT type, charge_point, count(*) FROM security_event GROUP BY 1, 2")
        lines = [line for line in server.log_lines() if line["event"] == "reconnects_often"]

    assert [tuple(row) for row in readings] == [("CP-1", comings), ("CP-2", comings)]
    assert [tuple(row) for row in alarms] == [("ReconnectFlood", "CP-1", 1)]
    assert [line["charge_point"] for line in lines] == ["CP-1"]


async def _alarmed(dsn: str) -> bool:
    async with connect_once(dsn) as connection:
        return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM security_event)"))
