"""A month billed in one act: python -m tests.bench.bill_run [--sessions N] [--readings N] [--jobs N].

Fills a database of its own with sessions that have ended, then runs `csms bill run` on it as an operator would, and
watches its time and memory.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from billing import Queries
from billing.tariffs import service as tariffs
from billing.tariffs.assignment import Scope
from csms.charge_points import service as charge_points
from csms.charge_points.service import Choices
from csms.database.cluster import open_cluster
from csms.database.migrate import migrate
from csms.database.pool import connect_once
from csms.sites import service as sites
from tests.bench.fill import known_layout
from tests.bench.world import TARIFF

SQL = Queries.load(__package__)
MONTH = datetime(2026, 3, 1, tzinfo=UTC)
CHARGE_POINTS = 2000
AT_A_TIME = 50_000
_LOOK_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """`rss_kb`: the most that the command and its processes had resident together, and after a third of the time."""

    seconds: float
    cpu_s: float
    rss_kb: int
    rss_kb_early: int
    accounts: list[dict[str, object]]


async def fill(dsn: str, data_dir: Path, *, sessions: int, readings: int) -> None:
    """A site in Germany, a flat tariff, a token, and sessions of half an hour with so many readings, all in one month."""
    await migrate(dsn)
    key = charge_points.load_password_key(data_dir)
    entered = datetime(2026, 1, 1, tzinfo=UTC)
    async with connect_once(dsn) as connection:
        await sites.create(connection, "bench", name="Bench", country="DE", time_zone="Europe/Berlin", currency="EUR")
        await tariffs.create(connection, json.dumps(TARIFF), now=entered)
        await tariffs.assign(
            connection, str(TARIFF["id"]), scope=Scope("default"), target=None, now=entered, valid_from=entered
        )
        async with connection.transaction():
            for n in range(CHARGE_POINTS):
                choices = Choices(site="bench", password=None, template=False)
                await charge_points.create(connection, f"BENCH-{n:05}", choices, key=key)
        await SQL.insert_token.execute(connection, at=entered)
        layout = await known_layout(connection)
        for first in range(0, sessions, AT_A_TIME):
            span = {"first": first, "last": min(first + AT_A_TIME, sessions) - 1}
            await SQL.insert_sessions.execute(
                connection, **span, month=MONTH, apart=timedelta(minutes=45), charge_points=CHARGE_POINTS
            )
            await SQL.insert_events.execute(connection, **span)
            await SQL.insert_readings.execute(connection, **span, layout=layout, readings=readings)
        await connection.execute("ANALYZE")


async def bill_run(dsn: str, data_dir: Path, *options: str) -> Billed:
    """`csms bill run` of the month as a process of its own."""
    environment = os.environ | {"CSMS_DATA_DIR": str(data_dir), "CSMS_DATABASE_URL": dsn}
    command = ["-c", "from csms.cli.main import main; main()", "bill", "run", "--month", f"{MONTH:%Y-%m}", "-o", "json"]
    loop = asyncio.get_running_loop()
    begin, cpu_begin = loop.time(), os.times()
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, *options, env=environment, stdout=asyncio.subprocess.PIPE
    )
    told = asyncio.create_task(process.communicate())
    sizes = []
    while not told.done():
        sizes.append(sum(_rss_kb(pid) for pid in _family(process.pid)))
        await asyncio.wait([told], timeout=_LOOK_S)
    seconds, cpu_end = loop.time() - begin, os.times()
    out, _ = await told
    return Billed(
        seconds=seconds,
        cpu_s=cpu_end.children_user + cpu_end.children_system - cpu_begin.children_user - cpu_begin.children_system,
        rss_kb=max(sizes),
        rss_kb_early=max(sizes[: len(sizes) // 3 + 1]),
        accounts=json.loads(out),
    )


def _family(pid: int) -> Iterator[int]:
    yield pid
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield from _family(int(child))


def _rss_kb(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0


async def measure(*, sessions: int, readings: int, options: list[str], directory: str | None) -> dict[str, object]:
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory(prefix="csms-bench-", dir=directory) as place:
        os.chmod(place, 0o711)  # noqa: PTH101, S103 - as root, Postgres runs as another account, which has to pass
        data_dir = Path(place)
        async with open_cluster(data_dir, "own") as dsn:
            begin = loop.time()
            await fill(dsn, data_dir, sessions=sessions, readings=readings)
            filled = loop.time() - begin
            done = await bill_run(dsn, data_dir, *options)
            again = await bill_run(dsn, data_dir, *options)
    return {
        "sessions": sessions,
        "readings of each": readings,
        "filled in s": round(filled, 1),
        "billed in s": round(done.seconds, 1),
        "sessions per s": round(sessions / done.seconds),
        "CPU s of the command": round(done.cpu_s, 1),
        "RSS MB": done.rss_kb // 1024,
        "RSS MB in the first third": done.rss_kb_early // 1024,
        "once more in s": round(again.seconds, 1),
        "billed": [each["billed"] for each in done.accounts],
        "total": [each["total_incl_tax"] for each in done.accounts],
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bill_run", description=__doc__)
    parser.add_argument("--sessions", type=int, default=20_000)
    parser.add_argument("--readings", type=int, default=4, help="of each session")
    parser.add_argument("--jobs", type=int, help="as of csms bill run")
    parser.add_argument("--directory", help="where the database may be; it takes some 3 KB per session")
    given = parser.parse_args()
    options = [] if given.jobs is None else ["--jobs", str(given.jobs)]
    found = asyncio.run(
        measure(sessions=given.sessions, readings=given.readings, options=options, directory=given.directory)
    )
    for name, figure in found.items():
        sys.stdout.write(f"{name:32}{figure}\n")


if __name__ == "__main__":
    main()
