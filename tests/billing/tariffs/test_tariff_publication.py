"""A changed price is published for an instant: what differs, whom it reaches, who keeps the old one."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from billing.bills import history
from billing.bills.service import BillingService
from billing.errors import NotFound, Refused
from billing.tariffs import service
from billing.tariffs.assignment import Assignment, Scope
from billing.tariffs.difference import Change, differences
from billing.tariffs.idle import IdleAfterStop
from billing.tariffs.ocpi_json import load_json
from billing.tariffs.publication import KEEP, Act, IdleChoice, Published, publish, reached
from tests.billing.bills.world import BEFORE, NOON, TableSource, World, tariff_file

NOW = NOON + timedelta(hours=1, seconds=40)
LATER = NOON + timedelta(days=7)


@pytest.fixture
async def world(pool: asyncpg.Pool) -> World:
    """Everybody charges by `day`, 0.50."""
    world = World(pool)
    await world.site()
    await world.charge_point()
    await world.tariff(tariff_file(price="0.50"))
    return world


async def published(world: World, text: str, *, idle: IdleChoice = KEEP, **act: Any) -> Published:
    async with world.pool.acquire() as connection, connection.transaction():
        return await publish(connection, text, Act(actor="ada", **act), now=NOW, idle=idle)


async def test_a_version_for_next_week_says_what_differs_and_whom_it_reaches(world: World) -> None:
    done = await published(world, tariff_file(price="0.45", flat="1.00"), valid_from=LATER)

    assert (done.version, done.valid_from, done.existed, done.until) == (2, LATER, False, None)
    assert [each.to_dict() for each in done.changes] == [
        {"path": "elements[0].price_components[0].price", "before": "0.50", "after": "0.45"},
        {
            "path": "elements[0].price_components[1]",
            "before": None,
            "after": '{"type":"FLAT","price":1.00,"vat":19,"step_size":1}',
        },
    ]
    assert [(each.scope, each.target) for each in done.reaches] == [(Scope.DEFAULT, None)]


async def test_sessions_that_have_begun_keep_their_version_and_later_ones_get_the_new_one(world: World) -> None:
    billing = BillingService(world.pool, TableSource(), clock=lambda: NOW)
    running = await world.running(energy_wh=10_000)
    await billing.drain()

    done = await published(world, tariff_file(price="0.60"))
    await world.change(running, ended_at=NOW, complete_at=NOW)
    after = await world.session(
        started_at=NOW + timedelta(minutes=1), ended_at=NOW + timedelta(minutes=2), complete_at=NOW
    )
    await billing.drain()

    assert [(each.version, each.sessions) for each in done.kept] == [(1, 1)]
    assert (await world.bills(running))[-1][2] == "5.00"
    assert (await world.bills(after))[-1][2] == "6.00"


async def test_what_is_past_is_published_only_for_a_reason(world: World) -> None:
    with pytest.raises(Refused, match="is past"):
        await published(world, tariff_file(price="0.60"), valid_from=NOON)
    with pytest.raises(Refused, match="for a reason"):
        await published(world, tariff_file(price="0.60"), valid_from=NOON, backdated=True, reason=" ")
    done = await published(
        world, tariff_file(price="0.60"), valid_from=NOON, backdated=True, reason="announced on 1 March"
    )
    this_minute = await published(world, tariff_file(price="0.70"), valid_from=NOW.replace(second=0))

    async with world.pool.acquire() as connection:
        trail = await history.trail_of_tariff(connection, "day")
    assert (done.version, this_minute.version) == (2, 3)
    assert [(each["act"], each["version"], each["actor"], each["reason"]) for each in trail] == [
        ("published", 2, "ada", "announced on 1 March"),
        ("published", 3, "ada", None),
    ]


async def test_a_version_that_says_the_same_is_not_published_again(world: World) -> None:
    done = await published(world, tariff_file(price="0.50"))

    assert (done.version, done.existed, done.changes) == (1, True, ())


async def test_the_stay_after_the_stop_stays_as_it_was_unless_it_is_named(world: World) -> None:
    capped = IdleAfterStop(cap=timedelta(hours=4))

    named = await published(world, tariff_file(price="0.50"), idle=capped)
    kept = await published(world, tariff_file(price="0.40"))
    off = await published(world, tariff_file(price="0.40"), idle=None)

    assert [each.path for each in named.changes] == ["idle_after_stop", "idle_cap_s"]
    assert [each.path for each in kept.changes] == ["elements[0].price_components[0].price"]
    assert [each.to_dict() for each in off.changes] == [
        {"path": "idle_after_stop", "before": "true", "after": "false"},
        {"path": "idle_cap_s", "before": "14400", "after": "null"},
    ]


async def test_a_version_that_waits_for_its_day_is_told(world: World) -> None:
    await published(world, tariff_file(price="0.60"), valid_from=LATER)

    done = await published(world, tariff_file(price="0.55"))

    assert (done.version, done.until) == (3, LATER)


async def test_a_first_version_is_created_not_published(world: World) -> None:
    with pytest.raises(NotFound) as refused:
        await published(world, tariff_file("night"))

    assert "csms tariff create" in refused.value.next_step


async def test_another_currency_is_another_tariff(world: World) -> None:
    with pytest.raises(Refused, match="is in EUR"):
        await published(world, tariff_file(currency="CHF"))


async def test_the_trail_is_append_only(world: World) -> None:
    await published(world, tariff_file(price="0.60"))

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await world.pool.execute("DELETE FROM tariff_publication")


async def test_the_old_version_stays_what_it_was(world: World) -> None:
    await published(world, tariff_file(price="0.60"))

    async with world.pool.acquire() as connection:
        old = await service.show(connection, "day", version=1)
    assert old.valid_from == service.ALWAYS


# --- what it reaches -------------------------------------------------------------------------------------------------


def assigned(id_: int, tariff: str | None, days: int, *, target: str | None = "depot") -> Assignment:
    scope = Scope.DEFAULT if target is None else Scope.SITE
    at = BEFORE + timedelta(days=days)
    return Assignment(id=id_, tariff=tariff, scope=scope, target=target, valid_from=at, entered_at=BEFORE)


def test_assignments_that_ended_or_were_replaced_before_are_not_reached() -> None:
    entered = [
        assigned(1, "day", 0),
        assigned(2, "night", 5),  # replaces 1
        assigned(3, "day", 0, target=None),
        assigned(4, "day", 30),  # comes later
        assigned(5, "day", 40, target="beach"),
        assigned(6, None, 40, target="beach"),  # ends it as it begins
    ]

    assert [each.id for each in reached(entered, "day", since=BEFORE + timedelta(days=10))] == [3, 4]
    assert [each.id for each in reached(entered, "day", since=BEFORE)] == [1, 3, 4]


# --- line by line ----------------------------------------------------------------------------------------------------


def element(price: str, **restrictions: Any) -> dict[str, Any]:
    return {"price_components": [{"type": "ENERGY", "price": price}], "restrictions": restrictions}


def diff(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    old, new = (load_json(json.dumps(each)) for each in (before, after))
    return differences(old, new)


def test_an_element_that_is_put_in_first_is_one_line() -> None:
    old = [element("0.50", start_time="08:00"), element("0.40")]

    [change] = diff({"elements": old}, {"elements": [element("0.30", day_of_week=["SUNDAY"]), *old]})

    assert (change.path, change.before) == ("elements[0]", None)
    assert "SUNDAY" in str(change.after)


def test_an_element_that_is_taken_out_is_one_line() -> None:
    [change] = diff({"elements": [element("0.50"), element("0.40")]}, {"elements": [element("0.40")]})

    assert (change.path, change.after) == ("elements[0]", None)


def test_a_number_written_otherwise_is_no_difference() -> None:
    assert differences(load_json('{"price": 0.50}'), load_json('{"price": 0.5}')) == []


def test_the_same_tariff_differs_in_nothing() -> None:
    both = {"id": "day", "elements": [element("0.5", start_time="08:00")]}

    assert diff(both, both) == []


NOTHING_AT = datetime(1970, 1, 1, tzinfo=UTC)


def test_the_default_is_reached_from_the_first_instant_on() -> None:
    assert [each.id for each in reached([assigned(1, "day", 0, target=None)], "day", since=NOTHING_AT)] == [1]
