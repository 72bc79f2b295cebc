"""The figures as a table for people and as JSON for plots and comparisons, with the machine that they are of."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from csms.database.binaries import find_binaries
from tests.bench.figures import PERCENTILES, Figures
from tests.bench.plan import Plan
from tests.bench.throughput import CASES, PACED, PACED_NAME

_LIBRARIES = ("csms", "websockets", "uvloop", "asyncpg", "orjson", "jsonschema-rs")
_COLUMNS = (("wall/s", "per s"), ("CPU us each", "CPU us"), ("per core s", "per core s"))
_RATIOS = (("to echo", "ratio to echo"), ("to no database", "ratio to no database"))


def machine(cores: str, load_before: float) -> dict[str, Any]:
    """What it was measured on; `cores`: what ran on which."""
    return {
        "on": f"{datetime.now(UTC):%Y-%m-%d}",
        "cpu": _cpu_model(),
        "cores": cores,
        "memory GB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3),
        "load before": round(load_before, 1),
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
        "postgres": find_binaries().version,
        "libraries": {name: version(name) for name in _LIBRARIES},
        "loop": "uvloop" if "uvloop" in sys.modules else "asyncio",
    }


def machine_of(figures: Figures) -> dict[str, Any]:
    rest = ", ".join(str(core) for core in sorted(figures.cores.rest))
    return machine(f"server on core {figures.cores.server}; Postgres and load on core {rest}", figures.load_before)


def as_json(plan: Plan, figures: Figures) -> dict[str, Any]:
    return {
        "machine": machine_of(figures),
        "plan": asdict(plan),
        "figures": {
            case: {
                name: {"median": median(each), "min": min(each), "max": max(each), "rounds": len(each)}
                for name, each in by_name.items()
            }
            for case, by_name in figures.by_case.items()
        },
    }


def as_table(plan: Plan, figures: Figures) -> str:
    """Medians, with the range over all rounds in brackets."""
    said = machine_of(figures) | asdict(plan)
    lines = [f"{name:18} {figure}" for name, figure in said.items()]
    in_rounds = [name for name in CASES if name in figures.by_case]
    if in_rounds:
        lines += ["", *_throughput(figures, in_rounds)]
    for case, by_name in figures.by_case.items():
        lines += ["", case]
        lines += [f"    {name:64}{_range(each):>28}" for name, each in by_name.items() if not _is_above(case, name)]
    return "\n".join(lines)


def _is_above(case: str, name: str) -> bool:
    """Stands in the tables of throughput already."""
    return case in CASES and (name in {each for _, each in (*_COLUMNS, *_RATIOS)} or name.startswith(PACED_NAME))


def _throughput(figures: Figures, names: Sequence[str]) -> list[str]:
    heads = [head for head, _ in (*_COLUMNS, *_RATIOS)]
    lines = [f"{'case':26}" + "".join(f"{head:>24}" for head in heads)]
    for case in names:
        by_name = figures.by_case[case]
        lines.append(f"{case:26}" + "".join(f"{_range(by_name[name]):>24}" for _, name in (*_COLUMNS, *_RATIOS)))
    paced = [case for case in names if case in PACED]
    if paced:
        lines += ["", f"{PACED_NAME.rstrip(': '):26}" + "".join(f"{f'p{each:g} ms':>24}" for each in PERCENTILES)]
        lines += [f"{case:26}{_waits(figures.by_case[case])}" for case in paced]
    return lines


def _waits(by_name: Mapping[str, list[float]]) -> str:
    return "".join(f"{_range(by_name[f'{PACED_NAME}p{each:g} ms']):>24}" for each in PERCENTILES)


def _range(each: Sequence[float]) -> str:
    if len(each) == 1:
        return _figure(each[0])
    return f"{_figure(median(each))} ({_figure(min(each))}-{_figure(max(each))})"


def _figure(value: float) -> str:
    """Three digits that matter; whole numbers whole."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
