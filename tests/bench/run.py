"""One benchmark: the cases that were asked for, one after the other."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from tests.bench import growth, idle, storm, throughput
from tests.bench.certificate import make_certificate
from tests.bench.figures import Figures
from tests.bench.plan import Plan
from tests.bench.processes import allow_many_sockets, share_out_cores
from tests.bench.stage import Stage

SINGLE: Mapping[str, Callable[[Stage, str], Awaitable[None]]] = {
    **dict.fromkeys(idle.KINDS, idle.measure),
    idle.CROWD: idle.measure_crowd,
    **dict.fromkeys(storm.STORMS, storm.measure),
    storm.BACKLOG: storm.measure_backlog,
    growth.CONNECTED: growth.measure_connected,
    growth.STORED: growth.measure_stored,
    growth.WORKERS: growth.measure_workers,
}
"""Measured once, each on a database of its own."""
NAMES: Sequence[str] = (*throughput.CASES, throughput.INSERTS, *SINGLE)


async def run(plan: Plan, names: Sequence[str], *, say: Callable[[str], None]) -> Figures:
    """Measure these of NAMES. `say` is told what is under way."""
    allow_many_sockets()
    figures = Figures(share_out_cores(), os.getloadavg()[0])
    with tempfile.TemporaryDirectory(prefix="csms-bench-") as directory:
        stage = Stage(plan=plan, figures=figures, certificate=make_certificate(Path(directory)), say=say)
        in_rounds = [name for name in throughput.CASES if name in names]
        if in_rounds or throughput.INSERTS in names:
            await throughput.measure(stage, in_rounds, inserts=throughput.INSERTS in names)
        for name, measure in SINGLE.items():
            if name in names:
                say(name)
                await measure(stage, name)
    return figures
