"""Networks that drop, double, swap, hold back and cut, from one seed each: what heals is what the charge points did."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from simulators.charge_point import Build, RetryPolicy
from simulators.faults import FaultyProxy, MessageFaults, faulty_proxy
from tests.faults.books import assert_nothing_lost
from tests.faults.load import charging, usual_build
from tests.faults.world import LONG, commission, furnish, serving

NAMES = [f"CP-{n}" for n in range(8)]
SEEDS = range(30 if LONG else 3)
TURNS = 6
PATIENT = RetryPolicy(attempts=50, interval_s=0.02)
"""So many of its messages are lost that three attempts would not do."""


@pytest.mark.parametrize("seed", SEEDS)
async def test_sessions_are_what_the_charge_points_did_whatever_the_network_does(
    seed: int, database: str, tmp_path: Path
) -> None:
    """Messages are dropped, doubled and swapped, answers lost, connections frozen and cut."""
    faults = MessageFaults(seed=seed, drop=0.03, duplicate=0.1, reorder=0.03, lose_answer=0.03)

    def build(index: int) -> Build:
        return usual_build(index, retry=PATIENT, call_timeout_s=0.5, wrap=faults.wrap)

    async with serving(database, tmp_path) as running, faulty_proxy(running.ocpp_url) as proxy:
        await furnish(database)
        passwords = await commission(database, tmp_path, NAMES)
        async with charging(proxy.url, passwords, build=build) as fleet:
            chance = random.Random(seed)
            for _ in range(TURNS):
                await fleet.heard(15)
                await _strike(proxy, chance)
            await fleet.heard(15)

        assert set(faults.injected) == {"drop", "duplicate", "reorder", "lose_answer"}
        summary = await assert_nothing_lost(database, fleet.truths)
    assert summary.sessions == summary.billed >= len(NAMES)


async def _strike(proxy: FaultyProxy, chance: random.Random) -> None:
    match chance.choice(("cut", "cut answer", "half-open", "slow")):
        case "cut":
            proxy.cut()
        case "cut answer":
            proxy.cut_answers = 3
        case "half-open":
            proxy.pause()
            await asyncio.sleep(0.7)
            proxy.cut()
            proxy.resume()
        case _:
            proxy.delay_s = 0.01 if proxy.delay_s == 0 else 0.0
