"""Postgres freezes, dies, or runs out of disk while charge points charge: they keep their messages (D13).

Waits are divided: patience 1 s instead of 5, three attempts 0.5 s apart instead of 60. An outage lasts longer than a
charge point takes to throw a message away that is refused, or left without an answer, three times. With
CSMS_TEST_OUTAGE=full nothing is divided: 100 charge points, ten minutes, before a release.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from simulators.charge_point import ReconnectPolicy, RetryPolicy
from tests.faults.books import assert_nothing_lost
from tests.faults.load import Fleet, charging
from tests.faults.world import (
    LONG,
    RETRY_AFTER_S,
    ServerProcess,
    commission,
    embedded_dsn,
    freeze,
    installation,
    postmaster_pid,
    thaw,
    until,
)

FULL = os.environ.get("CSMS_TEST_OUTAGE") == "full"
STATIONS = 100 if LONG or FULL else 20
NAMES = [f"CP-{n}" for n in range(STATIONS)]
OUTAGE_S = 600.0 if FULL else 60.0 if LONG else 9.0
"""Longer than 2 + 0.5 + 2 + 1 + 2 s, which is what three unanswered attempts take; undivided 30 + 60 + 30 + 120 + 30."""
PATIENT: dict[str, Any] = {
    "call_timeout_s": 30.0,
    "retry": RetryPolicy(attempts=3, interval_s=60.0),
    "reconnect": ReconnectPolicy(wait_s=5.0, range_s=10.0, doublings=0),
}
STATION = PATIENT if FULL else {"call_timeout_s": 2.0}
SERVER = (
    {"database_patience_s": 5.0, "close_timeout_s": 5.0, "call_timeout_s": 30.0}
    if FULL
    else {"database_patience_s": 1.0}
)
BUSY = 50
DISK_MB = 256


async def _survives(
    data_dir: Path, hurt: Callable[[ServerProcess], Callable[[], None]], *, wholly: bool = True
) -> None:
    """Charge, `hurt` the database, see what the server does, heal it, and count.

    Not `wholly`: now and then a commit may go through all the same, and is answered rightly.
    """
    async with installation(data_dir, **SERVER) as server:
        passwords = await commission(embedded_dsn(data_dir), data_dir, NAMES)
        async with charging(server.url, passwords, pace_s=0.3, **STATION) as fleet:
            await _all_connected(fleet)
            await fleet.heard(BUSY)
            heal = hurt(server)
            try:
                await until(lambda: _nobody_connected(fleet), what="all sockets are closed")
                await until(lambda: _puts_off(server.url), what="handshakes are put off")
                told = fleet.told()
                await asyncio.sleep(OUTAGE_S)
                if wholly:
                    assert fleet.told() == told, "a message was answered that could not be committed"
                    assert await _puts_off(server.url)
                    assert fleet.connected() == []
            finally:
                heal()
            await _all_connected(fleet)
            await fleet.heard(BUSY)

        assert fleet.failures() == []
        assert set(fleet.closed(1013)) == set(NAMES)
        summary = await assert_nothing_lost(embedded_dsn(data_dir), fleet.truths)
        assert summary.sessions == summary.billed >= STATIONS
        assert server.runs
        assert server.bugs() == []


async def _nobody_connected(fleet: Fleet) -> bool:
    return fleet.connected() == []


async def _all_connected(fleet: Fleet) -> None:
    async def connected() -> bool:
        return len(fleet.connected()) == STATIONS

    await until(connected, what="every charge point is connected")


async def _puts_off(url: str) -> bool:
    """Does a handshake get 503, and is it told when to come back?"""
    with pytest.raises(InvalidStatus) as refused:
        async with connect(f"{url}/CP-0", proxy=None):
            pass
    response = refused.value.response
    return response.status_code == 503 and response.headers["Retry-After"] == str(RETRY_AFTER_S)


async def test_nothing_is_lost_while_postgres_is_frozen(data_home: Path) -> None:
    """SIGSTOP: it refuses nothing, and never answers."""

    def freeze_it(server: ServerProcess) -> Callable[[], None]:
        pids = freeze(server.data_dir)
        return lambda: thaw(pids)

    await _survives(data_home, freeze_it)


async def test_nothing_is_lost_while_postgres_is_dead(data_home: Path) -> None:
    """It is killed, and what the supervisor starts instead is frozen at once; in the end that one is killed, too."""

    def kill_it(server: ServerProcess) -> Callable[[], None]:
        pids = freeze(server.data_dir)
        for pid in pids[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

        def heal() -> None:
            os.kill(postmaster_pid(server.data_dir), signal.SIGKILL)

        return heal

    await _survives(data_home, kill_it)


@pytest.fixture
def small_disk(data_home: Path) -> Iterator[Path]:
    """A file system of its own for the data, that can be filled."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount the file system that is to be filled")
    place = data_home / "disk"
    place.mkdir(mode=0o711)
    mounted = subprocess.run(  # noqa: S603 - our own words
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=0711", "tmpfs", str(place)],  # noqa: S607 - the system's
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)  # noqa: S603, S607 - our own words, the system's


async def test_nothing_is_lost_while_the_disk_is_full(small_disk: Path) -> None:
    def fill(server: ServerProcess) -> Callable[[], None]:
        ballast = server.data_dir.parent / "ballast"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"\0" * 65_536)
        return ballast.unlink

    data_dir = small_disk / "data"
    data_dir.mkdir(mode=0o711)
    await _survives(data_dir, fill, wholly=False)
