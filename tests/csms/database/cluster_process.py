"""A process of its own that opens the cluster of a data directory, for tests that kill it.

`python cluster_process.py DATA_DIR MODE [write]`: prints one JSON line {"dsn", "pid"} when it is up; with `write` it
then inserts numbers one by one and prints each after its commit. Runs until killed, or until its stdin ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import asyncpg

from csms.database.cluster import open_cluster


async def main(data_dir: str, mode: str, write: bool) -> None:
    async with open_cluster(Path(data_dir), mode) as dsn:  # type: ignore[arg-type]
        print(json.dumps({"dsn": dsn, "pid": os.getpid()}), flush=True)  # noqa: T201 - what the test reads
        if write:
            await _write_for_ever(dsn)
        await asyncio.to_thread(sys.stdin.read)


async def _write_for_ever(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE TABLE IF NOT EXISTS acknowledged (number bigserial PRIMARY KEY)")
    while True:
        number = await connection.fetchval("INSERT INTO acknowledged DEFAULT VALUES RETURNING number")
        print(number, flush=True)  # noqa: T201 - what the test reads


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], "write" in sys.argv[3:]))
