"""Whatever stops the archive, and wherever: what its rows speak of is there, and what is there is accounted for."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from tests.billing.archive.conftest import NOW, Room
from tests.billing.archive.stopping import EXPIRED_ON, work
from tests.examples import LONG

ROOT = Path(__file__).parents[3]
FEW, MANY = 8, 150
BUSY = 700


async def stopped_at(database: str, room: Room, n: int, how: str) -> int | None:
    """The steps that it took; None where it was stopped."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.billing.archive.stopping"),
        *(database, str(room.archive.contents.directory), str(n), how),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    out, _ = await process.communicate()
    if process.returncode == 0:
        return int(out)
    assert process.returncode == (-signal.SIGKILL if how == "kill" else 3)
    return None


@pytest.fixture
async def steps(database: str, room: Room) -> int:
    """How many there are in all, counted on the way of one that is let live."""
    count = await stopped_at(database, room, 0, "kill")
    assert count is not None
    return count


def drawn(steps: int) -> list[int]:
    """Most of them where contents and rows come and go; the many at the end look through the directory."""
    draw, count = random.Random(steps), MANY if LONG else FEW
    return [draw.randint(1, min(BUSY, steps) if n % 4 else steps) for n in range(count)]


@pytest.mark.parametrize("how", ["kill", "raise"])
async def test_whatever_step_it_stops_at_nothing_is_lost_and_nothing_unaccounted(
    database: str, room: Room, steps: int, how: str
) -> None:
    assert steps > 100
    for n in drawn(steps):
        # Each on a chain that the one before has left, and in the same directory: it is never clean for long.
        lived = await stopped_at(database, room, n, how)
        # It takes a few steps less where the one before got far, and Python passes over what a weak reference raises.
        assert lived is None or lived < n or how == "raise"

        report = await room.verify()
        assert {each.what.value for each in report.findings} <= {"not_deleted"}, (n, report.findings)

        await work(database, room.archive.contents.directory)
        done = await room.expire(EXPIRED_ON, now=NOW + timedelta(days=3650))
        report = await room.verify()
        assert (report.findings, done.waiting) == ([], set()), n
        assert all(name.startswith("objects/") for name in room.files()), (n, room.files())
        assert report.contents == len(room.files()) == 1, n
