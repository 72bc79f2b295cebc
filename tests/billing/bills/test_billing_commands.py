"""`csms tariff` and `csms bill` as scripts use them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import click
import pytest
from click.testing import CliRunner, Result

from billing import (
    CommandGroup,
    ExitCode,
    Output,
    async_command,
    bill_group,
    explain_session,
    output_options,
    simulate_command,
    tariff_group,
    trail_command,
)
from billing.bills.service import BillingService
from billing.tariffs.assignment import NOBODY, Customer, Place, UserClass
from tests.billing.bills.world import World, tariff_file

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
def run(database: str) -> Run:
    """Runs a command line against the test's database, in a thread since commands bring their own loop."""

    @asynccontextmanager
    async def connect(_context: click.Context) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(database)
        try:
            yield connection
        finally:
            await connection.close()

    @click.command()
    @click.argument("session", type=int)
    @output_options
    @click.pass_context
    @async_command
    async def explain(context: click.Context, session: int, output: Output) -> None:
        async with connect(context) as connection:
            await explain_session(connection, session, output)

    async def place_of(_connection: Any, charge_point: str, token: str | None, at: datetime) -> Place:
        customer = NOBODY if token is None else Customer(user_class=UserClass.FLEET)
        return Place(charge_point=charge_point, site="depot", currency="EUR", at=at, customer=customer, product="AC")

    tariff = tariff_group(connect, place_of=place_of, default_actor=lambda: "ada")
    tariff.add_command(simulate_command(connect))
    tariff.add_command(trail_command(connect))
    root = CommandGroup("csms", commands=[tariff, bill_group(connect), explain])

    async def run(*arguments: object) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, root, [str(each) for each in arguments])

    return run


def read(result: Result) -> Any:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture
def day(tmp_path: Path) -> Path:
    file = tmp_path / "day.json"
    file.write_text(tariff_file("day", "0.50"))
    return file


@pytest.mark.usefixtures("world")
async def test_a_tariff_from_file_to_assignment(run: Run, day: Path) -> None:
    assert read(await run("tariff", "create", day, "-o", "json")) == {"id": "day", "version": 1}
    assert read(await run("tariff", "create", day, "--output", "json")) == {"id": "day", "version": 1}

    assigned = read(await run("tariff", "assign", "day", "--cp", "cp-1", "--from", "2026-03-01", "-o", "json"))
    (listed,) = read(await run("tariff", "list", "-o", "json"))
    shown = read(await run("tariff", "show", "day", "-o", "json"))

    assert (assigned["scope"], assigned["target"]) == ("charge_point", "CP-1")
    assert assigned["valid_from"] == "2026-03-01T00:00:00Z"
    assert (listed["id"], listed["version"], listed["assignments"]) == ("day", 1, 1)
    assert shown["tariff"]["elements"][0]["price_components"][0]["price"] == "0.50"


@pytest.mark.usefixtures("world")
async def test_which_tariff_applies_is_told_with_why_the_others_do_not(run: Run, day: Path, tmp_path: Path) -> None:
    night = tmp_path / "night.json"
    night.write_text(tariff_file("night", "0.30"))
    for file in (day, night):
        await run("tariff", "create", file)
    which = ("tariff", "which", "--cp", "CP-1", "--token", "VAN", "-o", "json")
    nothing = await run(*which)
    everybody = read(await run("tariff", "assign", "day", "--default", "--from", "2026-03-01", "-o", "json"))
    fleet = read(
        await run(
            "tariff", "assign", "night", "--default", "--class", "fleet", "--product", "AC", "--priority", "5",
            "--from", "2026-03-01", "--until", "2126-03-01", "-o", "json",
        )
    )  # fmt: skip
    chosen, other, end = read(await run(*which))
    [first, *_] = read(await run("tariff", "which", "--cp", "CP-1", "-o", "json"))
    tried = read(await run("tariff", "unassign", fleet["assignment"], "--dry-run", "-o", "json"))
    ended = read(await run("tariff", "unassign", fleet["assignment"], "-o", "json"))
    [now, *_] = read(await run(*which))
    again = await run("tariff", "unassign", fleet["assignment"], "-o", "json")
    listed = read(await run("tariff", "assignments", "-o", "json"))
    table = await run("tariff", "which", "--cp", "CP-1", "--token", "VAN")

    assert (nothing.exit_code, json.loads(nothing.stdout)) == (ExitCode.FINDINGS, [])
    assert (chosen["applies"], chosen["tariff"], chosen["version"], chosen["priority"]) == (True, "night", 1, 5)
    assert (other["applies"], other["tariff"], other["why"]) == (
        False, "day", f"assignment {fleet['assignment']} goes first: priority 5 before 0",
    )  # fmt: skip
    assert (end["tariff"], end["why"]) == (None, "holds only from 2126-03-01T00:00:00+00:00")
    assert (first["tariff"], now["tariff"]) == ("day", "day")
    assert (tried["dry_run"], ended["assignment"]) == (True, fleet["assignment"])
    assert again.exit_code == ExitCode.REFUSED
    assert "is over" in json.loads(again.stderr)["message"]
    assert [each["assignment"] for each in listed][:2] == [everybody["assignment"], fleet["assignment"]]
    assert "CP-1 at depot" in table.stderr


async def test_a_draft_is_tried_on_the_sessions_of_the_past(
    run: Run, world: World, billing: BillingService, tmp_path: Path
) -> None:
    await world.tariff(tariff_file("day", "0.50"))
    one = await world.session(energy_wh=10_000)
    two = await world.session(energy_wh=20_000)
    await world.session(energy_wh=30_000, ended_at=None, complete_at=None)  # runs, and has an interim bill at most
    await billing.drain()
    draft = tmp_path / "draft.json"
    draft.write_text(tariff_file("day", "0.40", flat="2"))
    simulate = ("tariff", "simulate", draft, "--since", "2026-03-01", "--until", "2026-04-01")

    [summed] = read(await run(*simulate, "-o", "json"))
    rows = read(await run(*simulate, "--by", "session", "-o", "json"))
    nothing = read(await run(*simulate, "--tariff", "night", "-o", "json"))
    elsewhere = await run(*simulate, "--site", "elsewhere")
    table = await run(*simulate)
    wrong = [await run("tariff", "simulate", draft), await run("tariff", "simulate", draft, "--last", "a month")]

    assert summed == {
        "group": "day", "sessions": 2, "before_incl_tax": "15.00", "after_incl_tax": "16.00",
        "difference_incl_tax": "1.00", "currency": "EUR", "dearer": 1, "cheaper": 0, "not_rated": 0,
    }  # fmt: skip
    assert [(each["session"], each["difference_incl_tax"]) for each in rows] == [(one, "1.00"), (two, "0.00")]
    assert nothing == []
    assert elsewhere.exit_code == ExitCode.NOT_FOUND
    assert "2 sessions: 15.00 before, 16.00 after, 1.00 EUR difference; 0 not rated" in table.stderr
    assert [each.exit_code for each in wrong] == [ExitCode.USAGE, ExitCode.USAGE]
    assert await world.pool.fetchval("SELECT count(*) FROM bill WHERE kind = 'final'") == 2


async def test_a_changed_price_is_published_with_all_that_follows_from_it(
    run: Run, world: World, billing: BillingService, tmp_path: Path
) -> None:
    await world.tariff(tariff_file("day", "0.50"))
    await world.running(energy_wh=10_000)
    await billing.drain()
    file = tmp_path / "day.json"
    file.write_text(tariff_file("day", "0.45"))
    when = ("--from", "2126-04-01T00:00:00+02:00")

    tried = read(await run("tariff", "publish", file, *when, "--dry-run", "-o", "json"))
    done = read(await run("tariff", "publish", file, *when, "-o", "json"))
    again = await run("tariff", "publish", file, *when)
    past = await run("tariff", "publish", file, "--from", "2026-04-01")
    trail = read(await run("tariff", "trail", "day", "-o", "json"))
    wrong = await run("tariff", "publish", file, "--idle-cap-min", 10)

    assert tried == {**done, "dry_run": True}
    assert {**done, "assignments": len(done["assignments"])} == {
        "id": "day", "version": 2, "valid_from": "2126-03-31T22:00:00Z", "until": None, "existed": False,
        "changes": [{"path": "elements[0].price_components[0].price", "before": "0.50", "after": "0.45"}],
        "assignments": 1, "sessions_kept": 1, "kept": [{"version": 1, "sessions": 1}],
    }  # fmt: skip
    assert "says the same" in again.stderr
    assert past.exit_code == ExitCode.REFUSED
    assert [(each["act"], each["version"], each["actor"], each["session"]) for each in trail] == [
        ("published", 2, "ada", None)
    ]
    assert wrong.exit_code == ExitCode.USAGE


@pytest.mark.usefixtures("world")
async def test_assign_wants_exactly_one_target(run: Run, day: Path) -> None:
    await run("tariff", "create", day)

    assert (await run("tariff", "assign", "day")).exit_code == ExitCode.USAGE
    assert (await run("tariff", "assign", "day", "--default", "--site", "depot")).exit_code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("tariff", "assign", "night", "--default"), ExitCode.NOT_FOUND),
        (("tariff", "show", "night"), ExitCode.NOT_FOUND),
        (("bill", "list", "--session", 99), ExitCode.NOT_FOUND),
        (("bill", "show", 99), ExitCode.NOT_FOUND),
    ],
)
@pytest.mark.usefixtures("world")
async def test_what_does_not_exist_ends_with_its_status(
    run: Run, arguments: tuple[object, ...], status: ExitCode
) -> None:
    result = await run(*arguments)

    assert result.exit_code == status
    assert json.loads(result.stderr)["next"]


async def test_a_broken_tariff_is_refused_with_every_problem(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "broken.json"
    file.write_text('{"id": "x", "currency": "EURO", "elements": []}')

    for command in (("tariff", "create", file), ("tariff", "lint", file)):
        result = await run(*command)
        assert result.exit_code == ExitCode.REFUSED
        assert len(json.loads(result.stderr)["details"]["problems"]) == 2


async def test_lint_ends_with_findings_only_where_asked(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "backwards.json"
    file.write_text(tariff_file(start_date_time="2026-03-02T00:00:00Z", end_date_time="2026-03-01T00:00:00Z"))

    findings = read(await run("tariff", "lint", file, "-o", "json"))
    failed = await run("tariff", "lint", file, "--fail-on", "warning")

    assert "end_before_start" in [finding["code"] for finding in findings]
    assert failed.exit_code == ExitCode.FINDINGS


async def test_price_needs_no_database(run: Run, day: Path, tmp_path: Path) -> None:
    session = tmp_path / "session.json"
    session.write_text(
        '{"time_zone": "Europe/Berlin", "periods": [{"start": "2026-03-01T10:00:00Z", "end": "2026-03-01T11:00:00Z", '
        '"energy_kwh": 10.001}]}'
    )

    priced = read(await run("tariff", "price", day, "--session", session, "-o", "json"))
    broken = await run("tariff", "price", day, "--session", day)

    assert (priced["total_incl_tax"], priced["total_incl_tax_exact"]) == ("5.00", "5.0005")
    assert {"currency", "total_excl_tax", "total_tax", "total_excl_tax_exact", "components", "segments"} <= set(priced)
    assert broken.exit_code == ExitCode.REFUSED


async def test_bills_as_scripts_read_them(world: World, run: Run, billing: BillingService) -> None:
    await world.tariff(tariff_file(price="0.50"))
    session = await world.session(energy_wh=10_000)
    await billing.drain()

    listed = read(await run("bill", "list", "--session", session, "-o", "json"))

    assert listed == [
        {
            "session": session,
            "kind": "final",
            "seq": 1,
            "as_of": "2026-03-02T13:00:00Z",
            "energy_wh": 10_000,
            "total_excl_tax": "4.20",
            "total_tax": "0.80",
            "total_incl_tax": "5.00",
            "payable": "5.00",
            "currency": "EUR",
            "tariff": "day",
            "tariff_version": 1,
            "corrects": None,
        }
    ]
    assert read(await run("bill", "list", "-o", "json")) == listed


async def test_a_bill_explains_itself_line_by_line(world: World, run: Run, billing: BillingService) -> None:
    await world.tariff(tariff_file(price="0.50"))
    session = await world.session(energy_wh=10_000)
    await billing.drain()

    shown = read(await run("bill", "show", session, "--seq", 1, "-o", "json"))
    table = await run("explain", session)

    assert shown == read(await run("explain", session, "-o", "json"))
    assert (shown["total_incl_tax"], shown["recomputed"]) == ("5.00", True)
    assert shown["lines"][0]["what"] == "ENERGY"
    assert "10.000 kWh" in table.stdout
    assert "0.50 EUR/kWh" in table.stdout
    assert (await run("bill", "show", session, "--seq", 2)).exit_code == ExitCode.NOT_FOUND
