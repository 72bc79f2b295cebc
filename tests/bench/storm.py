"""Everybody comes back at once: after a restart of the server, and with what was queued while offline."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta

from tests.bench import messages
from tests.bench.cases import Bench, close_all, open_all, open_booted
from tests.bench.figures import PERCENTILES
from tests.bench.load import percentile_of
from tests.bench.stage import Stage
from tests.bench.wire import Client, Refused, Target
from tests.bench.world import Login
from tests.ports import free_port

STORMS = {"reconnect storm": False, "reconnect storm, TLS": True}
"""With TLS or without."""
BACKLOG = "offline backlog"
BACK_PERCENTILES = (10, 25, 50, 75, 90, 99, 99.9)
_AGAIN_S = 0.1
_BACK_S_MAX = 300
_CANARIES = 5
_CANARY_PAUSE_S = 0.2


async def measure(stage: Stage, case: str) -> None:
    """The server is stopped with all charge points connected, and started again; all come at once, and have no patience."""
    count, tls = stage.plan.storm, STORMS[case]
    ports = (free_port(), free_port())  # a server that is started again needs those that it had
    loop = asyncio.get_running_loop()
    async with stage.installation(count) as installation:
        async with installation.csms(ports=ports) as bench:
            clients = await open_all(bench.target(tls=tls), bench.logins, messages.V16)
            stopped_at = loop.time()
        async with installation.csms(ports=ports) as bench:
            await asyncio.gather(*(client.lost for client in clients))
            begin, cpu_begin_s = loop.time(), bench.server.cpu_s
            storm = _Storm(bench.target(tls=tls))
            async with asyncio.timeout(_BACK_S_MAX):
                clients = await asyncio.gather(*(storm.come_back(login) for login in bench.logins))
            wall_s, cpu_s = loop.time() - begin, bench.server.cpu_s - cpu_begin_s
            figures = stage.figures
            figures.add(case, "charge points", count)
            figures.add(case, "last is back: s", wall_s)
            figures.add(case, "from the stop: s", wall_s + begin - stopped_at)
            figures.add(case, "per s", count / wall_s)
            figures.add(case, "CPU us", cpu_s / count * 1e6)
            figures.add(case, "tries each", storm.tries / count)
            for percentile in BACK_PERCENTILES:
                figures.add(case, f"p{percentile:g} is back: s", percentile_of(storm.back_s, percentile))
            installation.note_memory(case, bench)
            await close_all(clients)


class _Storm:
    """No back-off: who is refused or cut off tries again at once."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self.tries = 0
        self.back_s: list[float] = []

    async def come_back(self, login: Login) -> Client:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        while True:
            self.tries += 1
            try:
                client = await open_booted(self._target, login, messages.V16)
            except (Refused, OSError):
                await asyncio.sleep(_AGAIN_S)
            else:
                self.back_s.append(loop.time() - begin)
                return client


async def measure_backlog(stage: Stage, case: str) -> None:
    """Charge points with queued MeterValues of a running session come at once; others charge meanwhile (canaries)."""
    count, each = stage.plan.backlog
    loop = asyncio.get_running_loop()
    async with stage.installation(count + _CANARIES) as installation, installation.csms() as bench:
        offline, live = bench.logins[:count], bench.logins[count:]
        # Readings are a minute apart; the last of them is of now.
        started_at = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=each + 1)
        clients = await open_all(bench.target(), offline, messages.V16)
        transactions = [await bench.start(client, messages.V16, started_at) for client in clients]
        await close_all(clients)
        starts_s: list[float] = []
        canaries = [asyncio.create_task(_canary(bench, login, starts_s)) for login in live]
        begin, cpu_begin_s = loop.time(), bench.server.cpu_s
        await asyncio.gather(
            *(
                _deliver(bench, login, transaction, started_at, each)
                for login, transaction in zip(offline, transactions, strict=True)
            )
        )
        wall_s, cpu_s = loop.time() - begin, bench.server.cpu_s - cpu_begin_s
        for canary in canaries:
            canary.cancel()
        await asyncio.gather(*canaries, return_exceptions=True)
        figures = stage.figures
        figures.add(case, "charge points", count)
        figures.add(case, "messages of each", each)
        figures.add(case, "last is stored: s", wall_s)
        figures.add(case, "per s", count * each / wall_s)
        figures.add(case, "CPU us", cpu_s / (count * each) * 1e6)
        for percentile in PERCENTILES:
            waited_ms = percentile_of(starts_s, percentile) * 1000
            figures.add(case, f"StartTransaction of others meanwhile: p{percentile:g} ms", waited_ms)
        installation.note_memory(case, bench)


async def _deliver(bench: Bench, login: Login, transaction: str, started_at: datetime, count: int) -> None:
    client = await open_booted(bench.target(), login, messages.V16)
    queued = messages.readings(messages.V16, transaction, started_at, every_s=60)
    for frame in itertools.islice(queued, count):
        await client.ask(frame)
    await client.close()


async def _canary(bench: Bench, login: Login, starts_s: list[float]) -> None:
    """A charge point that is not part of it starts and ends sessions, and notes how long each start takes."""
    loop = asyncio.get_running_loop()
    client = await open_booted(bench.target(), login, messages.V16)
    for visit in messages.visits():
        begin = loop.time()
        transaction = await bench.begin(client, messages.V16, visit)
        starts_s.append(loop.time() - begin)
        await client.ask(visit.stop(messages.V16, transaction))
        await asyncio.sleep(_CANARY_PAUSE_S)
