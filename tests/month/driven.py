"""The charge points of the month: they live through their visits on a bad network, and keep their truth."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from simulators.charge_point import Build, Credentials, ModelClock, ReconnectPolicy, RetryPolicy, SimulatedChargePoint
from simulators.charge_point.settings import Setting
from simulators.faults import MessageFaults
from tests.month.plan import Visit
from tests.world import Key

SAMPLE_EVERY = timedelta(minutes=30)
AT_ONCE = 24
"""So many vehicles come at once: all charge points live in one process with the server, and model time does not wait."""
JUMP_WH = Decimal(40_000_000)
STAYING_S_MAX = 120.0
WATCHED_S = 6.0
"""A month goes by in minutes: without a wait longer than billing's own (5 s) nobody would see a session running."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A charge point and what will come to it."""

    key: Key
    protocol: str
    visits: Sequence[Visit]


def network(seed: int) -> MessageFaults:
    """A bad one, always bad in the same places."""
    return MessageFaults(seed=seed, duplicate=0.02, reorder=0.005, drop=0.005, lose_answer=0.005)


def station_of(member: Member, url: str, faults: MessageFaults) -> SimulatedChargePoint:
    seed = faults.seed
    build = Build(
        protocol=member.protocol,
        register_wh=Decimal(1_000_000 + 1000 * seed),
        sample_every=SAMPLE_EVERY,
        reconnect=ReconnectPolicy(wait_s=0.05, range_s=0.1, doublings=0, open_timeout_s=30.0),
        boot_wait_max_s=300.0,
        retry=RetryPolicy(attempts=50, interval_s=0.05),
        call_timeout_s=2.0,
        seed=seed,
        wrap=faults.wrap,
    )
    credentials = Credentials(url=url, identity=member.key.id, password=member.key.password)
    station = SimulatedChargePoint(credentials, ModelClock(member.visits[0].start - timedelta(minutes=5)), build)
    if member.protocol == "ocpp1.6":  # 2.0.1 needs no word of it
        station.dialect.settings.entries["CustomDisplayCostAndPrice"] = Setting("true", readonly=True)
    return station


async def lived(
    station: SimulatedChargePoint, visits: Sequence[Visit], turns: asyncio.Semaphore, closing: asyncio.Event
) -> None:
    """All visits, one after the other, each in its turn; then the charge point stays connected until `closing`."""
    async with station:
        async with turns:
            await station.boot()
        for visit in visits:
            await _wait_for(station, visit.start)
            async with turns:
                await _visit(station, visit)
        await station.outbox.emptied(STAYING_S_MAX)
        await closing.wait()


async def _wait_for(station: SimulatedChargePoint, at: datetime) -> None:
    if at > station.clock.now:
        await station.advance(at - station.clock.now)


async def _visit(station: SimulatedChargePoint, visit: Visit) -> None:
    offline = visit.fault == "offline"
    await station.plug()
    if offline:
        await station.offline()
    else:
        await station.authorize(visit.token)
    await station.start(token=visit.token)
    if not visit.energy_wh:
        await station.advance(visit.charging)
    elif visit.is_watched:
        half_wh = (
            visit.energy_wh // 2
        )  # whole Wh, as a stop of 1.6 says them: this may become one, if its card is refused
        await station.charge(energy_wh=half_wh, duration=visit.charging / 2)
        await asyncio.sleep(WATCHED_S)
        await station.charge(energy_wh=visit.energy_wh - half_wh, duration=visit.charging / 2)
    else:
        await station.charge(energy_wh=visit.energy_wh, duration=visit.charging)
    if visit.fault == "register_jumps":
        station.evses[1].meter.jump(JUMP_WH)
    if visit.parking:
        await station.suspend()
        await station.advance(visit.parking)
    await station.stop(lose=visit.fault == "stop_lost")
    if visit.fault == "repeated_stop":
        ended = station.evses[1].last_transaction
        await station.repeat(None if ended is None else ended.stop_message)
    await station.unplug()
    if offline:
        await station.online_again()
