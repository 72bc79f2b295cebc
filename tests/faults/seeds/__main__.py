"""python -m tests.faults.seeds SEED|FIRST-LAST ... [--schedule] [--at-once N]: run worlds, replay one, or only tell its schedule."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Iterable

from csms import logs
from tests.faults.seeds.run import Verdict
from tests.faults.seeds.schedule import schedule_of
from tests.faults.seeds.several import AT_ONCE, run_seeds


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.seeds", description="Worlds in which everything fails."
    )
    parser.add_argument("seeds", nargs="+", help="such as 217 or 1-300")
    parser.add_argument("--schedule", action="store_true", help="only tell what would happen")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help=f"worlds at the same time ({AT_ONCE})")
    given = parser.parse_args()
    seeds = [seed for said in given.seeds for seed in _seeds(said)]
    if given.schedule or len(seeds) == 1:
        sys.stdout.writelines(f"{schedule_of(seed)}\n" for seed in seeds)
    if given.schedule:
        return
    for name in [each for each in os.environ if each.startswith("CSMS_")]:
        del os.environ[name]  # a developer's own installation does not count here
    logs.configure("critical")
    failed = [each for each in asyncio.run(run_seeds(seeds, at_once=given.at_once, told=_tell)) if each.problem]
    sys.stdout.write(f"{len(seeds) - len(failed)} of {len(seeds)} worlds kept every promise\n")
    sys.exit(bool(failed))


def _seeds(said: str) -> Iterable[int]:
    first, _, last = said.partition("-")
    return range(int(first), int(last or first) + 1)


def _tell(verdict: Verdict) -> None:
    sys.stdout.write(f"{verdict}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
