"""Worlds in which everything fails, one from each seed: what heals is what the charge points did, and is billed so.

`python -m tests.faults.seeds 217` replays a seed, `python -m tests.faults.seeds 1-10000` runs as many as one likes.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.faults.seeds.run import Verdict
from tests.faults.seeds.schedule import HARD_EVERY, Fault, schedule_of
from tests.faults.seeds.several import run_seeds
from tests.faults.world import LONG

SEEDS = range(1, 3001 if LONG else 301)
PARTS = 4
"""One after the other, or on several processes: each has a Postgres of its own."""


@pytest.mark.parametrize("part", range(PARTS))
async def test_nothing_is_lost_and_nothing_billed_twice_in_any_world(part: int) -> None:
    seeds = SEEDS[part * len(SEEDS) // PARTS : (part + 1) * len(SEEDS) // PARTS]
    verdicts = await run_seeds(sorted(seeds, key=lambda seed: not schedule_of(seed).hard))  # those take longest

    failed = [verdict for verdict in verdicts if verdict.problem]
    assert not failed, "\n\n".join(map(str, failed))
    assert _injected(verdicts) == {"drop", "duplicate", "reorder", "lose_answer"}
    assert sum(verdict.asked for verdict in verdicts) > len(verdicts)


def _injected(verdicts: list[Verdict]) -> set[str]:
    return {kind for verdict in verdicts for kind in verdict.injected}


def test_a_seed_says_what_will_happen() -> None:
    """The same each time, so that a failure can be replayed."""
    assert schedule_of(217) == schedule_of(217)
    assert str(schedule_of(217)) == str(schedule_of(217))
    assert schedule_of(217) != schedule_of(218)


def test_the_seeds_of_every_run_bring_every_fault_about() -> None:
    struck = Counter(strike.fault for seed in SEEDS for strike in schedule_of(seed).strikes)

    assert set(struck) == set(Fault)
    assert {station.protocol for seed in SEEDS for station in schedule_of(seed).stations} == {"ocpp1.6", "ocpp2.0.1"}
    assert sum(schedule_of(seed).hard for seed in SEEDS) == len(SEEDS) // HARD_EVERY
