"""The benchmark runs to its end and has a figure for every case; how good they are is no matter of a test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench.run import NAMES
from tests.bench.table import BEGIN, END
from tests.bench.throughput import CASES, INSERTS, PACED

ROOT = Path(__file__).parents[2]
TINY = {
    "seconds": 0.2, "connections": 4, "rounds": 1, "idle": 16, "crowd": 16, "storm": 16, "backlog": (3, 4),
    "connected": (3, 6), "connected-per-s": 60, "readings": (0, 1500), "registered": 8, "workers": (1, 2),
}  # fmt: skip
QUICK = ("MeterValues 1.6", "connect + boot, TLS", INSERTS, "reconnect storm, TLS")
MEASURED = NAMES if os.environ.get("CSMS_TEST_LONG") == "1" else QUICK
"""Each takes a few seconds to start its servers, however little is measured."""

Told = tuple[str, dict[str, Any]]


def run(module: str, *options: object) -> subprocess.CompletedProcess[str]:
    """In a process of its own: a benchmark pins itself to a core."""
    return subprocess.run(  # noqa: S603 - our own program and arguments
        [sys.executable, "-m", module, *map(str, options)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """The table and the JSON of a run that is much too short."""
    file = tmp_path_factory.mktemp("bench") / "figures.json"
    sizes = [each for name, size in TINY.items() for each in (f"--{name}", *_several(size))]
    cases = [option for name in MEASURED for option in ("--case", name)]
    done = run("tests.bench", *sizes, *cases, "--json", file)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout, json.loads(file.read_text())


def _several(size: object) -> tuple[object, ...]:
    return size if isinstance(size, tuple) else (size,)


@pytest.mark.parametrize("case", MEASURED)
def test_every_case_has_figures_in_the_table_and_in_the_json(told: Told, case: str) -> None:
    table, body = told

    assert case in table
    assert body["figures"][case]
    assert all(0 <= each["min"] <= each["median"] <= each["max"] for each in body["figures"][case].values())


@pytest.mark.parametrize("case", [name for name in CASES if name in MEASURED])
def test_rates_stand_beside_both_references_and_the_memory_of_all_processes(told: Told, case: str) -> None:
    figures = told[1]["figures"][case]

    for name in ("per s", "CPU us", "per core s", "p50 ms", "p99 ms", "p99.9 ms"):
        assert {name, f"echo {name}", f"no database {name}"} <= figures.keys()
    assert {"ratio to echo", "ratio to no database", "RSS MB", "Postgres PSS MB", "load RSS MB"} <= figures.keys()
    assert ("at 70 % load: p99.9 ms" in figures) is (case in PACED)


def test_the_json_says_of_which_machine_and_of_how_much_the_figures_are(told: Told) -> None:
    _, body = told

    assert {"cpu", "cores", "kernel", "python", "postgres", "libraries"} <= body["machine"].keys()
    assert body["plan"]["connections"] == 4


def test_what_postgres_commits_on_its_own_is_measured_with_several_sizes_of_batches(told: Told) -> None:
    rates = [name for name in told[1]["figures"][INSERTS] if name.endswith("rows/s")]

    assert len(rates) > 2


def test_pictures_are_drawn_of_what_was_measured(told: Told, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    file.write_text(json.dumps(told[1]))

    done = run("tests.bench.plots", file, tmp_path / "pictures")

    assert done.returncode == 0, done.stderr[-3000:]
    drawn = {each.stem for each in (tmp_path / "pictures").glob("*.svg")}
    assert {"throughput", "waits", "storms"} <= drawn
    assert drawn == {Path(line).stem for line in done.stdout.splitlines()}


def test_the_readme_gets_each_figure_beside_its_target(told: Told, tmp_path: Path) -> None:
    file, readme = tmp_path / "figures.json", tmp_path / "README.md"
    file.write_text(json.dumps(told[1]))
    readme.write_text(f"before\n{BEGIN}\nold figures\n{END}\nafter\n")

    done = run("tests.bench.table", file, "--into", readme)

    assert done.returncode == 0, done.stderr[-3000:]
    text = readme.read_text()
    assert text.startswith("before\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old figures" not in text
    assert "| MeterValues 1.6, 10 values, durable |" in text
    assert "| 16 come back with TLS |" in text
    assert "≤ 40: " in text


def test_a_soak_says_what_grows_and_stores_what_it_saw(tmp_path: Path) -> None:
    file = tmp_path / "soak.json"

    done = run("tests.bench.soak", "--minutes", 0.05, "--charge-points", 4, "--connected-s", 1, "--json", file)

    assert done.returncode in {0, 1}, done.stderr[-3000:]  # three seconds show nothing
    seen = json.loads(file.read_text())["soak"]
    assert (done.returncode == 0) is (done.stdout.splitlines()[-1] == "flat")
    assert seen["refused"] == []
    assert {"rss_mb", "files", "tasks"} == seen["slopes_per_hour"].keys()
    assert all(each["rss_mb"] > 0 and each["files"] > 0 and each["tasks"] > 0 for each in seen["samples"])
