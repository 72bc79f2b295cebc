"""python -m tests.bench [--full] [--case NAME ...] [--json FILE]; --help says what else, and lists the cases."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
from dataclasses import fields, replace
from pathlib import Path

from csms import logs
from tests.bench.plan import FULL, USUAL, Plan
from tests.bench.report import as_json, as_table
from tests.bench.run import NAMES, run

_HELP = {
    "seconds": "length of each measurement",
    "connections": "charge points with one call open each",
    "rounds": "how often throughput is measured",
    "idle": "connections whose memory is measured",
    "crowd": "charge points that are idle with TLS at once",
    "storm": "charge points that come back at once",
    "backlog": "charge points that come back, and how many readings each has queued",
    "connected": "numbers of charge points among which the same rate of messages is divided",
    "connected_per_s": "that rate",
    "readings": "numbers of readings that are stored already",
    "registered": "charge points that a start-up finds",
    "workers": "numbers of processes",
}


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="How fast, beside the echo server, the gateway without database and the insert-only script.",
        epilog="cases: " + "; ".join(NAMES),
    )
    parser.add_argument("--full", action="store_true", help="everything at full size: an hour and more, 40 GB of disk")
    parser.add_argument("--case", action="append", choices=NAMES, metavar="NAME", help="only this one; may be repeated")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here as well")
    for each in fields(Plan):
        usual, full = getattr(USUAL, each.name), getattr(FULL, each.name)
        said = f"{_HELP[each.name]}; {_said(usual)}" + ("" if full == usual else f", in full {_said(full)}")
        kind = {"type": float if "_s" in each.name or each.name == "seconds" else int}
        several = {"nargs": len(usual) if each.name == "backlog" else "+"} if isinstance(usual, tuple) else {}
        parser.add_argument(f"--{each.name.replace('_', '-')}", help=said, **kind, **several)
    return parser


def _said(value: object) -> str:
    return " ".join(str(each) for each in value) if isinstance(value, tuple) else str(value)


def _plan(given: argparse.Namespace) -> Plan:
    told = {each.name: getattr(given, each.name) for each in fields(Plan)}
    told = {name: tuple(value) if isinstance(value, list) else value for name, value in told.items()}
    return replace(FULL if given.full else USUAL, **{name: value for name, value in told.items() if value is not None})


def main() -> None:
    given = _arguments().parse_args()
    plan = _plan(given)
    logs.configure("warning")
    gc.freeze()
    gc.disable()  # a pause of the load would look like one of the server
    measuring = run(plan, given.case or NAMES, say=_say)
    try:
        import uvloop  # noqa: PLC0415 - not there on every platform
    except ImportError:
        figures = asyncio.run(measuring)
    else:
        figures = uvloop.run(measuring)
    sys.stdout.write(as_table(plan, figures) + "\n")
    if given.json is not None:
        given.json.write_text(json.dumps(as_json(plan, figures), indent=2) + "\n")


def _say(what: str) -> None:
    sys.stderr.write(f"{what} ...\n")


if __name__ == "__main__":
    main()
