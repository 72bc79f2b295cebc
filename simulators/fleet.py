"""Many simulated charge points at once: sessions, counts, latencies, and what was thrown away."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from simulators.charge_point.link import (
    Connection,
    Credentials,
    HandshakeRefusedError,
    NotConnectedError,
    ReconnectPolicy,
    only_loopback,
)
from simulators.charge_point.outbox import RetryPolicy
from simulators.charge_point.station import BootRefusedError, Build, SimulatedChargePoint
from simulators.charge_point.truth import TrueSession
from simulators.clock import ModelClock

FLEET_MAX = 10_000
LATENCIES_MAX = 1_000_000
FAILURE_LENGTH_MAX = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """What each charge point of a fleet does. Model times; ``speed`` None does not wait."""

    sessions: int = 1
    energy_wh: Decimal = Decimal(5000)
    duration: timedelta = timedelta(minutes=30)
    sample_every: timedelta = timedelta(minutes=5)
    between: timedelta = timedelta(minutes=5)
    share_201: float = 0.5
    token: str = "CARD-0001"  # noqa: S105 - a card number, no secret
    speed: float | None = None
    start: datetime | None = None  # None: such that the last session ends now
    stagger_s: float = 0.0  # real seconds over which the charge points begin
    deadline_s: float = 600.0  # real seconds after which a charge point gives up
    register_wh: Decimal = Decimal(100_000)
    reconnect: ReconnectPolicy = field(default_factory=lambda: ReconnectPolicy(wait_s=0.5, range_s=1.0))
    retry: RetryPolicy | None = None
    call_timeout_s: float = 30.0
    seed: int = 1
    wrap: Callable[[Connection], Connection] | None = None

    @property
    def length(self) -> timedelta:
        """Model time of one charge point's whole programme."""
        return (self.duration + self.between) * self.sessions


@dataclass(slots=True, kw_only=True)
class FleetReport:
    """What a fleet did."""

    charge_points: int
    seconds: float = 0.0
    finished: int = 0
    sessions: list[TrueSession] = field(default_factory=list)
    told: int = 0  # transaction messages answered
    queued: int = 0  # left over
    discarded: Counter[str] = field(default_factory=Counter)  # action -> how many were thrown away
    handshakes: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    closed: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)  # charge points that gave up, and why
    refusals: list[HandshakeRefusedError] = field(default_factory=list)  # those among them that were refused
    latencies_ms: list[float] = field(default_factory=list)

    @property
    def energy_wh(self) -> Decimal:
        """What really flowed."""
        return sum((session.energy_wh for session in self.sessions), Decimal(0))

    @property
    def messages_per_second(self) -> float:
        """Answered transaction messages per second."""
        return self.told / self.seconds if self.seconds else 0.0

    def latency_ms(self, share: float) -> float | None:
        """A percentile of the answer times (0.5, 0.99); None without any."""
        if not self.latencies_ms:
            return None
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    @property
    def ok(self) -> bool:
        """Everybody finished and nothing was lost."""
        return self.finished == self.charge_points and not self.discarded and self.queued == 0


async def run_fleet(
    n: int,
    url: str,
    credentials: Sequence[tuple[str, str]],
    plan: FleetPlan | None = None,
    *,
    on_done: Callable[[int], Any] | None = None,
) -> FleetReport:
    """Let ``n`` charge points carry out the plan, with the first ``n`` (identity, password) pairs.

    ``on_done(count)`` is called when one more has finished or given up.
    """
    plan = plan or FleetPlan()
    only_loopback(url)
    if not 1 <= n <= FLEET_MAX:
        raise ValueError(f"a fleet has 1 to {FLEET_MAX} charge points, not {n}")
    if len(credentials) < n:
        raise ValueError(f"{n} charge points need {n} credentials, {len(credentials)} given; use --provision")
    report = FleetReport(charge_points=n)
    began = time.monotonic()
    done = 0

    async def member(index: int) -> None:
        nonlocal done
        identity, password = credentials[index]
        await asyncio.sleep(plan.stagger_s * index / n)
        await _member(Credentials(url=url, identity=identity, password=password), plan, index, n, report)
        done += 1
        if on_done is not None:
            on_done(done)

    async with asyncio.TaskGroup() as tasks:
        for index in range(n):
            tasks.create_task(member(index))
    report.seconds = time.monotonic() - began
    return report


async def _member(credentials: Credentials, plan: FleetPlan, index: int, n: int, report: FleetReport) -> None:
    start = plan.start or datetime.now(UTC).replace(microsecond=0) - plan.length
    build = Build(
        protocol="ocpp2.0.1" if index < round(n * plan.share_201) else "ocpp1.6",
        register_wh=plan.register_wh,
        reconnect=plan.reconnect,
        retry=plan.retry,
        call_timeout_s=plan.call_timeout_s,
        sample_every=plan.sample_every,
        seed=plan.seed,
        wrap=lambda connection: Timed(plan.wrap(connection) if plan.wrap else connection, report),
    )
    station = SimulatedChargePoint(credentials, ModelClock(start, speed=plan.speed), build)
    try:
        async with asyncio.timeout(plan.deadline_s), station:
            await station.link.unless_refused(_programme(station, plan))
        report.finished += 1
    except HandshakeRefusedError as refusal:
        report.refusals.append(refusal)
        report.failures.append(refusal.message[:FAILURE_LENGTH_MAX])
    except (TimeoutError, NotConnectedError, BootRefusedError) as failure:
        report.failures.append(f"{credentials.identity}: {failure or 'out of time'}"[:FAILURE_LENGTH_MAX])
    _collect(station, report)


async def _programme(station: SimulatedChargePoint, plan: FleetPlan) -> None:
    await station.boot()
    for _ in range(plan.sessions):
        await _session(station, plan)
    await station.outbox.emptied(plan.deadline_s)


async def _session(station: SimulatedChargePoint, plan: FleetPlan) -> None:
    await station.plug()
    await station.authorize(plan.token)
    await station.start(token=plan.token)
    await station.charge(energy_wh=plan.energy_wh, duration=plan.duration)
    await station.stop()
    await station.unplug()
    await station.advance(plan.between)


def _collect(station: SimulatedChargePoint, report: FleetReport) -> None:
    truth, counts = station.truth, station.link.counts
    report.sessions += truth.sessions
    report.told += len(truth.told)
    report.queued += len(station.outbox)
    report.discarded += Counter(gone.action for gone in truth.discarded)
    report.handshakes += counts.handshakes
    report.refused += counts.refused
    report.closed += counts.closed


class Timed:
    """A connection that measures from a call to the next message: one call is in flight at a time."""

    def __init__(self, connection: Connection, report: FleetReport) -> None:
        self._connection = connection
        self._report = report
        self._asked_at: float | None = None

    async def send(self, message: str) -> None:
        """A CALL starts the watch."""
        if message.startswith("[2"):
            self._asked_at = time.perf_counter()
        await self._connection.send(message)

    async def recv(self) -> Any:
        """An answer stops it."""
        message = await self._connection.recv()
        if self._asked_at is not None and not str(message).startswith("[2"):
            if len(self._report.latencies_ms) < LATENCIES_MAX:
                self._report.latencies_ms.append((time.perf_counter() - self._asked_at) * 1000)
            self._asked_at = None
        return message
