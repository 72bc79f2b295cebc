"""The figures beside their targets and references, as a table for the README: python -m tests.bench.table FILE ...

FILE as written by --json of python -m tests.bench and python -m tests.bench.soak; several make one table. With
--into README.md it replaces what stands there between the marks.
"""

from __future__ import annotations

import argparse
import json
import operator
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench.growth import BY_ALL, BY_SOME, CONNECTED, STORED
from tests.bench.idle import CROWD
from tests.bench.plan import FULL
from tests.bench.storm import BACKLOG, STORMS
from tests.bench.throughput import INSERTS, PACED_NAME

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
Body = Mapping[str, Any]


class Target(NamedTuple):
    """What a figure is to be: at least or at most."""

    is_met: Callable[[float, float], bool]
    at: float

    def __str__(self) -> str:
        return f"{'≥' if self.is_met is operator.ge else '≤'} {_number(self.at)}"


def _least(at: float) -> Target:
    return Target(operator.ge, at)


def _most(at: float) -> Target:
    return Target(operator.le, at)


class Row(NamedTuple):
    """One figure, by case and name, and those that are told beside it."""

    said: str
    case: str
    name: str
    unit: str
    target: Target | None = None
    beside: tuple[tuple[str, str], ...] = ()
    """Name and how it is told, with {} for the figure."""


_RATIOS = (("ratio to echo", "{} of echo"), ("ratio to no database", "{} of the gateway without database"))
_WAITS = ((f"{PACED_NAME}p50 ms", "p50 {} ms"), (f"{PACED_NAME}p99.9 ms", "p99.9 {} ms"))
_WALL = (("per s", "{}/s with Postgres and load on the other core"),)
_CORE = (("per core s", "{}/s and core of the server"),)
_STORM = (("p50 is back: s", "half after {} s"), ("CPU us", "{} us of CPU each"), ("RSS MB", "then {} MB RSS"))
_IDLE = (("echo RSS KB", "echo {} KB"),)
ROWS = (
    Row("Heartbeat", "Heartbeat", "per core s", "/s and core", None, (*_WALL, *_RATIOS)),
    Row("MeterValues 1.6, 10 values, durable", "MeterValues 1.6", "per core s", "/s and core", _least(6000), _WALL),
    Row("its share of the echo server's rate", "MeterValues 1.6", "ratio to echo", "", _least(0.45), _RATIOS[1:]),
    Row("its p99 at 70 % load", "MeterValues 1.6", f"{PACED_NAME}p99 ms", " ms", _most(40), _WAITS),
    Row("MeterValues 1.6, 1 value", "MeterValues 1.6, 1 value", "per core s", "/s and core", None, (*_WALL, *_RATIOS)),
    Row("TransactionEvent 2.0.1, 10 values", "TransactionEvent 2.0.1", "per core s", "/s and core", None, (*_WALL, *_RATIOS)),
    Row("its p99 at 70 % load", "TransactionEvent 2.0.1", f"{PACED_NAME}p99 ms", " ms", _most(40), _WAITS),
    Row("inserts alone, 200 rows a commit", INSERTS, "200 rows each: rows/s", "/s"),
    Row("whole sessions 1.6, to the final bill", "whole session 1.6", "per s", "/s", _least(300), (*_CORE, *_RATIOS)),
    Row("whole sessions 2.0.1", "whole session 2.0.1", "per s", "/s", _least(300), (*_CORE, *_RATIOS)),
    Row("connect + BootNotification", "connect + boot", "per s", "/s", _least(800), _RATIOS),
    Row("the same with TLS", "connect + boot, TLS", "per s", "/s", _least(400), _RATIOS),
    Row("{charge points} come back at once", "reconnect storm", "last is back: s", " s", _most(10), _STORM),
    Row("{charge points} come back with TLS", "reconnect storm, TLS", "last is back: s", " s", _most(20), _STORM),
    Row("{charge points} bring {messages of each} readings each", BACKLOG, "last is stored: s", " s", None, (
        ("per s", "{}/s"), ("StartTransaction of others meanwhile: p99 ms", "starts of others meanwhile: p99 {} ms"),
    )),
    Row("idle connection", "idle connection", "RSS KB", " KB", _most(20), _IDLE),
    Row("with deflate", "idle connection, deflate", "RSS KB", " KB", None, _IDLE),
    Row("with TLS", "idle connection, TLS", "RSS KB", " KB", _most(45), _IDLE),
    Row("{charge points} idle with TLS, all of the server", CROWD, "RSS MB", " MB", _most(600), (
        ("Postgres PSS MB", "Postgres {} MB"),
    )),
    Row("Heartbeat with most charge points, times that with fewest", CONNECTED, "Heartbeat: last to first", "", _most(1.3)),
    Row("MeterValues of as many sessions, likewise", CONNECTED, f"{BY_SOME}: last to first", "", _most(1.3)),
    Row("MeterValues of a session of each, likewise", CONNECTED, f"{BY_ALL}: last to first", "", _most(1.3)),
    Row("MeterValues with most readings stored, times that with none", STORED, "MeterValues 1.6: last to first", "", _most(1.3)),
    Row("whole sessions, likewise", STORED, "whole session 1.6: last to first", "", _most(1.3)),
)  # fmt: skip


def rows(body: Body) -> Iterator[str]:
    """Lines of Markdown. What was not measured is left out."""
    yield "| what | figure (range) | target | beside it |"
    yield "|---|---|---|---|"
    for row in ROWS:
        by_name = body.get("figures", {}).get(row.case, {})
        if row.name in by_name:
            target = row.target if _is_of_full_size(body, row.case) else None
            yield _line(row.said, by_name, row.name, row.unit, target, row.beside)
    yield from _start_up(body)
    yield from _soak(body)


def _is_of_full_size(body: Body, case: str) -> bool:
    """Whether the case was measured with as much as its target speaks of."""
    plan, full = body["plan_of"][case], asdict(FULL)
    of = {**dict.fromkeys(STORMS, "storm"), CROWD: "crowd", CONNECTED: "connected", STORED: "readings"}.get(case)
    return of is None or _most_of(plan[of]) >= _most_of(full[of])


def _most_of(count: Any) -> int:
    return max(count) if isinstance(count, list | tuple) else count


def _line(
    said: str, by_name: Body, name: str, unit: str, target: Target | None, beside: tuple[tuple[str, str], ...] = ()
) -> str:
    for each in ("charge points", "messages of each"):
        if each in by_name:
            said = said.replace(f"{{{each}}}", _number(by_name[each]["median"]))
    told = "; ".join(how.format(_number(by_name[of]["median"])) for of, how in beside if of in by_name)
    return f"| {said} | {_range(by_name[name], unit)} | {_verdict(target, by_name[name]['median'])} | {told} |"


def _start_up(body: Body) -> Iterator[str]:
    """Of each number of readings that was stored."""
    by_name = body.get("figures", {}).get(STORED, {})
    for name in by_name:
        if name.endswith(", ready: s"):
            count = int(name.split(" ", maxsplit=1)[0])
            said = f"start-up with {body['plan_of'][STORED]['registered']:,} charge points and {count:,} readings"
            yield _line(said, by_name, name, " s", _most(2))


def _soak(body: Body) -> Iterator[str]:
    if "soak" in body:
        seen = body["soak"]
        slopes = "; ".join(f"{name} {slope:+.2f}/h" for name, slope in seen["slopes_per_hour"].items())
        flat = "not flat" if seen["growing"] else "flat"
        said = f"{seen['minutes']:g} minutes at {seen['load']:.0%} load, {seen['reconnects']:,} reconnects"
        yield f"| {said} | {flat} | flat: {'no' if seen['growing'] else 'yes'} | {slopes} |"


def _verdict(target: Target | None, figure: float) -> str:
    if target is None:
        return ""
    return f"{target}: {'yes' if target.is_met(figure, target.at) else '**no**'}"


def _range(each: Mapping[str, float], unit: str) -> str:
    middle = f"{_number(each['median'])}{unit}"
    return middle if each["rounds"] == 1 else f"{middle} ({_number(each['min'])}-{_number(each['max'])})"


def _number(value: float) -> str:
    """Three digits that matter; whole numbers whole."""
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.3g}"


def merged(files: list[Path]) -> dict[str, Any]:
    """The JSON of several runs as that of one, with the plan of each case; the later ones win."""
    body: dict[str, Any] = {"figures": {}, "plan_of": {}}
    for file in files:
        told = json.loads(file.read_text())
        figures = told.get("figures", {})
        body |= told | {
            "figures": body["figures"] | figures,
            "plan_of": body["plan_of"] | dict.fromkeys(figures, told.get("plan")),
        }
    return body


def block(body: Body, pictures: list[str]) -> str:
    """What stands between BEGIN and END: the machine, the table, the pictures."""
    lines = [*_machine(body), "", *rows(body), ""]
    lines += [f"![{Path(each).stem}]({each})" for each in pictures]
    return "\n".join(lines)


def _machine(body: Body) -> Iterator[str]:
    """Of the last file, as all have to be of one machine."""
    said = body["machine"]
    libraries = ", ".join(f"{name} {version}" for name, version in said["libraries"].items() if name != "csms")
    yield f"Medians of {said['on']} on {said['cpu']}, {said['memory GB']} GB, Linux {said['kernel']}: {said['cores']}."
    yield f"Python {said['python']} ({said['loop']}), Postgres {said['postgres']}, {libraries}."


def put_into(file: Path, text: str) -> None:
    """Replace what stands between the marks.

    Raises:
        ValueError: the file has no marks.
    """
    before, begin, rest = file.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{file} has no lines {BEGIN} and {END}")
    file.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.table", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--into", type=Path, metavar="README", help="put it there, with the pictures beside FILE")
    given = parser.parse_args()
    body = merged(given.files)
    if given.into is None:
        sys.stdout.write("\n".join(rows(body)) + "\n")
        return
    home = given.into.resolve().parent
    pictures = sorted(given.files[0].resolve().parent.glob("*.svg"))
    put_into(given.into, block(body, [each.relative_to(home).as_posix() for each in pictures]))


if __name__ == "__main__":
    main()
