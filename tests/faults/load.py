"""Simulated charge points under load: they charge, sample and stop until told to end, and keep their truth."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from simulators.charge_point import (
    Build,
    Credentials,
    ModelClock,
    ReconnectPolicy,
    RetryPolicy,
    SimulatedChargePoint,
    SteadyLoad,
    Truth,
)
from tests.faults.world import TOKEN

SAMPLES = 4
SAMPLE_EVERY = timedelta(minutes=5)
SESSION_WH = Decimal(4000)
SESSIONS_MAX = 100
"""Model time stays in the past: a session of the future is not believed."""
BACKLOG_MAX = 30
"""Whoever is behind with telling begins no other session: a fleet that is killed every second would never catch up."""
MODEL_AGE = timedelta(days=2)
EAGER = ReconnectPolicy(wait_s=0.1, range_s=0.2, doublings=0, open_timeout_s=5.0, close_timeout_s=0.5)
EMPTIED_S_MAX = 120.0


@dataclass(slots=True)
class Fleet:
    """Charge points that live in this process while servers and databases die."""

    stations: list[SimulatedChargePoint]
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    working: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def truths(self) -> dict[str, Truth]:
        return {station.identity: station.truth for station in self.stations}

    def told(self) -> int:
        """Transaction messages answered so far."""
        return sum(len(station.truth.told) for station in self.stations)

    def failures(self) -> list[str]:
        """CALLERRORs and time-outs of transaction messages, be they repeated with success or not."""
        return [f"{each.identity}: {failure}" for each in self.stations for failure in each.outbox.failures]

    def connected(self) -> list[str]:
        return [each.identity for each in self.stations if each.link.connected.is_set()]

    def closed(self, code: int) -> list[str]:
        """Charge points whose socket was closed with this code at least once."""
        return [each.identity for each in self.stations if each.link.counts.closed[code]]

    async def heard(self, more: int) -> None:
        """Wait until so many more messages were answered: there is load."""
        goal = self.told() + more
        async with asyncio.timeout(EMPTIED_S_MAX):
            while self.told() < goal:  # noqa: ASYNC110 - the simulators count, they do not call
                await asyncio.sleep(0.02)

    async def rest(self) -> None:
        """End what is being done and tell it all; everybody stays connected."""
        self.ending.set()
        await asyncio.gather(*self.working)


@contextlib.asynccontextmanager
async def charging(
    url: str | Mapping[str, str],
    passwords: Mapping[str, str],
    *,
    pace_s: float = 0.05,
    busy: int | None = None,
    samples: int = SAMPLES,
    build: Callable[[int], Build] | None = None,
    **given: Any,
) -> AsyncIterator[Fleet]:
    """A fleet that charges, half of it in each version, while the block runs; then it ends what it does and tells it all.

    `url`: of the server, or of each charge point's way to it. `busy`: so many of them charge, the others are only there;
    None: all. `samples`: of each session.
    """
    ways = dict.fromkeys(passwords, url) if isinstance(url, str) else url
    start = datetime.now(UTC).replace(microsecond=0) - MODEL_AGE
    fleet = Fleet([])
    async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        for index, (identity, password) in enumerate(passwords.items()):
            station = SimulatedChargePoint(
                Credentials(url=ways[identity], identity=identity, password=password),
                ModelClock(start),
                build(index) if build else usual_build(index, **given),
            )
            fleet.stations.append(await stack.enter_async_context(station))
        for station in fleet.stations[:busy]:
            fleet.working.add(tasks.create_task(_charge(station, fleet.ending, pace_s=pace_s, samples=samples)))
        for station in [] if busy is None else fleet.stations[busy:]:
            fleet.working.add(tasks.create_task(_idle(station, fleet.ending)))
        try:
            yield fleet
        finally:
            fleet.ending.set()


def usual_build(index: int, **given: Any) -> Build:
    """Spec-following: three attempts, waits that grow."""
    values: dict[str, Any] = {
        "protocol": "ocpp2.0.1" if index % 2 else "ocpp1.6",
        "register_wh": Decimal(100_000),
        "sample_every": SAMPLE_EVERY,
        "retry": RetryPolicy(attempts=3, interval_s=0.5),
        "reconnect": EAGER,
        "call_timeout_s": 5.0,
        "settle_timeout_s": 1.0,
    }
    return Build(**{**values, **given})


async def _idle(station: SimulatedChargePoint, ending: asyncio.Event) -> None:
    await station.boot()
    await ending.wait()
    await _tell_all(station)


async def _charge(station: SimulatedChargePoint, ending: asyncio.Event, *, pace_s: float, samples: int) -> None:
    await station.boot()
    sessions = 0
    while not ending.is_set() and sessions < SESSIONS_MAX:
        await _session(station, pace_s=pace_s, samples=samples)
        sessions += 1
        while len(station.outbox) > BACKLOG_MAX and not ending.is_set():  # noqa: ASYNC110 - the simulators do not call
            await asyncio.sleep(pace_s)
    await ending.wait()
    await _tell_all(station)


async def _session(station: SimulatedChargePoint, *, pace_s: float, samples: int) -> None:
    await station.plug()
    await station.authorize(TOKEN)
    await station.start(token=TOKEN)
    await station.draw(1, SteadyLoad(SESSION_WH, Decimal(samples * SAMPLE_EVERY.total_seconds())))
    for _ in range(samples):
        await station.advance(SAMPLE_EVERY)
        await asyncio.sleep(pace_s * (0.5 + station.chance.random()))
    await station.stop()
    await station.unplug()
    await station.advance(timedelta(minutes=1))
    await asyncio.sleep(pace_s)


async def _tell_all(station: SimulatedChargePoint) -> None:
    """Until every message was answered, retries and reconnects included."""
    assert await station.outbox.emptied(EMPTIED_S_MAX), (
        f"{station.identity} still has {len(station.outbox)} messages; {station.outbox.failures[-3:]}"
    )
