"""csms discount, surcharge and incentive as scripts use them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import click
import pytest
from click.testing import CliRunner, Result

from billing import CommandGroup, ExitCode, bill_group, discount_group, incentive_group, surcharge_group
from billing.bills.service import BillingService
from billing.tariffs.assignment import Customer, Place
from tests.billing.bills.world import NOON, World, tariff_file

Run = Callable[..., Awaitable[Result]]
ALWAYS = ("--from", "2026-01-01")


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

    async def place_of(_connection: Any, charge_point: str, token: str | None, at: datetime) -> Place:
        customer = Customer(token_group=None if token is None else "flat-7")
        return Place(charge_point=charge_point, site="depot", currency="EUR", at=at, customer=customer)

    groups = [
        discount_group(connect, place_of=place_of, default_actor=lambda: "ada"),
        surcharge_group(connect, default_actor=lambda: "ada"),
        incentive_group(connect, default_actor=lambda: "ada"),
        bill_group(connect),
    ]
    root = CommandGroup("csms", commands=groups)

    async def run(*arguments: object) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, root, [str(each) for each in arguments])

    return run


def read(result: Result) -> Any:
    assert result.exit_code == 0, (result.stderr, result.exception)
    return json.loads(result.stdout)


def refused(result: Result, code: ExitCode) -> str:
    assert result.exit_code == code, (result.stdout, result.stderr)
    return str(json.loads(result.stderr)["message"])


@pytest.fixture
async def shop(world: World) -> World:
    await world.tariff(tariff_file(price="0.50"))
    await world.token("TAG-1", "TAG-2")
    return world


@pytest.mark.usefixtures("shop")
async def test_a_discount_is_entered_shown_and_ended(run: Run) -> None:
    tried = read(
        await run("discount", "add", "summer", "--percent", "10", "--site", "depot", "--dry-run", "-o", "json")
    )
    assert read(await run("discount", "list", "-o", "json")) == []
    added = read(await run("discount", "add", "summer", "--percent", "10", "--site", "depot", *ALWAYS, "-o", "json"))
    again = await run("discount", "add", "summer", "--amount", "1")
    ended = read(await run("discount", "end", "summer", "--from", "2027-01-01", "-o", "json"))
    shown = read(await run("discount", "show", "summer", "-o", "json"))

    assert (tried["dry_run"], tried["value"]) == (True, "-10 %")
    assert {name: added[name] for name in ("id", "label", "kind", "value", "order", "scope", "target", "valid_to")} == {
        "id": "summer", "label": "summer", "kind": "discount", "value": "-10 %", "order": 100, "scope": "site",
        "target": "depot", "valid_to": None,
    }  # fmt: skip
    assert refused(again, ExitCode.CONFLICT) == "there is a discount summer"
    assert ended["valid_to"] == "2027-01-01T00:00:00Z"
    assert (shown["valid_to"], shown["used"]) == ("2027-01-01T00:00:00Z", [])
    assert refused(await run("surcharge", "show", "summer"), ExitCode.NOT_FOUND) == "no surcharge summer"


@pytest.mark.usefixtures("shop")
async def test_which_says_what_acts_in_which_order_and_why_others_do_not(run: Run) -> None:
    for words in (
        ("discount", "add", "tenth", "--percent", "10", "--order", "20"),
        ("discount", "add", "euro", "--amount", "1", "--order", "10"),
        ("discount", "add", "flat-7", "--free-kwh", "15", "--token-group", "flat-7", "--each", "token-group"),
        ("discount", "add", "card", "--amount", "1", "--token", "tag-2"),
        ("discount", "add", "spring", "--amount", "1", "--coupon", "SPRING"),
        ("discount", "add", "night", "--amount", "1", "--until", "2026-02-01"),
        ("surcharge", "add", "levy", "--per-kwh", "0.02"),
        ("incentive", "add", "green", "--per-kwh", "0.05", "--party", "Ministry"),
    ):
        read(await run(*words, *ALWAYS, "-o", "json"))

    at = (datetime.now(NOON.tzinfo) + timedelta(minutes=1)).isoformat()
    listed = read(await run("discount", "which", "--cp", "CP-1", "--token", "TAG-1", "--at", at, "-o", "json"))

    assert [(each["id"], each["value"]) for each in listed if each["applies"]] == [
        ("levy", "0.02 EUR/kWh"),
        ("euro", "-1 EUR"),
        ("tenth", "-10 %"),
        ("flat-7", "15 kWh free a month"),
        ("green", "-0.05 EUR/kWh"),
    ]
    assert {each["id"]: each["why"] for each in listed if not each["applies"]} == {
        "card": "for token TAG-2, this is TAG-1",
        "spring": "coupon SPRING is not redeemed for this token",
        "night": "ended at 2026-02-01T00:00:00+00:00",
    }
    assert next(each["why"] for each in listed if each["id"] == "flat-7") == "15 kWh left this month"


@pytest.mark.usefixtures("shop")
async def test_a_coupon_is_redeemed_by_its_code(run: Run) -> None:
    words = (
        "discount",
        "add",
        "spring",
        "--amount",
        "5",
        "--coupon",
        "spring",
        "--redemptions",
        "1",
        "--uses-each",
        "1",
    )
    read(await run(*words, "-o", "json"))

    tried = read(await run("discount", "redeem", "Spring", "--token", "tag-1", "--dry-run", "-o", "json"))
    done = read(await run("discount", "redeem", "Spring", "--token", "tag-1", "-o", "json"))

    assert (tried["dry_run"], tried["redemptions"]) == (True, 1)
    assert (done["coupon"], done["discount"], done["token"], done["redemptions"]) == ("SPRING", "spring", "TAG-1", 1)
    assert "already" in refused(await run("discount", "redeem", "SPRING", "--token", "TAG-1"), ExitCode.CONFLICT)
    assert "1 tokens of 1" in refused(await run("discount", "redeem", "SPRING", "--token", "TAG-2"), ExitCode.REFUSED)
    assert "no token" in refused(await run("discount", "redeem", "SPRING", "--token", "TAG-9"), ExitCode.NOT_FOUND)
    assert read(await run("discount", "show", "spring", "-o", "json"))["redemptions"] == 1


async def test_claims_are_listed_and_summed(shop: World, run: Run, billing: BillingService) -> None:
    # rules are entered now, and a session that gets one begins after that
    read(await run("incentive", "add", "green", "--per-kwh", "0.05", "--party", "Ministry", *ALWAYS, "-o", "json"))
    later = datetime.now(NOON.tzinfo)
    sessions = [
        await shop.session(started_at=later, ended_at=later + timedelta(hours=1), complete_at=NOON) for _ in range(2)
    ]

    await billing.drain()
    listed = read(await run("incentive", "claims", "--month", "2026-03", "--party", "Ministry", "-o", "json"))
    summed = read(await run("incentive", "claims", "--month", "2026-03", "--sum", "-o", "json"))

    assert [(each["session"], each["amount"], each["kwh"]) for each in listed] == [
        (session, "0.50", "10.000000") for session in sessions
    ]
    assert summed == [{"party": "Ministry", "bills": 2, "amount": "1.00", "currency": "EUR"}]
    assert read(await run("incentive", "claims", "--month", "2026-04", "-o", "json")) == []
    [bill, _] = read(await run("bill", "list", "-o", "json"))
    assert (bill["total_incl_tax"], bill["payable"]) == ("5.00", "4.50")
    used = read(await run("incentive", "show", "green", "-o", "json"))["used"]
    assert used == [{"bills": 2, "free_kwh": "0", "amount_incl_tax": "-1.0", "currency": "EUR"}]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("discount", "add", "it"), "give exactly one of --percent, --amount, --per-kwh, --free-kwh"),
        (("discount", "add", "it", "--percent", "1", "--amount", "1"), "give exactly one"),
        (("discount", "add", "it", "--free-kwh", "1", "--component", "time"), "is about energy"),
        (("discount", "add", "it", "--percent", "1", "--site", "a", "--cp", "b"), "give one of --site"),
        (("discount", "add", "it", "--percent", "ten"), "no number"),
        (("incentive", "add", "it", "--amount", "1"), "--party"),
        (("incentive", "claims", "--month", "2026-13"), "no month"),
    ],
)
async def test_what_cannot_be_meant_is_a_usage_error(run: Run, words: tuple[str, ...], why: str) -> None:
    assert why in refused(await run(*words), ExitCode.USAGE)
