"""What a new reading of a long session costs on its whole way to an interim bill: python -m tests.bench.interims.

Loading and folding look at every fact of a session each time, so the whole path grows with the session; rating alone
does not (`tests.bench.rating`). This says by how much.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from billing import BillingService, Queries
from csms.database.cluster import open_cluster
from csms.database.pool import open_pool
from csms.sessions.service import Sessions
from csms.settings import Settings
from tests.bench.bill_run import fill
from tests.bench.fill import known_layout

SQL = Queries.load(__package__)
LENGTHS = (20, 500)
ROUNDS = 40


async def measure() -> dict[str, float]:
    """Milliseconds of CPU time of this process, and of waiting for Postgres besides, for a session of each length."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="csms-bench-") as place:
        os.chmod(place, 0o711)  # noqa: PTH101, S103 - as root, Postgres runs as another account, which has to pass
        async with open_cluster(Path(place), "own") as dsn:
            await fill(dsn, Path(place), sessions=0, readings=0)
            pool = await open_pool(dsn, size=2)
            async with pool.acquire() as connection:
                layout = await known_layout(connection)
            sessions = Sessions(pool, Settings(data_dir=Path(place), database_url=dsn))
            await sessions.prepare()
            billing = BillingService(pool, sessions)
            for number, length in enumerate(LENGTHS, start=1):
                begin = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=length + ROUNDS + 1)
                async with pool.acquire() as connection:
                    await SQL.insert_running.execute(connection, session=number, at=begin)
                    await SQL.insert_run.execute(connection, layout=layout, session=number, first=1, last=length)
                cpu, wall, bills = [], [], 0
                for n in range(1, ROUNDS + 1):
                    async with pool.acquire() as connection:
                        await SQL.insert_run.execute(
                            connection, layout=layout, session=number, first=length + n, last=length + n
                        )
                    cpu_begin, wall_begin = time.process_time(), time.perf_counter()
                    bills += len(await billing.settle([number], datetime.now(UTC)))
                    cpu.append((time.process_time() - cpu_begin) * 1000)
                    wall.append((time.perf_counter() - wall_begin) * 1000)
                found[f"{length} readings: CPU ms"] = median(cpu)
                found[f"{length} readings: wall ms"] = median(wall)
                found[f"{length} readings: interims in {ROUNDS} looks"] = bills
            await pool.close()
    shortest, longest = (found[f"{length} readings: CPU ms"] for length in LENGTHS)
    return found | {"CPU, longest to shortest": longest / shortest}


if __name__ == "__main__":
    for name, figure in asyncio.run(measure()).items():
        sys.stdout.write(f"{name:48}{figure:10.2f}\n")
