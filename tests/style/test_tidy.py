"""House rules that a reviewer would otherwise repeat. The lists of exceptions may only shrink."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("csms", "billing", "simulators")
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 50
LONGER_FILES: dict[str, int] = {}
LONGER_FUNCTIONS: dict[str, int] = {}
TOP_LEVEL = {
    "CHANGELOG.md", "Dockerfile", "LICENSE", "README.md", "billing", "csms", "pyproject.toml", "simulators", "tests",
    "uv.lock",
}  # fmt: skip
VAGUE = {"utils", "util", "helpers", "helper", "common", "base", "misc", "manager", "managers"}
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S607
    if listed.returncode:
        pytest.skip("not a git checkout: the layout cannot be compared with what is tracked")
    return listed.stdout.splitlines()


def test_nothing_visible_stands_outside_the_agreed_layout() -> None:
    tops = {name.split("/")[0] for name in _tracked()}

    assert {name for name in tops if not name.startswith(".")} <= TOP_LEVEL


def test_no_file_is_longer_than_a_person_reads_at_once() -> None:
    lengths = {_name(path): len(path.read_text().splitlines()) for path in SOURCES}

    long = {name: lines for name, lines in lengths.items() if lines > LONGER_FILES.get(name, FILE_LINES_MAX)}
    assert not long, f"split by noun: {long}"


def test_no_function_is_longer_than_a_screen() -> None:
    long = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                first = node.body[0]
                documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
                start = (first.end_lineno or node.lineno) if documented else node.lineno
                lines = node.end_lineno - start
                name = f"{_name(path)}:{node.name}"
                if lines > LONGER_FUNCTIONS.get(name, FUNCTION_LINES_MAX):
                    long[name] = lines

    assert not long, f"divide by what each part is about: {long}"


def test_no_module_has_a_name_that_says_nothing() -> None:
    vague = [_name(path) for path in SOURCES if path.stem in VAGUE or path.parent.name in VAGUE]

    assert not vague, f"name them after their noun: {vague}"


def test_nothing_is_left_for_later() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX)\b|raise NotImplementedError")
    found = [
        f"{_name(path)}:{number}"
        for path in SOURCES
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if marks.search(line)
    ]

    assert not found, f"do it or leave it out: {found}"


def test_no_wait_is_measured_by_a_clock_that_can_be_set() -> None:
    """O2: loop.time() and time.monotonic() go on evenly. What must outlive the process stands as an instant in the books."""
    wall = re.compile(r"\btime\.time(_ns)?\(|\b(sleep|timeout|call_later|wait_for)\(.*(datetime\.|utc_now|\bnow\b)")
    of_files = {"csms/files/cache.py"}  # the file system stamps them by the clock on the wall
    found = [
        f"{_name(path)}:{number}"
        for path in SOURCES
        if path.parts[len(ROOT.parts)] != "simulators" and _name(path) not in of_files
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if wall.search(line)
    ]

    assert not found, f"use loop.time() or time.monotonic(): {found}"


def test_nothing_tells_of_the_machine_it_was_written_on() -> None:
    places = re.compile(r"/work/|/root/|\.pyenv|/home/[a-z]")
    found = [
        name
        for name in _tracked()
        if (ROOT / name).is_file()
        and name.endswith((".py", ".sql", ".md", ".toml", "Dockerfile"))
        and name != "tests/style/test_tidy.py"
        and places.search((ROOT / name).read_text())
    ]

    assert not found


def test_csms_uses_billing_only_through_the_names_that_it_exports() -> None:
    inner = re.compile(r"^\s*(from billing\.|import billing\.)", re.MULTILINE)
    found = [
        _name(path) for path in SOURCES if path.parts[len(ROOT.parts)] == "csms" and inner.search(path.read_text())
    ]

    assert not found, "export the name from billing/__init__.py and import it from there"
