"""python -m tests.bench [--seconds S] [--connections N] [--rounds N] [--idle N] [--json FILE]."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
from pathlib import Path

from csms import logs
from tests.bench.report import as_json, as_table
from tests.bench.run import Plan, run


def _plan() -> tuple[Plan, Path | None]:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="How fast, against a raw echo server.")
    parser.add_argument("--seconds", type=float, default=5, help="length of each case")
    parser.add_argument("--connections", type=int, default=100, help="charge points with one call open each")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured")
    parser.add_argument("--idle", type=int, default=1000, help="connections whose memory is measured")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    given = parser.parse_args()
    plan = Plan(seconds=given.seconds, connections=given.connections, rounds=given.rounds, idle_connections=given.idle)
    return plan, given.json


def main() -> None:
    plan, json_file = _plan()
    logs.configure("warning")
    gc.freeze()
    gc.disable()  # a pause of the load would look like one of the server
    try:
        import uvloop  # noqa: PLC0415 - not there on every platform
    except ImportError:
        figures = asyncio.run(run(plan, say=_say))
    else:
        figures = uvloop.run(run(plan, say=_say))
    sys.stdout.write(as_table(plan, figures) + "\n")
    if json_file is not None:
        json_file.write_text(json.dumps(as_json(plan, figures), indent=2) + "\n")


def _say(what: str) -> None:
    sys.stderr.write(f"{what} ...\n")


if __name__ == "__main__":
    main()
