"""`csms demo`: what it says at the end, and what it leaves behind, which is nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from cli_room import CSMS, PATIENCE_S, environment, run

from billing import ClosedMonth, demo_day
from csms.demo import month, stage
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


async def terminated(process: asyncio.subprocess.Process, by: int = signal.SIGTERM) -> tuple[int, str, str]:
    process.send_signal(by)
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
        papers = sorted(each.name for each in (directory / "documents").iterdir())
        month = told.partition("csms close status --month ")[2].split()[0]
        env = environment(directory)
        status = await run(env, "close", "status", "--month", month, "-o", "json")
        kept = await run(env, "archive", "verify", "-o", "json")
        postmaster = int((directory / "postgres" / "postmaster.pid").read_text().splitlines()[0])
        code, rest, err = await terminated(process)

    assert (code, rest, err) == (0, "stopped\n", "")
    assert contents(data_home) == []
    assert not is_running(postmaster)
    assert "8 sessions with 57.5 kWh were billed right, 4 with 959.1 kWh are held" in told
    year = month[:4]
    assert papers == [
        f"{series}{year}-{n:06}.pdf" for series, count in (("B", 2), ("C", 1), ("R", 2)) for n in range(1, count + 1)
    ]
    assert all(f"  {directory / 'documents' / name}\n" in told for name in papers)
    assert re.search(rf"C{year}-000001  credit note  C-1001  {month}-\d\d  R{year}-000001 +0\.84  0\.16   1\.00", told)
    assert re.search(r"together +35\.72   35\.72     0\.00", told)
    assert "is locked: " in told
    assert {each["check"] for each in status.json if each["state"] != "done"} == {"sessions_held"}
    assert "it was locked by csms demo" in status.err
    assert kept.code == 0, kept.err
    [free] = [line for line in told.splitlines() if "DEMO-11" in line]
    assert re.search(r"0\.00 EUR +yes +to the cent, waived", free)


async def test_the_documents_of_a_demo_stay_where_they_are_wanted(data_home: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.pdf").write_bytes(b"")
    async with demonstrating(data_home, "--documents", str(tmp_path)) as process:
        _, refused = await process.communicate()
    async with demonstrating(data_home, "--speed", "100000", "--documents", str(tmp_path / "new")) as process:
        told, err = await process.communicate()

    assert "is not empty: name a new directory" in refused.decode()
    assert (process.returncode, err) == (0, b""), told.decode()
    assert len(contents(tmp_path / "new")) == 5
    assert {each.read_bytes()[:5] for each in contents(tmp_path / "new")} == {b"%PDF-"}
    assert contents(data_home) == []


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGHUP])
async def test_a_demo_that_is_ended_before_its_end_leaves_nothing_behind(data_home: Path, by: int) -> None:
    async with demonstrating(data_home, "--speed", "10") as process:
        await told_until(process, "running")
        code, _, err = await terminated(process, by)

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


@pytest.mark.parametrize(
    ("now", "day"),
    [
        ("2026-11-23T08:00Z", "2026-10-31"),
        ("2026-03-31T23:59Z", "2026-02-28"),
        ("2026-04-01T11:59Z", "2026-02-28"),  # west of Hawaii it is still March
        ("2026-04-01T12:00Z", "2026-03-31"),
        ("2027-01-01T11:59Z", "2026-11-30"),
    ],
)
def test_the_stories_are_those_of_the_last_month_that_has_ended_everywhere(now: str, day: str) -> None:
    assert demo_day(datetime.fromisoformat(now)) == date.fromisoformat(day)


def test_books_that_are_not_what_they_must_be_are_told() -> None:
    right = ClosedMonth(
        month=date(2026, 10, 1), papers=(), checks=(), left_out=(), findings=(),
        documents=[{"account": account, "kind": kind, "gross": gross} for account, kind, gross in month.DOCUMENTS],
        balances=[{"account": kind, "owner": of, "balance": balance} for (kind, of), balance in month.BALANCES.items()],
    )  # fmt: skip

    assert month.problems(right) == []
    assert month.problems(replace(right, findings=["entries R-1"], left_out=["no address"])) == [
        "no address",
        "entries R-1",
    ]
    [wrong] = month.problems(replace(right, documents=right.documents[:-1]))
    assert wrong.startswith("the documents are ")
    [wrong] = month.problems(replace(right, balances=[{**right.balances[0], "balance": "4.39"}, *right.balances[1:]]))
    assert "('receivable', ''): '4.39'" in wrong
