"""One benchmark: every case against csms and against the echo server, round after round."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from csms.charge_points import service as charge_points
from csms.database.cluster import open_cluster
from csms.database.pool import connect_once
from tests.bench import messages
from tests.bench.cases import Bench
from tests.bench.inserts import commits_per_s
from tests.bench.load import Run
from tests.bench.processes import Cores, allow_many_sockets, csms_server, echo_server, share_out_cores
from tests.bench.world import Login, provision

_INSERT_ROWS = (1, 50)

CASES: dict[str, Callable[[Bench], Awaitable[Run]]] = {
    "Heartbeat": lambda bench: bench.heartbeats(),
    "MeterValues 1.6": lambda bench: bench.readings(messages.V16),
    "TransactionEvent 2.0.1": lambda bench: bench.readings(messages.V201),
    "connect + boot": lambda bench: bench.connects(),
}
PACED: dict[str, Callable[[Bench, float], Awaitable[Run]]] = {
    "Heartbeat": lambda bench, per_s: bench.heartbeats(per_s=per_s),
    "MeterValues 1.6": lambda bench, per_s: bench.readings(messages.V16, per_s=per_s),
    "TransactionEvent 2.0.1": lambda bench, per_s: bench.readings(messages.V201, per_s=per_s),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    seconds: float
    connections: int
    rounds: int
    idle_connections: int


@dataclass(slots=True)
class Figures:
    """Figures by name, one of each round. Memory has one, as it is measured on fresh servers."""

    cores: Cores
    load_before: float
    """Load average of the machine when it began: above 0.5, somebody else was at work."""
    by_name: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, figure: float) -> None:
        self.by_name.setdefault(name, []).append(figure)

    def middle(self, name: str) -> float:
        return median(self.by_name[name])


async def run(plan: Plan, *, say: Callable[[str], None]) -> Figures:
    """Measure everything. `say` is told what is under way."""
    allow_many_sockets()
    figures = Figures(share_out_cores(), os.getloadavg()[0])
    with tempfile.TemporaryDirectory(prefix="csms-bench-") as directory:
        os.chmod(directory, 0o711)  # noqa: PTH101, S103 - as root, Postgres runs as another account, which has to pass
        data_dir = Path(directory)
        async with open_cluster(data_dir, "own") as dsn:
            logins = await provision(dsn, data_dir, max(plan.idle_connections, 4 * plan.connections))
            say(f"memory of {plan.idle_connections} connections")
            # First: later there are sessions that the server would be billing meanwhile.
            await _memory(plan, figures, dsn, data_dir, logins)
            for n in range(plan.rounds):
                say(f"round {n + 1} of {plan.rounds}")
                await _round(plan, figures, dsn, data_dir, logins)
    return figures


async def _round(plan: Plan, figures: Figures, dsn: str, data_dir: Path, logins: list[Login]) -> None:
    echoed: dict[str, Run] = {}
    async with echo_server(figures.cores.server) as server:
        bench = Bench(server=server, logins=logins, connections=plan.connections, seconds=plan.seconds, is_echo=True)
        for name, case in CASES.items():
            echoed[name] = await case(bench)
    async with csms_server(figures.cores.server, data_dir=data_dir, dsn=dsn) as server:
        bench = Bench(server=server, logins=logins, connections=plan.connections, seconds=plan.seconds)
        for name, case in CASES.items():
            done = await case(bench)
            _note(figures, name, done, echoed[name])
            if name in PACED:
                paced = await PACED[name](bench, done.per_s / 2)
                figures.add(f"{name}: p50 ms at half load", paced.latency_ms(50))
                figures.add(f"{name}: p99 ms at half load", paced.latency_ms(99))
    async with connect_once(dsn) as connection:
        charge_point = await charge_points.get(connection, logins[-1].identity)
    for rows in _INSERT_ROWS:
        per_s = await commits_per_s(dsn, charge_point, seconds=plan.seconds / 2, rows=rows)
        figures.add(f"insert-only, {rows} rows per commit: commits/s", per_s)


def _note(figures: Figures, name: str, done: Run, echoed: Run) -> None:
    figures.add(f"{name}: per s", done.per_s)
    figures.add(f"{name}: CPU us", done.cpu_us)
    figures.add(f"{name}: per core s", done.per_core_s)
    figures.add(f"{name}: echo per s", echoed.per_s)
    figures.add(f"{name}: echo CPU us", echoed.cpu_us)
    figures.add(f"{name}: echo per core s", echoed.per_core_s)
    figures.add(f"{name}: ratio to echo", done.per_core_s / echoed.per_core_s if echoed.per_core_s else 0.0)


async def _memory(plan: Plan, figures: Figures, dsn: str, data_dir: Path, logins: list[Login]) -> None:
    async with csms_server(figures.cores.server, data_dir=data_dir, dsn=dsn) as server:
        bench = Bench(server=server, logins=logins, connections=plan.connections, seconds=plan.seconds)
        rss, uss = await bench.memory_per_connection(plan.idle_connections)
    figures.add("idle connection: RSS KB", rss / 1024)
    figures.add("idle connection: USS KB", uss / 1024)
    async with echo_server(figures.cores.server) as server:
        bench = Bench(server=server, logins=logins, connections=plan.connections, seconds=plan.seconds, is_echo=True)
        rss, uss = await bench.memory_per_connection(plan.idle_connections)
    figures.add("idle connection: echo RSS KB", rss / 1024)
    figures.add("idle connection: echo USS KB", uss / 1024)
