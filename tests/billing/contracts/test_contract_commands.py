"""csms contract, plan and item as scripts use them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from inspect import cleandoc
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import click
import pytest
from click.testing import CliRunner, Result

from billing.cli_output import CommandGroup
from billing.contracts.changes import Change
from billing.contracts.days import add_months
from billing.contracts.nouns import contract_group, item_group, plan_group
from billing.errors import ExitCode
from tests.billing.contracts.contract_world import ContractWorld
from tests.midday import midday_zone

Run = Callable[..., Awaitable[Result]]
DAY = timedelta(days=1)
ZONE = midday_zone()
TODAY = datetime.now(ZoneInfo(ZONE)).date()
MONTH = TODAY.replace(day=1)
WHY = ("--reason", "order 4711")


@pytest.fixture
def changes() -> list[Change]:
    return []


@pytest.fixture
async def world(pool: asyncpg.Pool) -> ContractWorld:
    """A customer where it is midday, as these commands ask the clock."""
    world = ContractWorld(pool)
    await world.account(time_zone=ZONE)
    return world


@pytest.fixture
def run(database: str, world: ContractWorld, changes: list[Change]) -> Run:
    """Runs a command line against the test's database, in a thread since commands bring their own loop."""
    assert world

    @asynccontextmanager
    async def connect(_context: click.Context) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(database)
        try:
            yield connection
        finally:
            await connection.close()

    async def record(connection: Any, change: Change) -> None:
        assert connection.is_in_transaction()
        changes.append(change)

    groups = [group(connect, actor=lambda: "ada", record=record) for group in (contract_group, plan_group, item_group)]
    root = CommandGroup("csms", commands=groups)

    async def run(*arguments: object) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, root, [str(each) for each in arguments])

    return run


def read(result: Result, code: int = 0) -> Any:
    assert result.exit_code == code, (result.stderr, result.exception)
    return json.loads(result.stdout)


def refused(result: Result, code: ExitCode) -> str:
    assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
    return str(json.loads(result.stderr)["message"])


async def basic(run: Run, id_: str = "basic", price: str = "29.90", *more: object) -> Any:
    words = ("--name", id_.capitalize(), "--interval", "month", "--price", price, "--currency", "EUR")
    return read(await run("plan", "create", id_, *words, *more, *WHY, "-o", "json"))


async def home(run: Run, *more: object, start: date = MONTH, id_: str = "HOME-12") -> Any:
    words = ("--account", "A-1", "--start", start, "--currency", "EUR", "--plan", "basic")
    return read(await run("contract", "create", id_, *words, *more, *WHY, "-o", "json"))


def orders(body: Any) -> list[tuple[str, str]]:
    return [(each["due_on"], each["amount"]) for each in body["orders"]]


async def test_a_plan_is_made_gets_versions_and_is_shown(run: Run, changes: list[Change]) -> None:
    tried = await basic(run, "basic", "29.90", "--dry-run")
    assert read(await run("plan", "list", "-o", "json")) == []
    made = await basic(
        run, "basic", "29.90", "--included-kwh", "100", "--step", "12m=34.90", "--step", "2030-01-01=39.90"
    )
    again = await run(
        "plan", "create", "basic", "--name", "x", "--interval", "week", "--price", "1", "--currency", "EUR", *WHY
    )
    version = read(
        await run(
            "plan", "version", "basic", "--name", "Basic", "--interval", "month", "--price", "31", "--currency", "EUR",
            *WHY, "-o", "json",
        )
    )  # fmt: skip
    listed = read(await run("plan", "list", "-o", "json"))
    shown = read(await run("plan", "show", "basic", "-o", "json"))

    assert (tried["dry_run"], tried["version"]) == (True, 1)
    assert (made["price"], made["included_kwh"]) == ("29.90, 34.90 after 12m, 39.90 from 2030-01-01", "100")
    assert "there is a plan basic" in refused(again, ExitCode.CONFLICT)
    assert (version["version"], version["price"]) == (2, "31")
    assert [(each["id"], each["version"], each["subscriptions"]) for each in listed] == [("basic", 2, 0)]
    assert [each["version"] for each in shown] == [1, 2]
    assert [(each.noun.value, each.subject, each.actor, each.reason) for each in changes][-1] == (
        "plan", "basic", "ada", "order 4711",
    )  # fmt: skip
    assert refused(await run("plan", "show", "nothing"), ExitCode.NOT_FOUND) == "no plan nothing"


async def test_a_contract_charges_what_is_due_at_once_and_a_dry_run_only_says_so(
    run: Run, changes: list[Change]
) -> None:
    await basic(run)
    tried = await home(run, "--dry-run")
    assert read(await run("contract", "list", "-o", "json")) == []
    made = await home(run, "--term", "12m", "--notice", "3m", "--label", "cost_centre=4711")
    shown = read(await run("contract", "show", "HOME-12", "-o", "json"))
    listed = read(await run("contract", "list", "--account", "A-1", "-o", "json"))

    assert orders(tried) == orders(made) == [(MONTH.isoformat(), "29.90")]
    assert tried["dry_run"]
    assert shown["labels"] == {"cost_centre": "4711"}
    [subscription] = shown["subscriptions"]
    assert (subscription["plan"], subscription["from"], subscription["last_day"]) == ("basic", MONTH.isoformat(), None)
    assert subscription["billed_to"] == (add_months(MONTH, 1) - DAY).isoformat()
    end = add_months(MONTH, 12)
    assert [(each["kind"], each["on"]) for each in shown["deadlines"]][:1] == [
        ("notice", (add_months(end, -3) - DAY).isoformat())
    ]
    assert [(each["id"], each["subscriptions"], each["held"]) for each in listed] == [("HOME-12", 1, 0)]
    assert [each.action for each in changes if each.subject == "HOME-12"][-1:] == ["create"]
    assert refused(await run("contract", "show", "HOME-13"), ExitCode.NOT_FOUND) == "no contract HOME-13"


async def test_an_upgrade_says_what_it_costs_before_it_does(run: Run) -> None:
    await basic(run)
    await basic(run, "plus", "59.90")
    made = await home(run)
    [subscription] = [each["id"] for each in made["subscriptions"]]
    change = ("contract", "change", subscription, "--plan", "plus", "--on", MONTH, *WHY, "-o", "json")

    tried = read(await run(*change, "--dry-run"))
    done = read(await run(*change))
    listed = read(await run("contract", "orders", "HOME-12", "-o", "json"))

    assert orders(tried) == orders(done) == [(MONTH.isoformat(), "59.90"), (MONTH.isoformat(), "-29.90")]
    assert [(each["amount"], each["corrects"], each["state"]) for each in listed if each["corrects"]] == [
        ("-29.90", f"subscription:{subscription}:{MONTH.isoformat()}", "due")
    ]
    assert "not on" in refused(await run(*change[:-2]), ExitCode.REFUSED)
    more = read(
        await run("contract", "change", done["subscription"], "--quantity", "3", "--on", MONTH, *WHY, "-o", "json")
    )
    assert [amount for _, amount in orders(more)] == ["179.70", "-59.90"]


async def test_notice_is_given_and_taken_back(run: Run) -> None:
    await basic(run)
    start = add_months(MONTH, -1)
    await home(run, "--term", "24m", "--renewal-length", "12m", "--notice", "3m", start=start)
    end = add_months(start, 24) - DAY

    early = await run("contract", "terminate", "HOME-12", "--last-day", TODAY, *WHY)
    ended = read(await run("contract", "terminate", "HOME-12", *WHY, "-o", "json"))
    again = await run("contract", "terminate", "HOME-12", *WHY)
    renewed = read(await run("contract", "renew", "HOME-12", *WHY, "-o", "json"))
    at_once = read(
        await run("contract", "terminate", "HOME-12", "--for-cause", "--last-day", start, *WHY, "-o", "json")
    )

    assert "at the earliest" in refused(early, ExitCode.REFUSED)
    assert (ended["last_day"], ended["renewal"], ended["orders"]) == (end.isoformat(), "renews", [])
    assert f"ends on {end}" in refused(again, ExitCode.CONFLICT)
    assert renewed["last_day"] is None
    assert at_once["last_day"] == start.isoformat()
    assert [amount[0] for _, amount in orders(at_once)] == ["-", "-"]
    assert "ended on" in refused(await run("contract", "renew", "HOME-12", *WHY), ExitCode.REFUSED)


async def test_a_subscription_is_added_and_ends_while_the_contract_goes_on(run: Run) -> None:
    await basic(run)
    await basic(run, "sim", "2.50")
    await home(run)

    added = read(await run("contract", "subscribe", "HOME-12", "sim=12", *WHY, "-o", "json"))
    ended = read(await run("contract", "unsubscribe", added["subscription"], "--last-day", TODAY, *WHY, "-o", "json"))
    shown = read(await run("contract", "show", "HOME-12", "-o", "json"))

    assert orders(added) == [(MONTH.isoformat(), "30.00")]
    assert ended["orders"] == []  # the end is tomorrow
    assert [(each["plan"], each["quantity"], each["last_day"]) for each in shown["subscriptions"]] == [
        ("basic", "1", None), ("sim", "12", TODAY.isoformat()),
    ]  # fmt: skip
    assert "no plan gold" in refused(await run("contract", "subscribe", "HOME-12", "gold", *WHY), ExitCode.NOT_FOUND)


async def test_items_are_added_listed_and_cancelled_before_they_are_invoiced(run: Run, world: ContractWorld) -> None:
    await basic(run)
    await home(run)
    add = ("item", "add", "HOME-12", "--name", "Wallbox", "--price", "899", "--quantity", "3", "--supply", "hardware")

    tried = read(await run(*add, *WHY, "--dry-run", "-o", "json"))
    first = read(await run(*add, *WHY, "-o", "json"))
    second = read(await run(*add, "--on", TODAY + 10 * DAY, *WHY, "-o", "json"))
    third = read(await run(*add, *WHY, "-o", "json"))
    await world.invoice(f"item:{third['id']}")
    assert orders(tried) == orders(first) == [(TODAY.isoformat(), "2697.00")]
    assert second["orders"] == []
    read(await run("item", "cancel", first["id"], *WHY, "-o", "json"))
    read(await run("item", "cancel", second["id"], *WHY, "-o", "json"))
    listed = read(await run("item", "list", "--contract", "HOME-12", "-o", "json"))

    assert sorted((each["id"], each["state"], each["document"]) for each in listed) == [
        (first["id"], "cancelled", None), (second["id"], "cancelled", None), (third["id"], "invoiced", "INV-1"),
    ]  # fmt: skip
    assert "is on document INV-1" in refused(await run("item", "cancel", third["id"], *WHY), ExitCode.REFUSED)
    assert "was cancelled" in refused(await run("item", "cancel", first["id"], *WHY), ExitCode.CONFLICT)
    assert refused(await run("item", "cancel", "999999", *WHY), ExitCode.NOT_FOUND) == "no item 999999"
    assert [each.source for each in await world.due() if each.kind == "item"] == []
    await world.accrue((TODAY + 60 * DAY).isoformat())
    assert [each.source for each in await world.due() if each.kind == "item"] == []


async def test_a_sum_is_split_reached_and_cancelled(run: Run) -> None:
    await basic(run)
    await home(run)
    split = (
        "contract", "milestone", "split", "HOME-12", "--name", "Installation", "--total", "1000.01",
        "--part", f"On order=30@{TODAY}", "--part", "On delivery=60@delivery", "--part", "On acceptance=10@acceptance",
    )  # fmt: skip

    made = read(await run(*split, *WHY, "-o", "json"))
    first, second, third = (each["id"] for each in made["parts"])
    reached = read(await run("contract", "milestone", "reach", second, *WHY, "-o", "json"))
    read(await run("contract", "milestone", "cancel", third, *WHY, "-o", "json"))
    listed = read(await run("contract", "milestones", "HOME-12", "-o", "json"))

    assert [each["amount"] for each in made["parts"]] == ["300.00", "600.01", "100.00"]
    assert orders(made) == [(TODAY.isoformat(), "300.00")]
    assert orders(reached) == [(TODAY.isoformat(), "600.01")]
    assert [(each["id"], each["state"]) for each in listed] == [(first, "due"), (second, "due"), (third, "cancelled")]
    assert "waits for no event" in refused(await run("contract", "milestone", "reach", first, *WHY), ExitCode.REFUSED)
    assert "was cancelled" in refused(await run("contract", "milestone", "reach", third, *WHY), ExitCode.REFUSED)
    tomorrow = await run("contract", "milestone", "reach", second, "--on", TODAY + 3 * DAY, *WHY)
    assert "was reached" in refused(tomorrow, ExitCode.CONFLICT)
    unsplit = await run(*split[:-1], "On acceptance=5@acceptance", *WHY)
    assert "add up to 95 percent" in refused(unsplit, ExitCode.REFUSED)


async def test_a_template_makes_a_whole_project_again(run: Run, tmp_path: Path) -> None:
    await basic(run)
    await home(run, "--term", "12m", "--title", "Depot", "--country", "DE")
    for words in (
        ("item", "add", "HOME-12", "--name", "Wallbox", "--price", "899", "--on", MONTH + 4 * DAY, "--supply", "hardware"),
        (
            "contract", "milestone", "split", "HOME-12", "--name", "Installation", "--total", "1000",
            "--part", f"On order=30@{MONTH}", "--part", "On acceptance=70@acceptance",
        ),
        (
            "contract", "discount", "add", "HOME-12", "--label", "Welcome", "--percent", "50", "--periods", "3",
            "--from", add_months(MONTH, 1),
        ),
    ):  # fmt: skip
        read(await run(*words, *WHY, "-o", "json"))

    saved = read(await run("contract", "template", "save", "depot", "--from", "HOME-12", *WHY, "-o", "json"))
    shown = read(await run("contract", "template", "show", "depot", "-o", "json"))
    start = add_months(MONTH, -2)
    again = read(
        await run(
            "contract",
            "create",
            "DEPOT-8",
            "--account",
            "A-1",
            "--start",
            start,
            "--template",
            "depot",
            *WHY,
            "-o",
            "json",
        )
    )

    assert (saved["version"], saved["items"]) == (1, 1)
    assert shown["items"][0]["after"] == "4d"
    assert [each["after"] for each in shown["splits"][0]["parts"] if "after" in each] == ["0d"]
    assert again["template"] == "depot:1"
    assert (again["title"], again["term"]) == ("Depot", "12m")
    assert orders(again) == [
        (start.isoformat(), "29.90"),
        (add_months(start, 1).isoformat(), "14.95"),
        (add_months(start, 2).isoformat(), "14.95"),
        ((start + 4 * DAY).isoformat(), "899.00"),
        (start.isoformat(), "300.00"),
    ]
    read(await run("contract", "template", "save", "depot", "--from", "DEPOT-8", *WHY, "-o", "json"))
    assert read(await run("contract", "template", "show", "depot:2", "-o", "json")) == shown
    file = tmp_path / "depot.json"
    file.write_text(json.dumps(shown))
    third = read(await run("contract", "template", "save", "depot", "--file", file, *WHY, "-o", "json"))
    assert third["version"] == 3
    assert [each["version"] for each in read(await run("contract", "template", "list", "-o", "json"))] == [3]


async def test_mistakes_in_a_project_are_all_told(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "wrong.json"
    file.write_text(
        '{"currency": "EUR", "colour": "red", "items": [{"name": "x", "unit_price": 1.10, "after": "soon"}]}'
    )
    said = await run("contract", "create", "C", "--account", "A-1", "--start", MONTH, "--file", file, *WHY)

    assert "2 mistake(s)" in refused(said, ExitCode.REFUSED)
    problems = json.loads(said.stderr)["details"]["problems"]
    assert [each["path"] for each in problems] == ["items.0.after", "colour"]
    file.write_text("{")
    no_json = await run("contract", "create", "C", "--account", "A-1", "--start", MONTH, "--file", file, *WHY)
    assert "no JSON" in refused(no_json, ExitCode.REFUSED)


async def test_a_run_charges_everybody_and_says_what_it_could_not(run: Run, world: ContractWorld) -> None:
    await world.pool.execute("INSERT INTO price_series (name) VALUES ('cpi')")
    await basic(run)
    await basic(run, "care", "90", "--index", "cpi", "--base", "2020-01-01", "--index-first", "2021-01-01")
    await home(run)
    held = await home(run, "--plan", "care", id_="HOME-13")
    until = add_months(MONTH, 1)

    assert [each["why"] for each in held["holds"]] == ["series cpi has no value on 2020-01-01"]
    tried = await run("contract", "run", "--until", until, "--dry-run", *WHY, "-o", "json")
    rows = read(tried, ExitCode.FINDINGS)
    assert [(each["contract"], each["amount"], each["dry_run"]) for each in rows] == [
        ("HOME-12", "29.90", True), ("HOME-13", "29.90", True),
    ]  # fmt: skip
    assert "has not come" in refused(await run("contract", "run", "--until", until, *WHY), ExitCode.REFUSED)
    assert read(await run("contract", "run", "HOME-12", *WHY, "-o", "json")) == []
    told = await run("contract", "run", *WHY)
    assert told.exit_code == ExitCode.FINDINGS
    assert "HOME-13: subscription" in told.stderr
    assert [each["held"] for each in read(await run("contract", "list", "-o", "json"))] == [0, 1]
    assert read(await run("contract", "show", "HOME-13", "-o", "json"))["holds"][0]["why"].startswith("series cpi")


async def test_a_margin_is_told_and_open_where_kwh_have_no_price(run: Run, world: ContractWorld) -> None:
    await basic(run)
    await home(run)
    days = ("--from", MONTH, "--to", add_months(MONTH, 1) - DAY)

    told = read(await run("contract", "margin", "HOME-12", *days, "--fee", "3", "-o", "json"))
    assert (told["revenue"], told["energy_cost"], told["fees"], told["margin"], told["margin_percent"]) == (
        "29.90", "0.00", "3.00", "26.90", "90.0",
    )  # fmt: skip
    assert refused(await run("contract", "margin", "HOME-12", "--from", TODAY, "--to", TODAY - DAY), ExitCode.USAGE)
    unknown = await run("contract", "margin", "HOME-12", *days, "--energy-series", "spot")
    assert "no price series spot" in refused(unknown, ExitCode.NOT_FOUND)
    await world.pool.execute("INSERT INTO price_series (name) VALUES ('cpi')")
    index = await run("contract", "margin", "HOME-12", *days, "--energy-series", "cpi")
    assert "is an index" in refused(index, ExitCode.REFUSED)


async def test_reminders_are_listed(run: Run) -> None:
    await basic(run)
    end = TODAY + 40 * DAY
    words = ("--remind", "end=60,7", "--remind", "payment=30", "--remind", "notice=")
    await home(run, "--term", f"{(end - MONTH).days + 1}d", "--renewal", "ends", *words)

    due = read(await run("contract", "reminders", "--due", "-o", "json"))

    assert [(each["contract"], each["kind"], each["deadline_on"], each["sent_at"]) for each in due] == [
        ("HOME-12", "end", end.isoformat(), None)
    ]
    assert read(await run("contract", "reminders", "HOME-12", "-o", "json")) == due


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("plan", "create", "x", "--name", "x", "--interval", "month", "--price", "1", "--currency", "EUR"), "--reason"),
        (("contract", "create", "x", "--account", "A-1", "--start", "2026-01-01", *WHY), "--currency"),
        (
            ("contract", "create", "x", "--account", "A-1", "--start", "2026-01-01", "--currency", "EUR", "--term", "long", *WHY),
            "is no length",
        ),
        (
            (
                "plan", "create", "x", "--name", "x", "--interval", "month", "--price", "1", "--currency", "EUR",
                "--step", "soon=1", *WHY,
            ),
            "is no step",
        ),
        (
            (
                "plan", "create", "x", "--name", "x", "--interval", "month", "--price", "1", "--currency", "EUR",
                "--index", "cpi", *WHY,
            ),
            "--base",
        ),
        (
            (
                "plan", "create", "x", "--name", "x", "--interval", "month", "--price", "1", "--currency", "EUR",
                "--base", "2026-01-01", *WHY,
            ),
            "--index",
        ),
        (("plan", "create", "x", "--name", "x", "--interval", "month", "--price", "nan", "--currency", "EUR", *WHY), "number"),
        (("contract", "milestone", "split", "x", "--name", "x", "--total", "1", "--part", "half=50", *WHY), "no part"),
        (("contract", "template", "save", "x", *WHY), "--from or --file"),
    ],
)  # fmt: skip
async def test_what_cannot_be_meant_is_a_usage_error(run: Run, words: tuple[str, ...], why: str) -> None:
    assert why in refused(await run(*words), ExitCode.USAGE)


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("--account", "nobody"), ExitCode.NOT_FOUND, "no account nobody"),
        (("--country", "Germany"), ExitCode.REFUSED, "is no country"),
        (("--currency", "EURO"), ExitCode.REFUSED, "no currency"),
        (("--currency", "PLN"), ExitCode.REFUSED, "plan basic is in EUR, contract X in PLN"),
        (("--plan", "basic=0"), ExitCode.REFUSED, "no quantity"),
        (("--renewal", "ends"), ExitCode.REFUSED, "without a term"),
        (("--remind", "end=400"), ExitCode.REFUSED, "0 to 366 days"),
        (("--token", "04AB"), ExitCode.NOT_FOUND, "no token 04AB"),
        (("--token-group", "VANS"), ExitCode.NOT_FOUND, "no token is in group VANS"),
        (("--start", "1999-01-01"), ExitCode.REFUSED, "begins between"),
        (("--title", "two\nlines"), ExitCode.REFUSED, "not one line"),
        (("--reason", " "), ExitCode.REFUSED, "has a reason"),
    ],
)
async def test_a_contract_that_cannot_be_is_refused_and_nothing_stays(
    run: Run, words: tuple[str, ...], code: ExitCode, why: str
) -> None:
    await basic(run)
    first = ("--account", "A-1", "--start", MONTH, "--currency", "EUR", "--plan", "basic", *WHY)

    assert why in refused(await run("contract", "create", "X", *first, *words), code)
    assert read(await run("contract", "list", "-o", "json")) == []


def test_every_command_has_an_example_and_says_what_it_does() -> None:
    def commands(group: click.Group, path: str) -> list[tuple[str, click.Command]]:
        found: list[tuple[str, click.Command]] = []
        for name, command in group.commands.items():
            if isinstance(command, click.Group):
                found += commands(command, f"{path} {name}")
            else:
                found.append((f"{path} {name}", command))
        return found

    async def record(_connection: Any, _change: Change) -> None:
        raise AssertionError("nobody is asked")

    groups = [group(lambda _: None, actor=str, record=record) for group in (contract_group, plan_group, item_group)]  # type: ignore[arg-type,return-value]
    for group in groups:
        assert group.name is not None
        for path, command in commands(group, f"csms {group.name}"):
            assert f"\n  {path} " in f"{cleandoc(command.help or '')} ".replace("\n", " \n"), path
            if "--dry-run" in {option for each in command.params for option in each.opts}:
                assert "--reason" in {option for each in command.params for option in each.opts}, path
