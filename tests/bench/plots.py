"""Pictures of what python -m tests.bench and python -m tests.bench.soak have found: python -m tests.bench.plots FILE ... DIRECTORY.

Each picture is drawn only if its figures are there; several files are drawn together. SVG, or PNG with --png.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.bench.growth import BY_ALL, BY_SOME, CONNECTED, STORED, WORKERS
from tests.bench.idle import CROWD, KINDS
from tests.bench.storm import BACK_PERCENTILES, STORMS
from tests.bench.table import merged
from tests.bench.throughput import CASES, PACED, PACED_NAME

OURS, NO_DATABASE, ECHO, TARGET = "#1f6feb", "#8cb9f5", "#b8bec6", "#d1242f"
_WAITS = ("p50 ms", "p99 ms", "p99.9 ms")
_TONES = ("#8cb9f5", "#4a90e2", "#0b3d91")
_STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid.axis": "y",
    "svg.hashsalt": "csms",  # the same figures give the same file
    "figure.constrained_layout.use": True,
}

Body = Mapping[str, Any]


def _middle(body: Body, case: str, name: str) -> float | None:
    each = body.get("figures", {}).get(case, {}).get(name)
    return None if each is None else float(each["median"])


def _spread(body: Body, case: str, name: str) -> tuple[float, float, float]:
    """Median, and how far the rounds lie below and above it."""
    each = body["figures"][case][name]
    return each["median"], each["median"] - each["min"], each["max"] - each["median"]


def _target(axes: Axes, at: float, said: str, *, over: tuple[float, float] | None = None) -> None:
    """A line, over all of the picture or from one place to another."""
    left, right = over or axes.get_xlim()
    axes.hlines(at, left, right, color=TARGET, linewidth=1.2, linestyle="--", label=said)
    axes.set_xlim(axes.get_xlim() if over else (left, right))


def throughput(body: Body) -> Figure | None:
    """Messages a second and core: echo, gateway without database, csms."""
    cases = [case for case in CASES if _middle(body, case, "per core s") is not None]
    if not cases:
        return None
    figure = Figure(figsize=(8, 0.75 * len(cases) + 1.2))
    axes = figure.subplots()
    for n, (of, said, colour) in enumerate(
        (("", "csms", OURS), ("no database ", "csms without database", NO_DATABASE), ("echo ", "echo server", ECHO))
    ):
        middles = [_middle(body, case, f"{of}per core s") or 0 for case in cases]
        places = [place + 0.27 * (1 - n) for place in range(len(cases), 0, -1)]
        bars = axes.barh(places, middles, height=0.25, color=colour, label=said)
        axes.bar_label(bars, labels=[f"{each:,.0f}" for each in middles], padding=3, fontsize=8)
    axes.set_yticks(range(len(cases), 0, -1), cases)
    axes.set_xscale("log")
    axes.set_xlabel("per second of CPU time of the server (logarithmic); whole sessions: sessions")
    axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
    return figure


def waits(body: Body) -> Figure | None:
    """How long an answer takes at 70 % load."""
    cases = [case for case in PACED if _middle(body, case, f"{PACED_NAME}p50 ms") is not None]
    if not cases:
        return None
    figure = Figure(figsize=(8, 3.4))
    axes = figure.subplots()
    for n, (wait, colour) in enumerate(zip(_WAITS, _TONES, strict=True)):
        found = [_spread(body, case, f"{PACED_NAME}{wait}") for case in cases]
        bars = axes.bar(
            [place + 0.27 * (n - 1) for place in range(len(cases))],
            [middle for middle, _, _ in found],
            width=0.25, color=colour, label=wait.removesuffix(" ms"),
            yerr=([below for _, below, _ in found], [above for _, _, above in found]), ecolor="#57606a",
        )  # fmt: skip
        axes.bar_label(bars, labels=[f"{middle:.3g}" for middle, _, _ in found], padding=2, fontsize=8)
    axes.set_xticks(range(len(cases)), cases)
    axes.set_ylabel("ms until the answer, at 70 % load")
    _target(axes, 40, "target for p99: 40 ms")
    axes.legend(frameon=False, loc="upper left")
    return figure


def memory(body: Body) -> Figure | None:
    """KB of each silent connection, and MB of a crowd of them."""
    cases = [case for case in KINDS if _middle(body, case, "RSS KB") is not None]
    if not cases:
        return None
    figure = Figure(figsize=(8, 3.2))
    axes = figure.subplots()
    for n, (of, said, colour) in enumerate((("", "csms", OURS), ("echo ", "echo server", ECHO))):
        middles = [_middle(body, case, f"{of}RSS KB") or 0 for case in cases]
        places = [place + 0.35 * (n - 0.5) for place in range(len(cases))]
        bars = axes.bar(places, middles, width=0.33, color=colour, label=said)
        axes.bar_label(bars, labels=[f"{each:.1f}" for each in middles], padding=2, fontsize=8)
    axes.set_xticks(range(len(cases)), [case.removeprefix("idle connection").lstrip(", ") or "plain" for case in cases])
    axes.set_ylabel("KB resident of an idle connection")
    for n, case in enumerate(cases):
        _target(axes, 45 if KINDS[case].tls else 20, "" if n else "target", over=(n - 0.45, n + 0.45))
    total, count = _middle(body, CROWD, "RSS MB"), _middle(body, CROWD, "charge points")
    if total is not None and count is not None:
        axes.set_title(f"the whole server with {count:,.0f} idle TLS connections: {total:,.0f} MB", fontsize=9)
    axes.legend(frameon=False, loc="upper left")
    return figure


def storms(body: Body) -> Figure | None:
    """Which share of the charge points is back after how long."""
    cases = [case for case in STORMS if _middle(body, case, "last is back: s") is not None]
    if not cases:
        return None
    figure = Figure(figsize=(8, 3.2))
    axes = figure.subplots()
    for case, colour in zip(cases, (OURS, "#0b3d91"), strict=False):
        name_of = {f"p{percentile:g} is back: s": percentile for percentile in BACK_PERCENTILES}
        points = [(_middle(body, case, name), percentile) for name, percentile in name_of.items()]
        points = [(0.0, 0), *points, (_middle(body, case, "last is back: s"), 100)]
        seconds = [at for at, _ in points if at is not None]
        shares = [share for at, share in points if at is not None]
        axes.plot(seconds, shares, marker="o", markersize=3, color=colour, label=_storm(body, case))
    axes.set_xlabel("seconds since the server accepts connections again")
    axes.set_ylabel("% of the charge points back")
    axes.set_xlim(left=0)
    axes.set_ylim(0, 104)
    axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1))
    return figure


def _storm(body: Body, case: str) -> str:
    count, last = _middle(body, case, "charge points") or 0, _middle(body, case, "last is back: s") or 0
    return f"{case}: {count:,.0f} charge points, the last after {last:.1f} s"


def growth(body: Body) -> Figure | None:
    """CPU time of a message by how much of everything there is, in multiples of that with the least."""
    connected = _series(body, CONNECTED, "charge points", ("Heartbeat", BY_SOME, BY_ALL), "CPU us")
    stored = _series(body, STORED, "readings", ("MeterValues 1.6", "whole session 1.6"), "CPU us")
    if not connected and not stored:
        return None
    figure = Figure(figsize=(8, 3.6))
    for axes, series, said in zip(
        figure.subplots(1, 2), (connected, stored), ("charge points connected", "readings stored"), strict=True
    ):
        tones = (ECHO, NO_DATABASE, OURS) if series is connected else (OURS, "#0b3d91")
        for (kind, points), colour in zip(series.items(), tones, strict=False):
            least = points[0][1]
            xs, ys = [f"{count:,}" for count, _ in points], [cost / least for _, cost in points]
            axes.plot(xs, ys, marker="o", color=colour, label=f"{kind}: {least:,.0f} us and more")
        axes.set_xlabel(said)
        axes.set_ylabel("CPU of the server, times that with the least")
        axes.set_ylim(0, max(2.0, axes.get_ylim()[1]))
        if series:
            _target(axes, 1.3, "target: 1.3")
            axes.legend(frameon=False, fontsize=8, loc="lower left")
    return figure


def workers(body: Body) -> Figure | None:
    """Messages a second with more processes."""
    points = _series(body, WORKERS, "workers", ("MeterValues 1.6",), "per s").get("MeterValues 1.6")
    if not points:
        return None
    figure = Figure(figsize=(5, 3))
    axes = figure.subplots()
    bars = axes.bar([str(count) for count, _ in points], [rate for _, rate in points], width=0.5, color=OURS)
    axes.bar_label(bars, labels=[f"{rate:,.0f}" for _, rate in points], padding=2, fontsize=8)
    axes.set_xlabel("workers")
    axes.set_ylabel("durable MeterValues a second, wall")
    axes.set_title("workers, Postgres and load share all cores", fontsize=9)
    return figure


def _series(body: Body, case: str, what: str, kinds: Sequence[str], unit: str) -> dict[str, list[tuple[int, float]]]:
    """By kind, figures by count, from names such as `100 charge points, Heartbeat: CPU us`."""
    found: dict[str, list[tuple[int, float]]] = {}
    for name, each in body.get("figures", {}).get(case, {}).items():
        count, _, rest = name.partition(f" {what}, ")
        kind, _, of = rest.partition(": ")
        if of == unit and kind in kinds:
            found.setdefault(kind, []).append((int(count), each["median"]))
    return {kind: found[kind] for kind in kinds if kind in found}


def soak(body: Body) -> Figure | None:
    """Memory, files and tasks over the time of a soak."""
    samples = body.get("soak", {}).get("samples")
    if not samples:
        return None
    minutes = [each["at_s"] / 60 for each in samples]
    figure = Figure(figsize=(8, 4.6))
    said = {"rss_mb": "RSS, MB", "files": "open files", "tasks": "tasks"}
    for axes, (name, label) in zip(figure.subplots(3, 1, sharex=True), said.items(), strict=True):
        axes.plot(minutes, [each[name] for each in samples], color=OURS)
        axes.set_ylim(0, 1.15 * max(each[name] for each in samples))
        axes.set_ylabel(label)
        axes.axvline(body["soak"]["settled_s"] / 60, color=ECHO, linewidth=1)
        slope = body["soak"]["slopes_per_hour"][name]
        axes.annotate(f"{slope:+.2f} an hour", (1, 0.08), xycoords="axes fraction", ha="right", fontsize=8)
    axes.set_xlabel("minutes; slopes are from the grey line on")
    return figure


DRAWN: Mapping[str, Callable[[Body], Figure | None]] = {
    each.__name__: each for each in (throughput, waits, memory, storms, growth, workers, soak)
}


def draw(body: Body, directory: Path, *, kind: str = "svg") -> list[Path]:
    """Write what can be drawn of the figures; returns the files."""
    directory.mkdir(parents=True, exist_ok=True)
    files = []
    with mpl.rc_context(_STYLE):
        for name, make in DRAWN.items():
            figure = make(body)
            if figure is not None:
                files.append(directory / f"{name}.{kind}")
                figure.savefig(files[-1], dpi=130, metadata={"Date": None} if kind == "svg" else None)
    return files


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.plots", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="as written by --json")
    parser.add_argument("directory", type=Path, metavar="DIRECTORY", help="where the pictures go")
    parser.add_argument("--png", action="store_true", help="PNG instead of SVG")
    given = parser.parse_args()
    body = merged(given.files)
    for file in draw(body, given.directory, kind="png" if given.png else "svg"):
        sys.stdout.write(f"{file}\n")


if __name__ == "__main__":
    main()
