"""Faults on the way: each one is what it claims to be, and the charge point survives it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from simulators.charge_point import (
    Build,
    Credentials,
    ModelClock,
    ReconnectPolicy,
    RetryPolicy,
    SimulatedChargePoint,
)
from simulators.faults import MessageFaults, faulty_proxy
from tests.simulators.central_system import CentralSystem

EIGHT = datetime(2026, 3, 2, 8, tzinfo=UTC)
QUICK = Build(
    reconnect=ReconnectPolicy(wait_s=0.01, range_s=0.01, doublings=1, close_timeout_s=0.1),
    retry=RetryPolicy(attempts=20, interval_s=0.001),
    call_timeout_s=0.15,
    sample_every=timedelta(minutes=10),
)


def at(url: str, central: CentralSystem, build: Build = QUICK) -> SimulatedChargePoint:
    credentials = Credentials(url=url, identity="CP-1", password=central.password)
    return SimulatedChargePoint(credentials, ModelClock(EIGHT), build)


async def charge(station: SimulatedChargePoint) -> None:
    await station.plug()
    await station.start(token="CARD-1")
    await station.charge(energy_wh=Decimal(1000), duration=timedelta(hours=1))
    await station.stop()


async def test_a_cut_before_the_answer_makes_the_start_come_twice(central: CentralSystem) -> None:
    async with faulty_proxy(central.url) as proxy, at(proxy.url, central) as station:
        await station.boot()
        await station.plug()
        proxy.cut_answers = 1
        await station.start(token="CARD-1")
        assert await station.outbox.emptied(5)

    first, second = central.payloads("StartTransaction")
    assert first == second
    assert station.truth.sessions[0].start_answers == [7001]


async def test_behind_a_half_open_connection_calls_time_out_and_get_through_when_it_thaws(
    central: CentralSystem,
) -> None:
    async with faulty_proxy(central.url) as proxy, at(proxy.url, central) as station:
        await station.boot()
        proxy.pause()
        assert await station.ask(station.dialect.heartbeat_request()) is None
        assert station.link.connected.is_set()
        proxy.resume()
        assert await station.ask(station.dialect.heartbeat_request()) is not None


async def test_a_blackhole_swallows_and_a_cut_ends_it(central: CentralSystem) -> None:
    async with faulty_proxy(central.url) as proxy, at(proxy.url, central) as station:
        await station.boot()
        proxy.blackhole_up = True
        assert await station.ask(station.dialect.heartbeat_request()) is None
        assert proxy.swallowed_bytes > 0
        assert central.payloads("Heartbeat") == []
        proxy.blackhole_up = False
        assert proxy.cut() == 1
        await charge(station)
        assert await station.outbox.emptied(5)

    assert proxy.accepted >= 2
    assert station.truth.sessions[0].end_told


async def test_a_refusing_proxy_is_reconnected_to_with_back_off(central: CentralSystem) -> None:
    async with faulty_proxy(central.url) as proxy, at(proxy.url, central) as station:
        await station.boot()
        proxy.refuse = True
        proxy.cut()
        await asyncio.sleep(0.1)
        proxy.refuse = False
        await charge(station)
        assert await station.outbox.emptied(5)

    assert station.link.counts.handshakes == 2
    assert sum(station.link.counts.refused.values()) > 0


async def test_a_delayed_connection_still_works(central: CentralSystem) -> None:
    async with faulty_proxy(central.url) as proxy, at(proxy.url, central) as station:
        proxy.delay_s = 0.02
        await station.boot()

    assert central.actions()[0] == "BootNotification"


@pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])
async def test_dropped_doubled_and_swapped_messages_lose_nothing(central: CentralSystem, protocol: str) -> None:
    faults = MessageFaults(seed=7, drop=0.1, duplicate=0.3, reorder=0.1, lose_answer=0.1, faults_max=12)
    build = Build(
        protocol=protocol,
        reconnect=QUICK.reconnect,
        retry=QUICK.retry,
        call_timeout_s=QUICK.call_timeout_s,
        sample_every=QUICK.sample_every,
        wrap=faults.wrap,
    )
    async with at(central.url, central, build) as station:
        await station.boot()
        await charge(station)
        assert await station.outbox.emptied(10)

    assert set(faults.injected) == {"drop", "duplicate", "reorder", "lose_answer"}
    assert station.truth.discarded == []
    assert station.truth.sessions[0].start_told
    assert station.truth.sessions[0].end_told


async def test_the_same_seed_injects_the_same_faults() -> None:
    one, other = MessageFaults(seed=3, drop=0.5), MessageFaults(seed=3, drop=0.5)

    assert [one.strikes("drop", 0.5) for _ in range(50)] == [other.strikes("drop", 0.5) for _ in range(50)]


async def test_a_vanished_connection_ends_late_while_newcomers_get_through(central: CentralSystem) -> None:
    async with faulty_proxy(central.url) as proxy, at(proxy.url, central) as station:
        await station.boot()
        old = proxy.vanish()
        station.link.cut()
        await station.boot()
        assert len(old) == 1
        assert proxy.pairs > set(old), "nobody has told the central system that the old one has ended"
        old[0].abort()
        async with asyncio.timeout(10):
            while old[0] in proxy.pairs:  # noqa: ASYNC110 - the proxy does not call
                await asyncio.sleep(0.01)
        assert await station.ask(station.dialect.heartbeat_request()) is not None
