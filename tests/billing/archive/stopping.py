"""A process that stores, settles and deletes, and stops at its n-th step: python -m tests.billing.archive.stopping.

Every call from within the archive's code is a step, of Python or of C: between two of them anything can happen. Prints how
many steps it took where it was let live.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

import billing.archive
from billing.archive.service import Archive, Order
from csms.database.pool import connect_once
from tests.billing.archive.conftest import NOW, deposit

PLACE = str(Path(billing.archive.__file__).parent)
EXPIRED_ON = NOW.date().replace(year=2035)


class Stopped(Exception):
    """At a step."""


class Stops:
    """Counts steps in all threads; at the n-th ends the process, or raises."""

    def __init__(self, n: int, *, kills: bool) -> None:
        self.steps = 0
        self._n = n
        self._kills = kills

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        caller = frame if event == "c_call" else frame.f_back
        if event not in {"call", "c_call"} or caller is None or not caller.f_code.co_filename.startswith(PLACE):
            return
        self.steps += 1
        if self.steps == self._n:
            if self._kills:
                os.kill(os.getpid(), signal.SIGKILL)
            raise Stopped


async def work(dsn: str, directory: Path) -> None:
    """Two contents come, one of them is past its retention and goes."""
    archive = Archive(directory)
    async with connect_once(dsn) as connection:
        async with connection.transaction():
            deposits = [deposit("kept", country="XX"), deposit("gone", country="DE")]
            await archive.deposit(connection, deposits, actor="ada", now=NOW)
        await archive.settle(connection)
        order = Order(today=EXPIRED_ON, now=NOW, actor="ada", reason="clearance")
        await archive.expire(connection, order)


def main(dsn: str, directory: str, n: str, how: str) -> None:
    stops = Stops(int(n), kills=how == "kill")
    threading.setprofile(stops)
    sys.setprofile(stops)
    try:
        asyncio.run(work(dsn, Path(directory)))
    except Stopped:
        sys.exit(3)
    finally:
        sys.setprofile(None)
    sys.stdout.write(str(stops.steps))


if __name__ == "__main__":
    main(*sys.argv[1:])
