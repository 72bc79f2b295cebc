"""The benchmark runs to its end and has a figure for every case; how good they are is no matter of a test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.run import CASES, PACED

EACH = ("per s", "CPU us", "per core s", "echo per s", "echo CPU us", "echo per core s", "ratio to echo")
LATENCIES = ("p50 ms at half load", "p99 ms at half load")
MEMORY = ("idle connection: RSS KB", "idle connection: USS KB")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, dict[str, float]]]:
    """The table and the figures of a run that is much too short; a process of its own, as it pins itself to a core."""
    file = tmp_path_factory.mktemp("bench") / "figures.json"
    options = ["--seconds", "0.2", "--connections", "4", "--rounds", "1", "--idle", "16", "--json", str(file)]
    done = subprocess.run(  # noqa: S603 - our own program and arguments
        [sys.executable, "-m", "tests.bench", *options],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout, json.loads(file.read_text())["figures"]


@pytest.mark.parametrize("case", CASES)
def test_every_case_has_its_figures(told: tuple[str, dict[str, dict[str, float]]], case: str) -> None:
    table, figures = told

    assert case in table
    assert all(figures[f"{case}: {what}"]["median"] > 0 for what in EACH)
    assert all(figures[f"{case}: {what}"]["median"] > 0 for what in LATENCIES if case in PACED)


def test_the_memory_of_a_connection_and_the_insert_only_reference_are_measured(
    told: tuple[str, dict[str, dict[str, float]]],
) -> None:
    _, figures = told

    assert all(name in figures for name in MEMORY)
    assert [name for name in figures if name.startswith("insert-only")] == [
        "insert-only, 1 rows per commit: commits/s",
        "insert-only, 50 rows per commit: commits/s",
    ]
