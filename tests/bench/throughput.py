"""Rate and cost per message, beside the echo server and the gateway without database, round after round."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from csms.charge_points import service as charge_points
from csms.database.pool import connect_once
from tests.bench import messages
from tests.bench.cases import Bench
from tests.bench.inserts import commits_per_s
from tests.bench.load import Run
from tests.bench.stage import REFERENCES, Installation, Stage

CASES: dict[str, Callable[[Bench], Awaitable[Run]]] = {
    "Heartbeat": lambda bench: bench.heartbeats(),
    "MeterValues 1.6": lambda bench: bench.readings(messages.V16),
    "MeterValues 1.6, 1 value": lambda bench: bench.readings(messages.V16, values=1),
    "TransactionEvent 2.0.1": lambda bench: bench.readings(messages.V201),
    "whole session 1.6": lambda bench: bench.sessions(messages.V16),
    "whole session 2.0.1": lambda bench: bench.sessions(messages.V201),
    "connect + boot": lambda bench: bench.connects(),
    "connect + boot, TLS": lambda bench: bench.connects(tls=True),
}
PACED: dict[str, Callable[[Bench, float], Awaitable[Run]]] = {
    "Heartbeat": lambda bench, per_s: bench.heartbeats(per_s=per_s),
    "MeterValues 1.6": lambda bench, per_s: bench.readings(messages.V16, per_s=per_s),
    "TransactionEvent 2.0.1": lambda bench, per_s: bench.readings(messages.V201, per_s=per_s),
}
PACE = 0.7
"""Of what was reached in a closed loop just before."""
PACED_NAME = "at 70 % load: "
INSERTS = "insert-only script"
_INSERT_ROWS = (1, 10, 50, 200)
"""Readings per commit."""


async def measure(stage: Stage, cases: Sequence[str], *, inserts: bool) -> None:
    """Each of these CASES in each round; `inserts`: and what Postgres commits on its own."""
    async with stage.installation(4 * stage.plan.connections) as installation:
        for n in range(stage.plan.rounds):
            stage.say(f"round {n + 1} of {stage.plan.rounds}")
            if cases:
                await _round(stage, installation, cases)
            if inserts:
                await _insert(stage, installation)


async def _round(stage: Stage, installation: Installation, cases: Sequence[str]) -> None:
    figures = stage.figures
    for module, of in REFERENCES.items():
        async with stage.reference(module, installation.logins) as bench:
            for name in cases:
                figures.add_run(name, await CASES[name](bench), of=of)
    async with installation.csms() as bench:
        for name in cases:
            done = await CASES[name](bench)
            figures.add_run(name, done)
            installation.note_memory(name, bench)
            # Each case has the server to itself, not the bills of the one before beside it.
            await installation.settled()
            for of in REFERENCES.values():
                reference = figures.last(name, f"{of}per core s")
                figures.add(name, f"ratio to {of.strip()}", done.per_core_s / reference if reference else 0.0)
            if name in PACED:
                figures.add_waits(name, await PACED[name](bench, PACE * done.per_s), of=PACED_NAME)
                await installation.settled()


async def _insert(stage: Stage, installation: Installation) -> None:
    async with connect_once(installation.dsn) as connection:
        charge_point = await charge_points.get(connection, installation.logins[-1].identity)
    for rows in _INSERT_ROWS:
        per_s = await commits_per_s(installation.dsn, charge_point, seconds=stage.plan.seconds / 4, rows=rows)
        stage.figures.add(INSERTS, f"{rows} rows each: commits/s", per_s)
        stage.figures.add(INSERTS, f"{rows} rows each: rows/s", per_s * rows)
