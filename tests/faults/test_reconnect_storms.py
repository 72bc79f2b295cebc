"""A fleet comes back at once: everybody is let in, nobody loses what was told, and who is in already is served (C10, C11)."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from csms.database.pool import connect_once
from tests.faults.canary import T0, Canary, cpu_s, figure, percentile
from tests.faults.wire import Wire, boot, meter_values_16, start_16, wire, wire_at_last
from tests.faults.world import LONG, ServerProcess, commission, installation, rounds
from tests.ports import free_port

pytestmark = pytest.mark.alone

OPEN_S_MAX = 60.0
CANARY = "CANARY"
BACK_S_MAX = {"ws": 10.0, "wss": 20.0}
"""C10, with 2,000 charge points."""
BACK_OFF_S, BACK_OFF_RANGE_S = (10.0, 10.0) if LONG else (0.5, 1.0)
HANDSHAKE_P99_S = 1.0
CPU_SHARE_MAX = 0.5


@dataclass(slots=True)
class Fleet:
    """Charge points that each have a session running, and tell a reading of it as soon as they are back."""

    url: str
    passwords: dict[str, str]
    options: dict[str, Any]
    stations: dict[str, Wire] = field(default_factory=dict)
    transactions: dict[str, int] = field(default_factory=dict)
    handshake_s: list[float] = field(default_factory=list)
    back_s: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)

    async def begin(self, name: str, sockets: contextlib.AsyncExitStack) -> None:
        await self._come(name, sockets)
        started = await self.stations[name].call("StartTransaction", start_16(T0))
        self.transactions[name] = started.payload["transactionId"]

    async def come_back(self, name: str, sockets: contextlib.AsyncExitStack, *, after_s: float = 0) -> None:
        """Without patience: who is not let in tries again at once."""
        await asyncio.sleep(after_s)
        loop = asyncio.get_running_loop()
        begin = loop.time()
        await self._come(name, sockets)
        told = meter_values_16(self.transactions[name], T0 + timedelta(minutes=1), meter_wh=1100)
        reply = await self.stations[name].call("MeterValues", told)
        self.back_s.append(loop.time() - begin)
        if reply.error is not None:
            self.errors.append(f"{name}: {reply.error}")

    async def _come(self, name: str, sockets: contextlib.AsyncExitStack) -> None:
        opening = wire_at_last(
            self.url, name, self.passwords[name], refused=self.refused, open_timeout=OPEN_S_MAX, **self.options
        )
        self.stations[name] = await sockets.enter_async_context(opening)
        self.handshake_s.append(self.stations[name].handshake_s)
        reply = await boot(self.stations[name])
        assert reply.payload["status"] == "Accepted"


@contextlib.asynccontextmanager
async def restarted(
    database: str, directory: Path, count: int, scheme: str
) -> AsyncIterator[tuple[ServerProcess, Fleet, contextlib.AsyncExitStack]]:
    """A server that was stopped under a connected fleet, and has just been started again; the canary is not of the fleet."""
    given: dict[str, Any] = {}
    options: dict[str, Any] = {}
    if scheme == "wss":
        given, options = _encrypted(directory)
    async with installation(directory, dsn=database, **given) as server, contextlib.AsyncExitStack() as sockets:
        passwords = await commission(database, directory, [CANARY, *(f"CP-{n}" for n in range(count))])
        url = server.url if scheme == "ws" else f"wss://localhost:{given['tls_port']}/ocpp"
        names = [name for name in passwords if name != CANARY]
        fleet = Fleet(url, passwords, options)
        for group in range(0, count, 50):
            await asyncio.gather(*(fleet.begin(name, sockets) for name in names[group : group + 50]))
        fleet.handshake_s.clear()
        await server.terminate()
        assert {await station.closed() for station in fleet.stations.values()} == {1012}
        await server.start()
        yield server, fleet, sockets


def _encrypted(directory: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the server is given, and what a charge point connects with."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    certificate, key = directory / "csms.pem", directory / "csms.key"
    certificate.write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return {"tls_cert": certificate, "tls_key": key, "tls_port": free_port()}, {"ssl": context, "host": "127.0.0.1"}


async def _nothing_lost(database: str, count: int) -> None:
    async with connect_once(database) as connection:
        readings = await connection.fetchval(
            "SELECT count(DISTINCT charge_point) FROM reading WHERE session IS NOT NULL"
        )
        sessions = await connection.fetchval("SELECT count(*) FROM session WHERE charge_point <> $1", CANARY)
    assert (readings, sessions) == (count, count)


@pytest.mark.parametrize("scheme", BACK_S_MAX)
async def test_a_fleet_without_patience_is_back_at_once_and_who_charges_meanwhile_is_served(
    database: str, tmp_path: Path, scheme: str
) -> None:
    count = rounds(150, 2000, of=f"charge points that come back at once by {scheme}")
    async with restarted(database, tmp_path, count, scheme) as (server, fleet, sockets):
        loop = asyncio.get_running_loop()
        async with wire(server.url, CANARY, fleet.passwords[CANARY]) as station:
            canary, begin = Canary(station), loop.time()
            async with asyncio.TaskGroup() as tasks:
                singing = tasks.create_task(canary.sing(10_000))
                names = [name for name in fleet.passwords if name != CANARY]
                await asyncio.gather(*(fleet.come_back(name, sockets) for name in names))
                last_s = loop.time() - begin
                singing.cancel()
        waited = await figure(server, "csms_admission_wait_seconds_count")
        bugs = server.bugs()
        print(  # noqa: T201 - what was seen
            f"{count} by {scheme}: the last was back after {last_s:.1f} s, p50 {percentile(fleet.back_s, 0.5):.1f} s;"
            f" handshake p99 {percentile(fleet.handshake_s, 0.99):.2f} s; refused {dict(fleet.refused)};"
            f" canary: {canary}"
        )
        await _nothing_lost(database, count)

    assert waited >= count
    assert not fleet.errors
    assert not fleet.refused
    assert not canary.errors
    assert not bugs
    if LONG:
        assert last_s <= BACK_S_MAX[scheme]


async def test_a_fleet_that_backs_off_as_the_standard_says_comes_back_unnoticed(database: str, tmp_path: Path) -> None:
    """C11: ten seconds, and up to ten more; here less, unless counts are full."""
    count = rounds(150, 2000, of="charge points that back off before they come back")
    chance = random.Random(11)
    async with restarted(database, tmp_path, count, "ws") as (server, fleet, sockets):
        begin, begin_cpu_s, begin_own_s = asyncio.get_running_loop().time(), cpu_s(server), time.process_time()
        names = [name for name in fleet.passwords if name != CANARY]
        waits = {name: BACK_OFF_S + chance.random() * BACK_OFF_RANGE_S for name in names}
        await asyncio.gather(*(fleet.come_back(name, sockets, after_s=wait) for name, wait in waits.items()))
        took_s = asyncio.get_running_loop().time() - begin - BACK_OFF_S
        share = (cpu_s(server) - begin_cpu_s) / took_s
        own_share = (time.process_time() - begin_own_s) / took_s
        p99_s = percentile(fleet.handshake_s, 0.99)
        bugs = server.bugs()
        print(  # noqa: T201 - what was seen
            f"{count} within {took_s:.1f} s: {share:.0%} of a core, {own_share:.0%} of one for the charge points;"
            f" handshake p99 {p99_s:.3f} s"
        )
        await _nothing_lost(database, count)

    assert not fleet.errors
    assert not fleet.refused
    assert not bugs
    if LONG:
        assert p99_s <= HANDSHAKE_P99_S
        assert share <= CPU_SHARE_MAX
