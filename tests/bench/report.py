"""The figures as a table for people and as JSON for comparisons, with the machine that they are of."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from csms.database.binaries import find_binaries
from tests.bench.run import CASES, PACED, Figures, Plan

_LIBRARIES = ("csms", "websockets", "uvloop", "asyncpg", "orjson", "jsonschema-rs")


def machine(plan: Plan, figures: Figures) -> dict[str, Any]:
    rest = ", ".join(str(core) for core in sorted(figures.cores.rest))
    return {
        "cpu": _cpu_model(),
        "cores": f"server on core {figures.cores.server}; Postgres and load on core {rest}",
        "load before": round(figures.load_before, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "postgres": find_binaries().version,
        "libraries": {name: version(name) for name in _LIBRARIES},
        "loop": "uvloop" if _has_uvloop() else "asyncio",
        "connections": plan.connections,
        "seconds per case": plan.seconds,
        "rounds": plan.rounds,
        "idle connections": plan.idle_connections,
    }


def as_json(plan: Plan, figures: Figures) -> dict[str, Any]:
    return {
        "machine": machine(plan, figures),
        "figures": {
            name: {"median": median(each), "min": min(each), "max": max(each)} for name, each in figures.by_name.items()
        },
    }


def as_table(plan: Plan, figures: Figures) -> str:
    """Medians, with the range over all rounds in brackets."""
    lines = [f"{name:18} {said}" for name, said in machine(plan, figures).items()]
    lines += ["", f"{'case':24}{'per s, wall':>24}{'CPU us each':>20}{'per s and core':>26}{'echo':>10}{'ratio':>20}"]
    for name in CASES:
        lines.append(
            f"{name:24}{_range(figures, f'{name}: per s'):>24}{_range(figures, f'{name}: CPU us'):>20}"
            f"{_range(figures, f'{name}: per core s'):>26}{figures.middle(f'{name}: echo per core s'):>10.0f}"
            f"{_range(figures, f'{name}: ratio to echo', 3):>20}"
        )
    lines += ["", f"{'latency at half load':24}{'p50 ms':>24}{'p99 ms':>24}"]
    for name in PACED:
        p50, p99 = f"{name}: p50 ms at half load", f"{name}: p99 ms at half load"
        lines.append(f"{name:24}{_range(figures, p50, 1):>24}{_range(figures, p99, 1):>24}")
    lines += ["", f"{'else':48}"]
    for name in figures.by_name:
        if name.startswith(("idle", "insert")):
            lines.append(f"{name:48}{_range(figures, name, 1):>24}")
    return "\n".join(lines)


def _range(figures: Figures, name: str, digits: int = 0) -> str:
    each = figures.by_name[name]
    if len(each) == 1:
        return f"{each[0]:.{digits}f}"
    return f"{median(each):.{digits}f} ({min(each):.{digits}f}-{max(each):.{digits}f})"


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _has_uvloop() -> bool:
    return "uvloop" in sys.modules
