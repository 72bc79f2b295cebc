"""Servers as processes of their own, pinned to the server's core, and what the kernel says that they used."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.certificate import Certificate

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_START_S = 60
_STOP_S = 60
MB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Cores:
    """The server has one to itself; Postgres and the load share the others."""

    server: int
    rest: frozenset[int]

    @property
    def all(self) -> frozenset[int]:
        return self.rest | {self.server}


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
    """Bytes resident, bytes that no other process shares, and bytes with what is shared divided among its sharers."""

    rss: int
    uss: int
    pss: int


def family(pid: int) -> Iterator[int]:
    """A process and all that came of it and live."""
    yield pid
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                yield from family(int(child))


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def cpu_s(pid: int) -> float:
    """CPU time of a family so far, user and system, with those of it that have ended (proc(5), stat)."""
    ticks = 0
    for member in family(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / _TICKS_PER_S


def memory(pids: Iterable[int]) -> Memory:
    """Of all of them together."""
    kb = {"Rss:": 0, "Private_Clean:": 0, "Private_Dirty:": 0, "Pss:": 0}
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
                name, figure, *_ = line.split()
                if name in kb:
                    kb[name] += int(figure)
    private = kb["Private_Clean:"] + kb["Private_Dirty:"]
    return Memory(rss=kb["Rss:"] * 1024, uss=private * 1024, pss=kb["Pss:"] * 1024)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerProcess:
    """`ready_s`: from its start until it said that it accepts sockets. `tls_port` 0: it has none."""

    pid: int
    port: int = 0
    tls_port: int = 0
    http_url: str = ""
    ready_s: float

    @property
    def cpu_s(self) -> float:
        return cpu_s(self.pid)

    @property
    def open_files(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    @property
    def memory(self) -> Memory:
        return memory(family(self.pid))


@asynccontextmanager
async def csms_server(
    cores: frozenset[int],
    *,
    data_dir: Path,
    dsn: str,
    certificate: Certificate | None = None,
    ports: Sequence[int] = (0, 0),
    workers: int = 1,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[ServerProcess]:
    """`csms serve`, as an operator starts it, on a Postgres that runs already. `ports`: plain and TLS, 0 for any.

    What is no work is left out: after a stop of 1.6 the final bill else waits a minute for readings that come late.
    """
    command = ["-c", "from csms.cli.main import main; main()", "serve", "--log-level", "error", "--http-port", "0"]
    command += ["--ocpp-port", str(ports[0]), "--workers", str(workers)]
    if certificate is not None:
        command += ["--tls-port", str(ports[1]), *_files(certificate)]
    environment = {"CSMS_DATA_DIR": str(data_dir), "CSMS_DATABASE_URL": dsn, "CSMS_SETTLE_DELAY_S": "0"}
    async with _running(command, cores, environment | dict(settings or {})) as (pid, ready, ready_s):
        yield ServerProcess(
            pid=pid,
            port=_port(ready["ocpp_url"]),
            tls_port=_port(ready["ocpps_url"]) if certificate is not None else 0,
            http_url=ready["http_url"],
            ready_s=ready_s,
        )


@asynccontextmanager
async def reference_server(
    module: str, core: int, *, certificate: Certificate | None = None, deflate: bool = False
) -> AsyncIterator[ServerProcess]:
    """`tests.bench.echo` or `tests.bench.no_database`."""
    command = ["-m", module, *(["--deflate"] if deflate else [])]
    if certificate is not None:
        command += _files(certificate)
    async with _running(command, frozenset({core}), {}) as (pid, ready, ready_s):
        yield ServerProcess(pid=pid, port=ready["port"], tls_port=ready["tls_port"], ready_s=ready_s)


def _files(certificate: Certificate) -> list[str]:
    return ["--tls-cert", str(certificate.chain), "--tls-key", str(certificate.key)]


def _port(url: str) -> int:
    return int(url.rsplit(":", 1)[1].split("/", maxsplit=1)[0])


@asynccontextmanager
async def _running(
    arguments: list[str], cores: frozenset[int], environment: Mapping[str, str]
) -> AsyncIterator[tuple[int, dict[str, Any], float]]:
    """The process, the first line that it prints, and when. It is stopped as its operator would, by SIGTERM."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env=os.environ | environment, stdout=asyncio.subprocess.PIPE
    )
    os.sched_setaffinity(process.pid, cores)
    try:
        assert process.stdout is not None, "it was asked for"
        async with asyncio.timeout(_START_S):
            line = await process.stdout.readline()
        if not line:
            raise RuntimeError(f"{arguments} ended before it was ready; see above")
        yield process.pid, json.loads(line), loop.time() - begin
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
