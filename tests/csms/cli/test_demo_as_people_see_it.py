"""`csms demo`: what it says at the end, and what it leaves behind, which is nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from cli_room import CSMS, PATIENCE_S, environment

from csms.demo import stage
from csms.demo.world import ACTS


@contextlib.asynccontextmanager
async def demonstrating(home: Path, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A demo whose directory lies in `home`."""
    process = await asyncio.create_subprocess_exec(
        CSMS, "demo", *options, env={**environment(None), "TMPDIR": str(home)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def told_until(process: asyncio.subprocess.Process, words: str) -> str:
    """What it prints, up to the line with these words."""
    assert process.stdout is not None
    told = ""
    async with asyncio.timeout(PATIENCE_S):
        while words not in told:
            line = await process.stdout.readline()
            assert line, told
            told += line.decode()
    return told


async def terminated(process: asyncio.subprocess.Process) -> tuple[int, str, str]:
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(PATIENCE_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def contents(directory: Path) -> list[Path]:
    return list(directory.iterdir())


def is_running(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_a_demo_that_stays_ends_in_good_order_when_it_is_told_to(data_home: Path) -> None:
    async with demonstrating(data_home, "--keep", "--speed", "100000") as process:
        told = await told_until(process, "csms sim run")
        directory = data_home / f"csms-demo-{process.pid}"
        postmaster = int((directory / "postgres" / "postmaster.pid").read_text().splitlines()[0])
        code, rest, err = await terminated(process)

    assert (code, rest, err) == (0, "stopped\n", "")
    assert contents(data_home) == []
    assert not is_running(postmaster)
    assert "8 sessions with 57.5 kWh were billed right, 4 with 959.1 kWh are held" in told
    [free] = [line for line in told.splitlines() if "DEMO-11" in line]
    assert re.search(r"0\.00 EUR +yes +to the cent, waived", free)


async def test_a_demo_that_is_ended_before_its_end_leaves_nothing_behind(data_home: Path) -> None:
    async with demonstrating(data_home, "--speed", "10") as process:
        await told_until(process, "running")
        code, _, err = await terminated(process)

    assert (code, json.loads(err)["code"]) == (1, "aborted")
    assert contents(data_home) == []


def row(state: str, wh: int, **more: Any) -> dict[str, Any]:
    return {"state": state, "energy_wh": wh, "hold_reasons": [], **more}


def test_energy_is_counted_apart_by_what_becomes_of_it() -> None:
    jumped = row("open", 949_000, hold_reasons=["register_jump"])
    sessions = [row("rated", 10_000), row("rated", 5500), row("held", 7000, hold_reasons=["no_stop"]), jumped]
    counted = stage.energy([*sessions, row("open", 300), row("ended", 200)])

    assert counted == stage.Energy(billed_kwh=Decimal("15.5"), held_kwh=Decimal(956), open_kwh=Decimal("0.5"))
    assert "15.5 kWh billed, 956.0 kWh held" in stage.plain(sessions, {})


def test_a_bill_without_the_note_that_it_must_carry_is_not_right() -> None:
    free = next(act for act in ACTS if act.scenario == "zero_energy")
    session = row("rated", 0, charge_point=free.charge_point, started_at=0, total_incl_tax="0.00", currency="EUR")

    def verdict(notes: list[str]) -> stage.Verdict:
        return next(each for each in stage.judge([{**session, "notes": notes}]) if each.act is free)

    assert verdict(["waived"]).right
    assert verdict(["waived"]).why.startswith("to the cent, waived")
    assert not verdict([]).right
