"""What is noticed of a server from outside: by charge points that do nothing out of the ordinary, and by the kernel."""

from __future__ import annotations

import asyncio
import os
import re
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.faults.wire import Wire, start_16, stop_16
from tests.faults.world import ServerProcess

T0 = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=12)
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)]


@dataclass(slots=True)
class Canary:
    """A charge point that does nothing out of the ordinary, and notes how long it waits for each answer."""

    station: Wire
    first: int = 0
    waited_s: dict[str, list[float]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    async def sing(self, visits: int, *, pause_s: float = 0.02) -> float:
        """Whole sessions of five seconds each, told in less; how long it took."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        for visit in range(visits):
            at = T0 + timedelta(seconds=10 * (visit + visits * self.first))
            started = await self._ask("StartTransaction", start_16(at))
            for _ in range(5):
                await self._ask("Heartbeat", {})
                await asyncio.sleep(pause_s)
            await self._ask("StopTransaction", stop_16(started["transactionId"], at + timedelta(seconds=5)))
        return loop.time() - begin

    async def _ask(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        reply = await self.station.call(action, payload)
        self.waited_s.setdefault(action, []).append(loop.time() - begin)
        if reply.error is not None:
            self.errors.append(f"{action}: {reply.error}")
        return reply.payload

    def p99_s(self, action: str) -> float:
        return percentile(self.waited_s[action], 0.99)

    def __str__(self) -> str:
        return ", ".join(f"{action} p99 {self.p99_s(action) * 1000:.0f} ms" for action in self.waited_s)


async def figure(server: ServerProcess, name: str) -> float:
    """From its /metrics, added up over labels."""

    def get() -> str:
        with urllib.request.urlopen(server.ready["http_url"] + "/metrics", timeout=10) as answer:  # noqa: S310 - ours
            return str(answer.read().decode())

    found = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", await asyncio.to_thread(get), re.MULTILINE)
    assert found, f"no {name} in /metrics"
    return sum(map(float, found))


def cpu_s(server: ServerProcess) -> float:
    """Of its process so far, in user and kernel mode."""
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def resident_mb(server: ServerProcess, *, peak: bool = False) -> float:
    """Memory that its process has now, or had at most."""
    found = re.search(
        rf"^{'VmHWM' if peak else 'VmRSS'}:\s+(\d+)", Path(f"/proc/{server.pid}/status").read_text(), re.MULTILINE
    )
    assert found
    return int(found[1]) / 1024
