"""Policies: what an operator chooses, from when it counts, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from cli_room import HOUR, TOKEN, TWO_HOURS, environment, run, serving, until

from billing.bills.history import bills_of


@pytest.fixture
async def own(data_home: Path) -> dict[str, str]:
    """An installation whose policies are nobody else's."""
    env = environment(data_home / "data")
    assert (await run(env, "db", "migrate")).code == 0
    return env


async def test_every_policy_is_listed_and_shown_with_the_defaults_of_an_installation(own: dict[str, str]) -> None:
    listed = await run(own, "policy", "list", "-o", "json")
    interim = await run(own, "policy", "show", "interim", "-o", "json")
    review = await run(own, "policy", "show", "review", "-o", "json")

    assert [(each["kind"], each["version"]) for each in listed.json] == [
        ("interim", 1), ("rating", 1), ("mail", 1), ("review", 1),
    ]  # fmt: skip
    assert interim.json["every_s"] == 900
    assert (review.json["energy_wh_max"], review.json["power_factor"], review.json["price_max"]) == (
        "500000", "1.1", "150",
    )  # fmt: skip
    assert "settle_delay_s" not in review.json


async def test_a_change_is_a_new_version_and_the_old_one_stays(own: dict[str, str]) -> None:
    made = await run(own, "policy", "set", "rating", "waive_below_wh=none", "waive_occupancy=false", "-o", "json")
    again = await run(own, "policy", "set", "rating", "waive_below_wh=none")
    before = await run(own, "policy", "show", "rating", "--version", "1", "-o", "json")
    none = await run(own, "policy", "show", "rating", "--version", "9")

    assert (made.json["version"], made.json["waive_below_wh"], made.json["waive_occupancy"]) == (2, None, False)
    assert (again.code, again.error["code"]) == (7, "conflict")
    assert (before.json["version"], before.json["waive_below_wh"], before.json["waive_occupancy"]) == (1, "100", True)
    assert none.code == 3


async def test_a_dry_run_says_what_would_be_and_stores_nothing(own: dict[str, str]) -> None:
    tried = await run(own, "policy", "set", "review", "price_max=90", "--dry-run", "-o", "json")
    stands = await run(own, "policy", "show", "review", "-o", "json")

    assert (tried.json["version"], tried.json["price_max"], tried.json["dry_run"]) == (2, "90", True)
    assert (stands.json["version"], stands.json["price_max"]) == (1, "150")


@pytest.mark.parametrize(
    ("kind", "change", "word"),
    [
        ("interim", "every_wh=0", "every_wh"),
        ("interim", "every_s=soon", "every_s"),
        ("interim", "every_wh", "NAME=VALUE"),
        ("rating", "rounding=sideways", "rounding"),
        ("rating", "version=7", "version"),
        ("review", "price_max=-1", "price_max"),
        ("review", "late_days_hold=1.5", "late_days_hold"),
        ("review", "colour=red", "colour"),
        ("review", "settle_delay_s=1", "settle_delay_s"),
    ],
)
async def test_what_is_no_policy_is_refused_by_name(own: dict[str, str], kind: str, change: str, word: str) -> None:
    said = await run(own, "policy", "set", kind, change)
    stands = await run(own, "policy", "show", kind, "-o", "json")

    assert (said.code, word in said.error["message"]) == (5, True)
    assert stands.json["version"] == 1


async def test_groups_of_customers_have_interim_thresholds_of_their_own(own: dict[str, str]) -> None:
    made = await run(own, "policy", "set", "interim", "--token-group", "FLEET-7", "every_wh=1000", "-o", "json")
    await run(own, "policy", "set", "interim", "--class", "ad_hoc", "every_s=60", "every_amount=1")
    await run(own, "policy", "set", "interim", "every_s=600")
    shown = await run(own, "policy", "show", "interim", "-o", "json")
    taken_back = await run(own, "policy", "set", "interim", "--token-group", "FLEET-7", "every_wh=none", "-o", "json")
    wrong = [
        await run(own, "policy", "set", "rating", "--class", "fleet", "waive_below_wh=5"),
        await run(own, "policy", "set", "interim", "--class", "fleet", "--token-group", "A", "every_s=5"),
        await run(own, "policy", "set", "interim", "--token-group", "A", "every_s=0"),
        await run(own, "policy", "set", "interim", "token_groups=5"),
        await run(own, "policy", "set", "interim", "--token-group", "A", "every_wh=none"),
    ]

    assert (made.json["version"], made.json["every_wh"]) == (2, "5000")
    assert made.json["token_groups"] == {"FLEET-7": {"every_wh": "1000"}}
    assert (shown.json["version"], shown.json["every_s"]) == (4, 600)
    assert shown.json["token_groups"] == {"FLEET-7": {"every_wh": "1000"}}
    assert shown.json["user_classes"] == {"ad_hoc": {"every_s": 60, "every_amount": "1"}}
    assert (taken_back.json["version"], taken_back.json["token_groups"]) == (5, {})
    assert [each.code for each in wrong] == [5, 2, 5, 5, 7]


async def test_a_running_server_bills_and_judges_by_what_was_chosen(data_home: Path) -> None:
    begin = datetime.now(UTC).replace(microsecond=0) - TWO_HOURS
    with serving(data_home / "data") as shop:
        await shop.furnish()
        await shop.data("policy", "set", "review", "energy_wh_max=9000")
        await shop.data("policy", "set", "interim", "every_wh=1000", "every_s=86400")
        async with shop.simulated("CP", "ocpp2.0.1", at=begin, evses=1) as station:
            await station.plug()
            await station.start(token=TOKEN)
            await station.charge(energy_wh=Decimal(1500), duration=HOUR / 8)
            running = await shop.await_session("CP", "open")
            async with shop.connection() as connection:
                await until(lambda: bills_of(connection, running["id"]))
            await station.charge(energy_wh=Decimal(9000), duration=HOUR)
            await station.stop()
            await station.unplug()
        held = await shop.await_session("CP", "held")
        [interim, *_] = await shop.data("bill", "list", "--session", held["id"])

    assert held["hold_reasons"] == ["energy_over_limit"]
    assert interim["kind"] == "interim"
    assert 1000 <= interim["energy_wh"] <= 1500
