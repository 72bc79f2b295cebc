"""What a message costs when there are more of everything: charge points, stored readings, processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from tests.bench import messages
from tests.bench.cases import Bench
from tests.bench.fill import fill_readings
from tests.bench.load import Run
from tests.bench.stage import Installation, Stage

CONNECTED = "charge points connected"
STORED = "readings stored"
WORKERS = "workers"
STARTS = 3
BY_ALL, BY_SOME = "MeterValues 1.6 by all", "MeterValues 1.6 by the first of them"
KINDS = ("Heartbeat", BY_SOME, BY_ALL)
"""By the first of them: as many sessions run then as with the fewest charge points, so that billing has no more to do."""
_EACH_SPEAKS = 2
"""At least so often, however many they are."""
_LATER = timedelta(hours=8)
"""Than the session before on the same charge point."""


async def measure_connected(stage: Stage, case: str) -> None:
    """The same rate of messages, divided among more and more charge points."""
    plan = stage.plan
    async with stage.installation(max(plan.connected)) as installation:
        for count in plan.connected:
            stage.say(f"{count} charge points")
            async with installation.csms() as bench:
                for kind, run in (await _share(installation, bench, count)).items():
                    stage.figures.add(case, f"{count} charge points, {kind}: CPU us", run.cpu_us)
                    stage.figures.add(case, f"{count} charge points, {kind}: p99 ms", run.latency_ms(99))
                installation.note_memory(f"{case}: {count}", bench)
    for kind in KINDS:
        _compare(stage, case, [f"{count} charge points, {kind}: CPU us" for count in plan.connected], of=kind)


async def _share(installation: Installation, bench: Bench, count: int) -> Mapping[str, Run]:
    """Each of KINDS, at the same rate."""
    plan = installation.stage.plan
    per_s, some = plan.connected_per_s, min(plan.connected)
    bench = replace(bench, seconds=max(plan.seconds, _EACH_SPEAKS * count / per_s))
    begin = messages.session_start()
    async with bench.clients(messages.V16, count=count) as clients:
        await installation.settled()
        return {
            "Heartbeat": await bench.heartbeats_of(clients, per_s=per_s),
            BY_SOME: await bench.readings_of(
                clients[:some], messages.V16, begin, per_s=per_s, started=installation.settled
            ),
            BY_ALL: await bench.readings_of(
                clients, messages.V16, begin + _LATER, per_s=per_s, started=installation.settled
            ),
        }


async def measure_stored(stage: Stage, case: str) -> None:
    """The same load on a database that holds more and more readings; and how long a start takes there."""
    plan = stage.plan
    for count in plan.readings:
        async with stage.installation(max(plan.registered, plan.connections)) as installation:
            if count:
                stage.say(f"{count} readings are written")
                await fill_readings(installation.dsn, count=count, charge_points=len(installation.logins))
            await _measure_with(stage, case, installation, count)
    for name in ("MeterValues 1.6: CPU us", "whole session 1.6: CPU us", "ready: s"):
        _compare(stage, case, [f"{count} readings, {name}" for count in plan.readings], of=name.partition(":")[0])


async def _measure_with(stage: Stage, case: str, installation: Installation, count: int) -> None:
    figures = stage.figures
    for _ in range(STARTS):
        async with installation.csms() as bench:
            figures.add(case, f"{count} readings, ready: s", bench.server.ready_s)
    async with installation.csms() as bench:
        for name, run in (
            ("MeterValues 1.6", await bench.readings(messages.V16)),
            ("whole session 1.6", await bench.sessions(messages.V16)),
        ):
            figures.add(case, f"{count} readings, {name}: per s", run.per_s)
            figures.add(case, f"{count} readings, {name}: CPU us", run.cpu_us)
            figures.add(case, f"{count} readings, {name}: p99 ms", run.latency_ms(99))
        installation.note_memory(f"{case}: {count}", bench)


async def measure_workers(stage: Stage, case: str) -> None:
    """Several processes on one port. They, Postgres and the load share all cores, so the machine is the limit."""
    figures = stage.figures
    async with stage.installation(stage.plan.connections, workers=max(stage.plan.workers)) as installation:
        for count in stage.plan.workers:
            stage.say(f"{count} workers")
            async with installation.csms(workers=count, cores=figures.cores.all) as bench:
                run = await bench.readings(messages.V16)
                figures.add(case, f"{count} workers, MeterValues 1.6: per s", run.per_s)
                figures.add(case, f"{count} workers, MeterValues 1.6: CPU us", run.cpu_us)
                figures.add(case, f"{count} workers, MeterValues 1.6: p99 ms", run.latency_ms(99))
                installation.note_memory(f"{case}: {count}", bench)


def _compare(stage: Stage, case: str, names: Sequence[str], *, of: str) -> None:
    """How many times the first of these figures the last one is."""
    first = stage.figures.middle(case, names[0])
    if len(names) > 1 and first:
        stage.figures.add(case, f"{of}: last to first", stage.figures.middle(case, names[-1]) / first)
