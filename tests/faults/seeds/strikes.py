"""How each fault is brought about. Whatever struck is over when `Strikes.heal()` has returned."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import asyncpg

from csms.nodes.service import live_nodes
from simulators.charge_point import SimulatedChargePoint
from simulators.faults import FaultyProxy
from tests.faults.seeds.ground import STALLED, Place
from tests.faults.seeds.schedule import Fault, Strike
from tests.faults.world import ServerProcess, freeze, postmaster_pid, thaw, until

OURS: Final = "seeds"
"""Connections of this name are the test's."""
TERMINATE: Final = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE datname = current_database() AND application_name NOT IN ('seeds', 'csms cli')
"""


@contextlib.asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(dsn, server_settings={"application_name": OURS})
    try:
        yield connection
    finally:
        await connection.close()


def _files_of(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


class Strikes:
    """`roads` lead charge points to servers, in the order of the charge points."""

    def __init__(
        self,
        place: Place,
        roads: Sequence[FaultyProxy],
        stations: Sequence[SimulatedChargePoint],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._place = place
        self._roads = roads
        self._stations = stations
        self._tasks = tasks
        self._late: list[asyncio.Task[None]] = []

    async def strike(self, strike: Strike) -> None:
        await HOW[strike.fault](self, strike)

    async def heal(self) -> None:
        """What was only begun ends; roads are as good as any."""
        for road in self._roads:
            road.delay_s, road.cut_answers = 0, 0
        await asyncio.gather(*self._late)

    # --- the network

    def _road(self, strike: Strike) -> FaultyProxy:
        return self._roads[strike.who]

    async def cut(self, strike: Strike) -> None:
        self._road(strike).cut()

    async def lose_answers(self, strike: Strike) -> None:
        self._road(strike).cut_answers = strike.times

    async def deafen(self, strike: Strike) -> None:
        self._road(strike).blackhole_down = True
        await asyncio.sleep(strike.lasts_s)
        self._road(strike).blackhole_down = False
        self._road(strike).cut()

    async def freeze(self, strike: Strike) -> None:
        self._road(strike).pause()
        await asyncio.sleep(strike.lasts_s)
        self._road(strike).resume()

    async def slow(self, strike: Strike) -> None:
        self._road(strike).delay_s = strike.lasts_s

    async def refuse(self, strike: Strike) -> None:
        self._road(strike).refuse = True
        self._road(strike).cut()
        await asyncio.sleep(strike.lasts_s)
        self._road(strike).refuse = False

    async def vanish(self, strike: Strike) -> None:
        """The server hears late, or never, that the old connection has ended."""
        old = self._road(strike).vanish()
        self._stations[strike.who].link.cut()

        async def end_late() -> None:
            await asyncio.sleep(strike.lasts_s)
            for pair in old:
                pair.abort()

        self._late.append(self._tasks.create_task(end_late()))

    async def move(self, strike: Strike) -> None:
        road = self._road(strike)
        road.target_port = next(node.port for node in self._place.nodes if node.port != road.target_port)
        await self.vanish(strike)

    # --- servers

    def _node(self, strike: Strike) -> ServerProcess:
        return self._place.nodes[strike.node]

    async def kill(self, strike: Strike) -> None:
        await self._node(strike).kill()
        await asyncio.sleep(strike.lasts_s)
        await self._node(strike).start()

    async def restart(self, strike: Strike) -> None:
        code = await self._node(strike).terminate()
        assert code == 0, f"SIGTERM ended node {strike.node} with {code}"
        await self._node(strike).start()

    async def take_files(self, strike: Strike) -> None:
        """Those of the connections are taken as they become free."""
        pid = self._node(strike).pid
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (_files_of(pid) - len(self._roads), hard))
        for road in self._roads:
            road.cut()
        await asyncio.sleep(strike.lasts_s)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))

    async def kill_worker(self, _strike: Strike) -> None:
        async with connected(self._place.dsn) as connection:
            before = {each["pid"] for each in await live_nodes(connection)}
            victim = min(before)
            with contextlib.suppress(ProcessLookupError):  # an earlier node, whose lease has not run out
                os.kill(victim, signal.SIGKILL)

            async def is_replaced() -> bool:
                return bool({each["pid"] for each in await live_nodes(connection)} - before)

            await until(is_replaced, what="another worker has taken its place", within_s=60)

    # --- the database

    @contextlib.asynccontextmanager
    async def _stalled(self) -> AsyncIterator[asyncpg.Connection[Any]]:
        """Facts are written, and their commit does not end."""
        async with connected(self._place.dsn) as connection:
            await connection.execute("SELECT pg_advisory_lock($1)", STALLED)
            yield connection

    async def disconnect(self, _strike: Strike) -> None:
        async with connected(self._place.dsn) as connection:
            await connection.execute(TERMINATE)

    async def stall(self, strike: Strike) -> None:
        async with self._stalled():
            await asyncio.sleep(strike.lasts_s)

    async def stall_and_kill(self, strike: Strike) -> None:
        async with self._stalled() as connection:
            await asyncio.sleep(strike.lasts_s)
            await self._node(strike).kill()
            await connection.execute(TERMINATE)  # Postgres would go on for a client that has died
        await self._node(strike).start()

    async def stall_and_disconnect(self, strike: Strike) -> None:
        async with self._stalled() as connection:
            await asyncio.sleep(strike.lasts_s)
            await connection.execute(TERMINATE)

    async def kill_postgres(self, _strike: Strike) -> None:
        before = postmaster_pid(self._place.data_dir)
        os.kill(before, signal.SIGKILL)

        async def is_replaced() -> bool:
            with contextlib.suppress(FileNotFoundError, IndexError, ValueError):
                return postmaster_pid(self._place.data_dir) != before
            return False

        await until(is_replaced, what="Postgres was started again")

    async def freeze_postgres(self, strike: Strike) -> None:
        pids = freeze(self._place.data_dir)
        await asyncio.sleep(strike.lasts_s)
        thaw(pids)


HOW: Final[Mapping[Fault, Callable[[Strikes, Strike], Awaitable[None]]]] = {
    Fault.CUT: Strikes.cut,
    Fault.LOSE_ANSWERS: Strikes.lose_answers,
    Fault.DEAFEN: Strikes.deafen,
    Fault.FREEZE: Strikes.freeze,
    Fault.VANISH: Strikes.vanish,
    Fault.SLOW: Strikes.slow,
    Fault.REFUSE: Strikes.refuse,
    Fault.MOVE: Strikes.move,
    Fault.KILL: Strikes.kill,
    Fault.RESTART: Strikes.restart,
    Fault.FILES: Strikes.take_files,
    Fault.DISCONNECT: Strikes.disconnect,
    Fault.STALL: Strikes.stall,
    Fault.STALL_AND_KILL: Strikes.stall_and_kill,
    Fault.STALL_AND_DISCONNECT: Strikes.stall_and_disconnect,
    Fault.OUTAGE: Strikes.stall,
    Fault.KILL_WORKER: Strikes.kill_worker,
    Fault.KILL_POSTGRES: Strikes.kill_postgres,
    Fault.FREEZE_POSTGRES: Strikes.freeze_postgres,
}
