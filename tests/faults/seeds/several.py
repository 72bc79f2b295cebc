"""Many worlds on one ground, some at the same time: most of what they do is wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from tests.faults.books import assert_follows_from_facts
from tests.faults.seeds.ground import open_ground
from tests.faults.seeds.run import Verdict, assert_sound, judge

AT_ONCE = 8


async def run_seeds(
    seeds: Iterable[int], *, at_once: int = AT_ONCE, told: Callable[[Verdict], None] = lambda _verdict: None
) -> list[Verdict]:
    """The verdict of each, in their order; `told` of each as soon as it is known.

    Raises:
        AssertionError: what worlds shared is not sound; the names of charge points in it begin with their seeds.
    """
    places = asyncio.Semaphore(at_once)
    async with open_ground() as ground:

        async def run(seed: int) -> Verdict:
            async with places:
                verdict = await judge(ground, seed)
            told(verdict)
            return verdict

        verdicts = list(await asyncio.gather(*(run(seed) for seed in seeds)))
        for place in ground.shared:
            assert_sound(place)
            await assert_follows_from_facts(place.dsn)
        return verdicts
