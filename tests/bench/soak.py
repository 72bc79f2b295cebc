"""A long time at half load, with charge points that come and go: nothing may grow. python -m tests.bench.soak --minutes 30.

Exit status 1: memory, open files or tasks grow, or a charge point was refused.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from csms import logs
from csms.event_loop import run
from tests.bench import messages
from tests.bench.cases import Bench, open_booted
from tests.bench.certificate import make_certificate
from tests.bench.figures import Figures
from tests.bench.flatness import LIMITS, Sample, growing, settled, slope_per_s
from tests.bench.plan import Plan
from tests.bench.processes import MB, allow_many_sockets, family, memory, share_out_cores
from tests.bench.report import machine_of
from tests.bench.stage import Installation, Stage
from tests.bench.wire import Client
from tests.bench.world import Login

_CAPACITY_S = 10.0
_LOOKS = 180
_LOOK_S_MIN = 1.0
_AWAY_S = 2.0
"""At most so long a charge point is away between two of its sockets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """`load`: share of what a closed loop reaches. `connected_s`: how long a charge point stays, on average."""

    minutes: float
    charge_points: int
    load: float
    connected_s: float


class Fleet:
    """Charge points that charge one vehicle after the other. `per_s`: their pace together; None: as fast as they can."""

    def __init__(self, bench: Bench, *, connected_s: float) -> None:
        self._bench = bench
        self._connected_s = connected_s
        self._visits = {login.identity: messages.visits() for login in bench.logins}
        self.answered = 0
        self.refused: list[str] = []
        self.reconnects = 0

    async def work(self, *, seconds: float, per_s: float | None = None) -> float:
        """Messages a second that were answered."""
        before, loop = self.answered, asyncio.get_running_loop()
        begin = loop.time()
        pause_s = 0.0 if per_s is None else len(self._bench.logins) / per_s
        async with asyncio.TaskGroup() as tasks:
            for login in self._bench.logins:
                tasks.create_task(self._live(login, until=begin + seconds, pause_s=pause_s))
        return (self.answered - before) / (loop.time() - begin)

    async def _live(self, login: Login, *, until: float, pause_s: float) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(random.uniform(0, pause_s))
        while loop.time() < until:
            client = await open_booted(self._bench.target(), login, messages.V16)
            leaves_at = min(until, loop.time() + random.expovariate(1 / self._connected_s))
            try:
                await self._charge(client, login, until=leaves_at, pause_s=pause_s)
            finally:
                await client.close()
            self.reconnects += 1
            await asyncio.sleep(random.uniform(0, min(_AWAY_S, max(0.0, until - loop.time()))))

    async def _charge(self, client: Client, login: Login, *, until: float, pause_s: float) -> None:
        """Whole sessions; the last is ended although it is time to leave."""
        loop = asyncio.get_running_loop()
        due = loop.time()

        async def ask(frame: bytes) -> bytes:
            nonlocal due
            await asyncio.sleep(due - loop.time())
            due = max(due, loop.time() - pause_s) + pause_s
            answer = await client.ask(frame)
            self.answered += 1
            if answer.startswith(b"[4,"):
                self.refused.append(answer.decode(errors="replace"))
            return answer

        while loop.time() < until:
            visit = next(self._visits[login.identity])
            transaction = messages.transaction_of(await ask(visit.start(messages.V16, "")))
            for frame in visit.readings(messages.V16, transaction):
                await ask(frame)
            await ask(visit.stop(messages.V16, transaction))
            await ask(b'[2,"beat","Heartbeat",{}]')


class Watch:
    """Looks at the server again and again, and says what it sees."""

    def __init__(self, installation: Installation, bench: Bench, fleet: Fleet) -> None:
        self._installation = installation
        self._server = bench.server
        self._fleet = fleet
        self.samples: list[Sample] = []

    async def run(self, *, seconds: float, every_s: float) -> None:
        loop = asyncio.get_running_loop()
        begin, answered, at = loop.time(), self._fleet.answered, loop.time()
        while at < begin + seconds:
            await asyncio.sleep(every_s)
            now = loop.time()
            sample = Sample(
                at_s=now - begin,
                rss_mb=self._server.memory.rss / MB,
                files=self._server.open_files,
                tasks=await asyncio.to_thread(_tasks, self._server.http_url),
                per_s=(self._fleet.answered - answered) / (now - at),
                postgres_mb=memory(family(self._installation.postmaster)).pss / MB,
            )
            answered, at = self._fleet.answered, now
            self.samples.append(sample)
            sys.stderr.write(
                f"{sample.at_s / 60:7.1f} min {sample.per_s:8.0f}/s   RSS {sample.rss_mb:7.1f} MB   "
                f"files {sample.files:5}   tasks {sample.tasks:5}   Postgres {sample.postgres_mb:6.0f} MB\n"
            )


def _tasks(http_url: str) -> int:
    with urllib.request.urlopen(f"{http_url}/metrics", timeout=30) as answer:  # noqa: S310 - a server of ours
        found = re.search(r"^csms_tasks (\S+)$", answer.read().decode(), re.MULTILINE)
    assert found is not None, "csms/api/health.py counts them"
    return int(float(found[1]))


async def soak(stage: Stage, wanted: Wanted) -> dict[str, Any]:
    """What was seen, slopes an hour, and what grows."""
    async with stage.installation(wanted.charge_points) as installation, installation.csms() as bench:
        fleet = Fleet(bench, connected_s=wanted.connected_s)
        capacity_per_s = await fleet.work(seconds=min(_CAPACITY_S, wanted.minutes * 60))
        stage.say(f"{capacity_per_s:.0f} messages a second in a closed loop; now {wanted.load:.0%} of it")
        watch = Watch(installation, bench, fleet)
        every_s = max(_LOOK_S_MIN, wanted.minutes * 60 / _LOOKS)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(watch.run(seconds=wanted.minutes * 60, every_s=every_s))
            working = tasks.create_task(
                fleet.work(seconds=wanted.minutes * 60 + every_s, per_s=wanted.load * capacity_per_s)
            )
    watched = settled(watch.samples)
    return asdict(wanted) | {
        "capacity per s": capacity_per_s,
        "per s": working.result(),
        "reconnects": fleet.reconnects,
        "refused": fleet.refused[:10],
        "settled_s": watched[0].at_s,
        "slopes_per_hour": {name: slope_per_s(watched, name) * 3600 for name in LIMITS},
        "growing": growing(watched),
        "samples": [asdict(each) for each in watch.samples],
    }


def verdict(seen: dict[str, Any]) -> Iterator[str]:
    """For people: what was done, each slope, and whether all is flat."""
    yield f"{seen['minutes']:g} minutes, {seen['per s']:.0f} messages a second, {seen['reconnects']} reconnects"
    for name, slope in seen["slopes_per_hour"].items():
        yield f"{name:8} {slope:+9.3f} an hour"
    if seen["refused"]:
        yield f"refused: {seen['refused'][0]}"
    for name, rise in seen["growing"].items():
        yield f"not flat: {name} rose by {rise:.1f} while watched"
    if not seen["growing"] and not seen["refused"]:
        yield "flat"


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--charge-points", type=int, default=200)
    parser.add_argument("--load", type=float, default=0.5, help="share of what a closed loop reaches; 0.5")
    parser.add_argument("--connected-s", type=float, default=60, help="how long a charge point stays, on average; 60")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was seen here, for the plots")
    return parser.parse_args()


async def _main(given: argparse.Namespace, out: list[dict[str, Any]]) -> None:
    allow_many_sockets()
    figures = Figures(share_out_cores(), os.getloadavg()[0])
    wanted = Wanted(
        minutes=given.minutes,
        charge_points=given.charge_points,
        load=given.load,
        connected_s=given.connected_s,
    )
    with tempfile.TemporaryDirectory(prefix="csms-bench-") as directory:
        stage = Stage(plan=Plan(), figures=figures, certificate=make_certificate(Path(directory)), say=_say)
        seen = await soak(stage, wanted)
    out.append({"machine": machine_of(figures), "soak": seen})


def _say(what: str) -> None:
    sys.stderr.write(f"{what} ...\n")


def main() -> int:
    """The exit status."""
    given, out = _given(), list[dict[str, Any]]()
    logs.configure("warning")
    run(_main(given, out))
    [body] = out
    sys.stdout.write("\n".join(verdict(body["soak"])) + "\n")
    if given.json is not None:
        given.json.write_text(json.dumps(body, indent=1) + "\n")
    return 1 if body["soak"]["growing"] or body["soak"]["refused"] else 0


if __name__ == "__main__":
    sys.exit(main())
