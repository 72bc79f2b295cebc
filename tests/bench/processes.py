"""Servers as processes of their own, each pinned to one core, and what the kernel says that they used."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_START_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Cores:
    """The server has one to itself; Postgres and the load share the others."""

    server: int
    rest: frozenset[int]


def share_out_cores() -> Cores:
    """Pin this process, and with it what it starts, away from the server's core."""
    available = sorted(os.sched_getaffinity(0))
    cores = Cores(server=available[0], rest=frozenset(available[1:] or available))
    os.sched_setaffinity(0, cores.rest)
    return cores


def allow_many_sockets() -> None:
    """As many open files as we may, also for the servers started from here."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes resident, and bytes that no other process shares."""

    rss: int
    uss: int


@dataclass(frozen=True, slots=True)
class ServerProcess:
    pid: int
    port: int

    @property
    def cpu_s(self) -> float:
        """CPU time so far, user and system, all threads (proc(5), stat)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S

    @property
    def memory(self) -> Memory:
        kb = {}
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, figure, *_ = line.split()
            kb[name] = int(figure)
        return Memory(rss=kb["Rss:"] * 1024, uss=(kb["Private_Clean:"] + kb["Private_Dirty:"]) * 1024)


@asynccontextmanager
async def csms_server(core: int, *, data_dir: Path, dsn: str) -> AsyncIterator[ServerProcess]:
    """`csms serve`, as an operator starts it, on a Postgres that runs already."""
    command = ["-c", "from csms.cli.main import main; main()", "serve", "--log-level", "warning"]
    environment = {"CSMS_DATA_DIR": str(data_dir), "CSMS_DATABASE_URL": dsn}
    async with _running([*command, "--ocpp-port", "0", "--http-port", "0"], core, environment) as (pid, line):
        ready = json.loads(line)
        yield ServerProcess(pid, int(ready["ocpp_url"].rsplit(":", 1)[1].split("/")[0]))


@asynccontextmanager
async def echo_server(core: int) -> AsyncIterator[ServerProcess]:
    async with _running(["-m", "tests.bench.echo"], core, {}) as (pid, line):
        yield ServerProcess(pid, int(line))


@asynccontextmanager
async def _running(arguments: list[str], core: int, environment: Mapping[str, str]) -> AsyncIterator[tuple[int, bytes]]:
    """The process and the first line that it prints. It is stopped as its operator would, by SIGTERM."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env=os.environ | environment, stdout=asyncio.subprocess.PIPE
    )
    os.sched_setaffinity(process.pid, {core})
    try:
        assert process.stdout is not None, "it was asked for"
        async with asyncio.timeout(_START_S):
            line = await process.stdout.readline()
        if not line:
            raise RuntimeError(f"{arguments} ended before it was ready; see above")
        yield process.pid, line
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(30):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
