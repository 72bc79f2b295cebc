"""One world from its first connection to its verdict."""

from __future__ import annotations

import asyncio
import contextlib
import random
import traceback
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from csms.database.pool import UNAVAILABLE, connect_once
from csms.nodes.routing import ask
from csms.protocol.vocabulary import TriggerMessage
from simulators.charge_point import Build, RetryPolicy, SimulatedChargePoint
from simulators.faults import FaultyProxy, MessageFaults, Pair, faulty_proxy
from tests.faults.books import Summary, assert_nothing_lost
from tests.faults.load import Fleet, charging, usual_build
from tests.faults.seeds.ground import PASSWORD, Ground, Place
from tests.faults.seeds.schedule import Schedule, schedule_of
from tests.faults.seeds.strikes import OURS, Strikes
from tests.faults.seeds.wiretap import Wiretap
from tests.faults.world import until

PACE_S = 0.25
TICK_S = 0.05
OVERLAP_TICKS_MAX = 100
"""A socket that was replaced is closed within 1 s (P12); so many ticks, because this machine may be busy."""
LIVELY = 3
"""Messages that are answered after everything was healed, at the least."""
PATIENT = RetryPolicy(attempts=50, interval_s=0.02)
"""So many messages are lost that three attempts would not do."""
COMMAND_S = 40.0
"""Patience with a command: an answer that comes later than that is none that another CALL may not cross."""
HEARTBEAT = TriggerMessage(message="Heartbeat")
WORLD_S_MAX = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a seed; `problem` is empty where all is well."""

    seed: int
    problem: str = ""
    summary: Summary | None = None
    injected: dict[str, int] = field(default_factory=dict)
    asked: int = 0
    """Calls of the server to its charge points."""

    def __str__(self) -> str:
        if self.summary is None or self.problem:
            return f"{schedule_of(self.seed)}\n{self.problem}\nreplay: python -m tests.faults.seeds {self.seed}"
        done = self.summary
        return f"seed {self.seed}: {done.messages} messages, {done.sessions} sessions, {done.billed} billed"


async def judge(ground: Ground, seed: int) -> Verdict:
    """Run the world of a seed, whatever comes of it."""
    try:
        async with asyncio.timeout(WORLD_S_MAX):
            return await World(schedule_of(seed)).run(ground)
    except Exception as failure:  # noqa: BLE001 - the other worlds go on
        told = [f"{each}" for each in _each(failure) if isinstance(each, AssertionError)]
        return Verdict(seed=seed, problem="\n".join(told) or "".join(traceback.format_exception(failure)))


def _each(failure: BaseException) -> list[BaseException]:
    if isinstance(failure, BaseExceptionGroup):
        return [each for inner in failure.exceptions for each in _each(inner)]
    return [failure]


def assert_sound(place: Place) -> None:
    """Its servers run, and have logged nothing that only a bug of ours brings about."""
    assert not (bugs := [bug for node in place.nodes for bug in node.bugs()]), bugs
    assert all(node.runs for node in place.nodes), "a server has ended by itself"


class World:
    """A few charge points, their ways to the server, and what strikes them."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.taps = [
            Wiretap(
                name=station.name,
                counts_ids=station.counts_ids,
                faults=_losing(schedule, n),
                chance=random.Random(f"wire {schedule.seed} {n}"),
            )
            for n, station in enumerate(schedule.stations)
        ]
        self.problems: list[str] = []

    async def run(self, ground: Ground) -> Verdict:
        """Everything, and what was found.

        Raises:
            AssertionError: a promise is broken.
        """
        async with ground.place(self.schedule) as place, self._roads(place) as roads:
            ways = {station.name: road.url for station, road in zip(self.schedule.stations, roads, strict=True)}
            passwords = dict.fromkeys(ways, PASSWORD)
            async with charging(ways, passwords, pace_s=PACE_S, build=self._build) as fleet:
                await self._pass(place, roads, fleet)
                await fleet.rest()
                await self._reach_everybody(place, roads, fleet)
            assert not (found := [*self.problems, *self._seen(fleet)]), "\n".join(found)
            summary = await assert_nothing_lost(place.dsn, fleet.truths, alone=bool(self.schedule.nodes))
            assert summary.sessions == summary.billed > 0, summary
            if self.schedule.nodes:
                assert_sound(place)
        injected: dict[str, int] = {}
        for tap in self.taps:
            for kind, count in tap.faults.injected.items():
                injected[kind] = injected.get(kind, 0) + count
        asked = sum(tap.asked for tap in self.taps)
        return Verdict(seed=self.schedule.seed, summary=summary, injected=injected, asked=asked)

    @contextlib.asynccontextmanager
    async def _roads(self, place: Place) -> AsyncIterator[list[FaultyProxy]]:
        async with contextlib.AsyncExitStack() as stack:
            yield [
                await stack.enter_async_context(faulty_proxy(place.nodes[n % len(place.nodes)].url))
                for n in range(len(self.taps))
            ]

    def _build(self, index: int) -> Build:
        station, lossy = self.schedule.stations[index], bool(self.schedule.losses)
        return usual_build(
            index,
            protocol=station.protocol,
            seed=self.schedule.seed,
            wrap=self.taps[index].wrap,
            **({"retry": PATIENT, "call_timeout_s": 1.0} if lossy else {"call_timeout_s": 30.0}),
        )

    # --- its course

    async def _pass(self, place: Place, roads: Sequence[FaultyProxy], fleet: Fleet) -> None:
        async with asyncio.TaskGroup() as tasks:
            watching = [
                tasks.create_task(self._count_sockets(roads)),
                tasks.create_task(self._ask_now_and_then(place, fleet.stations)),
            ]
            strikes = Strikes(place, roads, fleet.stations, tasks)
            for strike in self.schedule.strikes:
                await fleet.heard(strike.after)
                await strikes.strike(strike)
            await strikes.heal()
            await fleet.heard(LIVELY)
            for task in watching:
                task.cancel()

    async def _count_sockets(self, roads: Sequence[FaultyProxy]) -> None:
        """At every tick: of a charge point's sockets that servers hold, all but the newest are being closed."""
        older: dict[Pair, int] = {}
        while True:
            await asyncio.sleep(TICK_S)
            replaced = [pair for road in roads for pair in _replaced(road)]
            older = {pair: older.get(pair, 0) + 1 for pair in replaced}
            if any(ticks == OVERLAP_TICKS_MAX for ticks in older.values()):
                self.problems.append("a socket stays open though a newer one of the same charge point is")

    async def _ask_now_and_then(self, place: Place, stations: Sequence[SimulatedChargePoint]) -> None:
        """Two commands at once for the same charge point, so that one has to wait; both may fail now."""
        chance = random.Random(f"operator {self.schedule.seed}")
        while True:
            await asyncio.sleep(chance.random())
            name = chance.choice(stations).identity
            with contextlib.suppress(*UNAVAILABLE, FileNotFoundError, KeyError):
                await asyncio.gather(*(_outcome(place, name) for _ in range(2)), return_exceptions=True)

    async def _reach_everybody(self, place: Place, roads: Sequence[FaultyProxy], fleet: Fleet) -> None:
        """Whoever is connected gets commands, over the one socket that is left."""

        async def single() -> bool:
            return all(len(road.pairs) == 1 for road in roads)

        await until(single, what="each charge point has one socket", within_s=20)
        for station in fleet.stations:
            await station.ask(station.dialect.boot_request("Triggered"))  # calls wait for it on a fresh socket

            async def reached(name: str = station.identity) -> bool:
                return str((await _outcome(place, name)).status) == "Accepted"

            await until(reached, what=f"{station.identity}, which is connected, gets a command", within_s=COMMAND_S)

    def _seen(self, fleet: Fleet) -> list[str]:
        """What may happen in no world: two CALLs in flight, a CALLERROR, in a network that loses nothing a time-out."""
        failures = fleet.failures()
        if self.schedule.losses:
            failures = [each for each in failures if "TimeoutError" not in each]
        refused = [
            f"{station.identity}: {line.detail}"
            for station in fleet.stations
            for line in station.truth.log
            if line.what == "refused" and "InternalError" in line.detail
        ]
        return [*(problem for tap in self.taps for problem in tap.problems), *failures, *refused]


def _losing(schedule: Schedule, n: int) -> MessageFaults:
    losses: dict[str, Any] = dict(schedule.losses)
    return MessageFaults(seed=schedule.seed * 10 + n, own_calls_only=True, **losses)


def _replaced(road: FaultyProxy) -> list[Pair]:
    """Connections to servers, but for the newest over which one has answered."""
    answered = [pair for pair in road.pairs if pair.bytes_down]
    newest = max(answered, key=lambda pair: pair.number, default=None)
    return [pair for pair in road.pairs if newest is not None and pair.number < newest.number]


async def _outcome(place: Place, name: str) -> Any:
    async with connect_once(place.dsn, name=OURS) as connection:
        return await ask(connection, name, HEARTBEAT, actor="operator", timeout_s=COMMAND_S)
