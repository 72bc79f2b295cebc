"""A server that stands still: whoever watches it reads afterwards for how long nobody was answered (O4)."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
import urllib.request
from pathlib import Path

import pytest

from csms.database.pool import connect_once
from csms.nodes.service import live_nodes
from tests.faults.world import ServerProcess, installation, until

STILL_S = 1.0


async def blocked_s(server: ServerProcess) -> float:
    """The longest of its workers."""

    def get() -> str:
        with urllib.request.urlopen(server.ready["http_url"] + "/metrics", timeout=10) as answer:  # noqa: S310 - ours
            return str(answer.read().decode())

    found = re.findall(r"^csms_event_loop_blocked_seconds_sum\S* (\S+)$", await asyncio.to_thread(get), re.MULTILINE)
    return max(map(float, found))


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_server_that_stood_still_says_for_how_long(database: str, tmp_path: Path, workers: int) -> None:
    async with installation(tmp_path, dsn=database, workers=workers) as server:
        before_s = await blocked_s(server)
        async with connect_once(database) as connection:
            pid = (await live_nodes(connection))[0]["pid"]
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(STILL_S)  # noqa: ASYNC251 - nobody is to be answered
        finally:
            os.kill(pid, signal.SIGCONT)

        async def is_told() -> bool:
            return await blocked_s(server) - before_s > STILL_S / 2

        await until(is_told, what="the standstill is in the figures")
