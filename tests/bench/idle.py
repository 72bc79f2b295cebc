"""What a silent connection costs in memory, and a crowd of them."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from tests.bench import messages
from tests.bench.cases import OPENING_AT_ONCE, Bench, close_all, open_all
from tests.bench.processes import MB
from tests.bench.stage import ECHO, Stage
from tests.bench.wire import Target

_SETTLED_S = 1.0
_WARM_UP = 2 * OPENING_AT_ONCE


class _Kind(NamedTuple):
    tls: bool = False
    deflate: bool = False


KINDS = {
    "idle connection": _Kind(),
    "idle connection, deflate": _Kind(deflate=True),
    "idle connection, TLS": _Kind(tls=True),
}
CROWD = "idle crowd, TLS"


async def measure(stage: Stage, case: str) -> None:
    """KB by which a fresh server, ours and echo, grows per open socket that has booted and says nothing."""
    tls, deflate = KINDS[case]
    async with stage.installation(max(stage.plan.idle, _WARM_UP)) as installation:
        async with installation.csms() as bench:
            await _note(stage, case, bench, bench.target(tls=tls, deflate=deflate))
        async with stage.reference(ECHO, installation.logins, deflate=deflate) as bench:
            await _note(stage, case, bench, bench.target(tls=tls, deflate=deflate), of="echo ")


async def _note(stage: Stage, case: str, bench: Bench, target: Target, *, of: str = "") -> None:
    count = stage.plan.idle
    # Whatever a server makes once is made now.
    await close_all(await open_all(target, bench.logins[:_WARM_UP], messages.V16))
    await asyncio.sleep(_SETTLED_S)
    before = bench.server.memory
    clients = await open_all(target, bench.logins[:count], messages.V16)
    await asyncio.sleep(_SETTLED_S)
    after = bench.server.memory
    await close_all(clients)
    stage.figures.add(case, f"{of}RSS KB", (after.rss - before.rss) / count / 1024)
    stage.figures.add(case, f"{of}USS KB", (after.uss - before.uss) / count / 1024)


async def measure_crowd(stage: Stage, case: str) -> None:
    """All memory of a server with as many idle TLS sockets as a large fleet has."""
    async with stage.installation(stage.plan.crowd) as installation, installation.csms() as bench:
        stage.figures.add(case, "charge points", stage.plan.crowd)
        stage.figures.add(case, "empty: RSS MB", bench.server.memory.rss / MB)
        clients = await open_all(bench.target(tls=True), bench.logins, messages.V16)
        await asyncio.sleep(_SETTLED_S)
        installation.note_memory(case, bench)
        await close_all(clients)
