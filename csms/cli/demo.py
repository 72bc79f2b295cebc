"""csms demo: the whole system at work on simulated charge points, in about a minute."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.live import Live

from billing import CliError, ExitCode, async_command, close_demo_month, demo_day
from csms import logs
from csms.app import Running, run_server
from csms.charge_points import service as charge_points
from csms.database.cluster import open_cluster
from csms.database.pool import connect_once, open_pool
from csms.demo import month, stage, world
from csms.demo.stage import Verdict
from csms.sessions import listing
from csms.settings import Settings, load_settings
from simulators.scenarios import ScenarioResult, run_scenario, shipped

SPEED = 180.0
"""Model seconds per second: the longest story lasts two and a half hours."""
REFRESH_S = 0.5
SETTLE_S = 15.0
WIDTH_IN_A_PIPE = 150
BEGIN = time(10, tzinfo=UTC)
"""On the last day of a month: the longest story ends long before midnight, wherever it is told."""
BOOKS_CONNECTIONS = 2
ENDS = (signal.SIGTERM, signal.SIGHUP)


def _require_room(_context: click.Context, _parameter: click.Parameter, papers: Path | None) -> Path | None:
    """Nobody's own documents are written over."""
    if papers is not None and papers.exists() and any(papers.iterdir()):
        raise click.BadParameter(f"{papers} is not empty: name a new directory")
    return papers


@click.command()
@click.option("--keep", is_flag=True, help="Stay up afterwards, until Ctrl-C or SIGTERM, to look around.")
@click.option("--speed", type=click.FloatRange(10, 100_000), default=SPEED, show_default=True, help="Times real time.")
@click.option(
    "--documents",
    "papers",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    callback=_require_room,
    help="A new or empty directory for the PDFs, which stay there; with the rest, and gone with it, unless said.",
)
@click.option("--ocpp-port", type=click.IntRange(0, 65535), default=0, help="A free one unless said.")
@click.option("--http-port", type=click.IntRange(0, 65535), default=0, help="A free one unless said.")
@async_command
async def demo(keep: bool, speed: float, papers: Path | None, ocpp_port: int, http_port: int) -> None:
    """Watch it work: eleven simulated charge points of both versions, well-behaved and not, and the end of their month.

    \b
    Examples:
      csms demo
      csms demo --keep
      csms demo --documents /tmp/csms-documents

    The stories are those of the last day of a month that has ended, so that its books can be closed. Everything is
    fictitious and lives in a database of its own, which is gone afterwards.
    """
    _end_on_signals()
    console = Console(file=sys.stdout)
    if not console.is_terminal:
        console = Console(file=sys.stdout, width=WIDTH_IN_A_PIPE)
    try:
        wrong, verdicts, problems = await _show_off(
            console, keep=keep, speed=speed, papers=papers, ocpp_port=ocpp_port, http_port=http_port
        )
    except asyncio.CancelledError:
        raise click.Abort from None
    if wrong:
        raise CliError(
            f"{len(wrong)} of {len(verdicts)} sessions did not end as they must",
            "see the table; this is a defect of csms, please report it",
            ExitCode.FAILED,
        )
    if problems:
        raise CliError(
            f"the books are not what they must be: {'; '.join(problems)}",
            "this is a defect of csms, please report it",
            ExitCode.FAILED,
        )


async def _show_off(
    console: Console, *, keep: bool, speed: float, papers: Path | None, ocpp_port: int, http_port: int
) -> tuple[list[Verdict], list[Verdict], list[str]]:
    """The verdicts that are wrong, all of them, and what is wrong with the books."""
    problems: list[str] = []
    async with _server(ocpp_port=ocpp_port, http_port=http_port) as (settings, dsn, running):
        console.print(
            f"csms {running.version}: charge points connect to {running.ocpp_url}, metrics at {running.http_url}/metrics"
        )
        day = demo_day(datetime.now(UTC))
        verdicts = await _play(console, settings, dsn, running, day=day, speed=speed)
        console.print()
        console.print(stage.result(verdicts))
        wrong = [each for each in verdicts if not each.right]
        console.print(_outcome(verdicts, wrong))
        if not wrong:
            place = papers or settings.data_dir / "documents"
            problems = await _close_books(console, settings, dsn, day, place)
            if papers is None and not keep:
                console.print("They go with the demo: csms demo --documents DIR leaves them there.")
            console.print(NEXT)
        if keep:
            await _stay(console, settings, running, day)
    return wrong, verdicts, problems


async def _close_books(console: Console, settings: Settings, dsn: str, day: date, papers: Path) -> list[str]:
    """Invoice, credit and lock the month of the stories, and show it; what is not as it must be."""
    pool = await open_pool(dsn, size=BOOKS_CONNECTIONS, name="csms demo")
    try:
        closed = await close_demo_month(
            pool, day, archive=settings.data_dir / "archive", papers=papers, now=datetime.now(UTC)
        )
    finally:
        await pool.close()
    console.print()
    console.print(month.picture(closed), soft_wrap=False)
    return month.problems(closed)


def _end_on_signals() -> None:
    """End as with Ctrl-C when told to, or when the terminal is closed: the directory goes with server and Postgres.

    Once is enough: a second signal would break the clean-up off, and is not listened to.
    """
    loop, main = asyncio.get_running_loop(), asyncio.current_task()
    assert main is not None, "a command is a task"

    def end() -> None:
        for each in ENDS:
            loop.add_signal_handler(each, lambda: None)
        main.cancel()

    for each in ENDS:
        loop.add_signal_handler(each, end)


@asynccontextmanager
async def _server(*, ocpp_port: int, http_port: int) -> AsyncIterator[tuple[Settings, str, Running]]:
    """A server on an embedded Postgres of its own, in a directory that goes with it."""
    data_dir = Path(tempfile.gettempdir()) / f"csms-demo-{os.getpid()}"
    settings = load_settings(
        data_dir=data_dir, ocpp_port=ocpp_port, http_port=http_port, ocpp_host="127.0.0.1", settle_delay_s=2,
        complete_timeout_online_s=5, available_patience_s=8, sweep_interval_s=1, projection_interval_s=0.5,
        log_level="error",
    ).model_copy(update={"database_url": None})  # fmt: skip
    logs.configure(settings.log_level)
    try:
        async with open_cluster(data_dir, "own") as dsn, asyncio.TaskGroup() as tasks:
            started: asyncio.Future[Running] = asyncio.get_running_loop().create_future()
            serving = tasks.create_task(run_server(settings, dsn, started=started.set_result))
            serving.add_done_callback(lambda _: started.cancel() if not started.done() else None)
            running = await started
            try:
                yield settings, dsn, running
            finally:
                running.stop()
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)


async def _play(
    console: Console, settings: Settings, dsn: str, running: Running, *, day: date, speed: float
) -> list[Verdict]:
    async with connect_once(dsn) as connection:
        begin = datetime.combine(day, BEGIN)
        key = charge_points.load_password_key(settings.data_dir, settings.password_key)
        passwords = await world.build(connection, key=key, since=begin - timedelta(days=1))
        played = asyncio.gather(
            *(
                run_scenario(
                    shipped()[act.scenario], running.ocpp_url, act.charge_point, passwords[act.charge_point],
                    protocol=str(act.protocol), token=act.token, time_base=begin, speed=speed,
                )
                for act in world.ACTS
            )
        )  # fmt: skip
        try:
            await _show(console, connection, played)
        finally:
            played.cancel()
            await asyncio.gather(played, return_exceptions=True)
        return await _settled(connection)


async def _show(console: Console, connection: Any, played: asyncio.Future[list[ScenarioResult]]) -> None:
    """What goes on, until everything is played: a picture on a terminal, a line now and then elsewhere."""
    if console.is_terminal:
        with Live(console=console, refresh_per_second=4, transient=True, screen=False) as live:
            while not played.done():
                live.update(stage.picture(*await _state(connection)))
                await asyncio.wait({played}, timeout=REFRESH_S)
    else:
        while not played.done():
            _, sessions, bills = await _state(connection)
            console.print(stage.plain(sessions, bills))
            await asyncio.wait({played}, timeout=REFRESH_S * 10)
    for each in await played:
        if not each.ok:
            console.print(f"{each.charge_point}: {each.title}: {'; '.join(each.unmet) or 'messages left'}")


async def _state(
    connection: Any,
) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]], Mapping[str, int]]:
    return (
        await charge_points.list_charge_points(connection),
        await listing.list_sessions(connection),
        await listing.count_bills(connection),
    )


async def _settled(connection: Any) -> list[Verdict]:
    """The verdicts once all are right, or when it has lasted too long."""
    deadline = asyncio.get_running_loop().time() + SETTLE_S
    while True:
        verdicts = stage.judge(
            [await listing.show(connection, row["id"]) for row in await listing.list_sessions(connection)]
        )
        if all(each.right for each in verdicts) or asyncio.get_running_loop().time() > deadline:
            return verdicts
        await asyncio.sleep(REFRESH_S)


def _outcome(verdicts: Sequence[Verdict], wrong: Sequence[Verdict]) -> str:
    if wrong:
        return f"\n{len(wrong)} of {len(verdicts)} sessions did not end as they must."
    held = sum(1 for each in verdicts if each.expected.total_incl_tax is None)
    counted = stage.energy([each.session for each in verdicts if each.session is not None])
    return (
        f"\n{len(verdicts) - held} sessions with {counted.billed_kwh:.1f} kWh were billed right, "
        f"{held} with {counted.held_kwh:.1f} kWh are held for a person to review and bill nothing."
    )


NEXT = (
    "\nNext: run your own with `csms serve`, then `csms site create`, `csms tariff create`, `csms cp create`;\n"
    "`csms demo --keep` stays up to look around. README.md has a five-minute tour."
)


async def _stay(console: Console, settings: Settings, running: Running, day: date) -> None:
    console.print(
        f"\nStaying up until Ctrl-C. In another terminal:\n"
        f"  export CSMS_DATA_DIR={settings.data_dir}\n"
        f"  csms session list\n  csms session explain 1\n  csms review list\n"
        f"  csms invoice list\n  csms report open-items\n  csms close status --month {day:%Y-%m}\n"
        f"  csms sim run normal --url {running.ocpp_url} --now"
    )
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        console.print("stopped")
