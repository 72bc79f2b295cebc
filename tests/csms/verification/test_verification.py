"""What verify finds and rebuild stores: of rows that somebody changed, bills that somebody changed, facts that are gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from csms.database.pool import connect_once
from csms.verification.rebuilding import rebuild
from csms.verification.service import Report, look_at_schema, verify
from tests.faults.wire import Wire, boot, meter_values_16, start_16, stop_16, wire
from tests.world import World, in_the_past, usual_world

BEGIN = in_the_past(hours=5)
OTHER_INPUTS = (
    "UPDATE bill SET inputs = jsonb_set(inputs, '{usage,periods,0,energy_wh}', '\"1.000\"') WHERE kind = 'final'"
)


@pytest.fixture
async def world(database: str, tmp_path: Path) -> AsyncIterator[World]:
    """Two sessions of an hour that are billed, and one that runs."""
    async with usual_world(database, tmp_path) as opened:
        key = await opened.charge_point("CP-1", max_power_w=Decimal(22_000))
        async with wire(opened.ocpp_url, key.id, key.password) as station:
            await boot(station)
            for n in range(2):
                await charged(station, n)
            await station.call("StartTransaction", start_16(BEGIN + timedelta(hours=4), meter_wh=28_000))
            await opened.quiet()
            yield opened


async def charged(station: Wire, n: int) -> None:
    begin, register_wh = BEGIN + timedelta(hours=n), 10_000 + 9_000 * n
    session = (await station.call("StartTransaction", start_16(begin, meter_wh=register_wh))).payload["transactionId"]
    half = begin + timedelta(minutes=15)
    await station.call("MeterValues", meter_values_16(session, half, meter_wh=register_wh + 4000))
    end = begin + timedelta(minutes=30)
    await station.call("StopTransaction", stop_16(session, end, meter_wh=register_wh + 9000))


def looked_at(_count: int) -> None:
    """Nobody watches."""


async def verified(world: World) -> Report:
    report = Report()
    await look_at_schema(world.dsn, report)
    await verify(world.dsn, world.settings, report, looked_at)
    return report


async def rebuilt(world: World, *, dry_run: bool = False) -> Report:
    report = Report()
    await rebuild(world.dsn, world.settings, report, looked_at, dry_run=dry_run)
    return report


def told(report: Report) -> list[tuple[int | None, int | None, str, object, object]]:
    return [(each.session, each.bill, each.what, each.stored, each.recomputed) for each in report.differences]


async def changed_by_hand(world: World, statement: str) -> None:
    """As only the owner can, with append-only tables unprotected for as long."""
    async with connect_once(world.dsn, as_owner=True) as owner, owner.transaction():
        await owner.execute("ALTER TABLE bill DISABLE TRIGGER USER; ALTER TABLE reading DISABLE TRIGGER USER")
        await owner.execute(statement)
        for table in ("bill", "reading"):
            for trigger in ("append_only", "append_only_row"):
                await owner.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")


async def sessions_of(world: World) -> list[Any]:
    return list(await world.connection.fetch("SELECT * FROM session ORDER BY id"))


async def test_an_untouched_database_is_as_its_facts_and_inputs_have_it(world: World) -> None:
    report = await verified(world)

    assert told(report) == []
    assert (report.sessions, report.waiting, report.bills) == (3, 0, report.tables["bill"])
    assert report.bills >= 2
    assert report.tables["charging_event"] == 5
    assert report.role_protects
    assert report.append_only_tables > 10


async def test_a_row_that_was_changed_by_hand_is_found_and_rebuilt(world: World) -> None:
    first, *_ = await sessions_of(world)
    await changed_by_hand(
        world, f"UPDATE session SET energy_wh = 5000, holds = '{{late}}', flags = '{{}}' WHERE id = {first['id']}"
    )

    found, planned = await verified(world), await rebuilt(world, dry_run=True)
    after_planning = await verified(world)
    done = await rebuilt(world)
    await world.quiet()

    wrong = [
        (first["id"], None, "energy_wh", Decimal("5000.000"), Decimal("9000.000")),
        (first["id"], None, "holds", ["late"], []),
    ]
    assert told(found) == told(planned) == told(after_planning) == told(done) == wrong
    assert (planned.rebuilt, done.rebuilt, done.left) == (1, 1, 0)
    assert told(await verified(world)) == []
    assert (await sessions_of(world))[0]["energy_wh"] == 9000


async def test_a_changed_row_misleads_no_neighbour_once_both_are_rebuilt(world: World) -> None:
    first, second, _ = await sessions_of(world)
    await changed_by_hand(world, f"UPDATE session SET register_end_wh = 5000 WHERE id = {first['id']}")

    found, done = await verified(world), await rebuilt(world)

    assert (second["flags"], second["register_begin_wh"]) == ([], first["register_end_wh"])
    assert (second["id"], None, "flags", [], ["register_gap"]) in told(found)
    assert (first["id"], None, "register_end_wh", Decimal("5000.000"), Decimal("19000.000")) in told(found)
    assert (done.rebuilt, done.left) == (2, 0)
    await world.quiet()
    assert told(await verified(world)) == []
    assert (await sessions_of(world))[1]["flags"] == []


async def test_inputs_of_a_bill_that_were_changed_are_found_and_never_rewritten(world: World) -> None:
    await changed_by_hand(world, OTHER_INPUTS)

    found, done = await verified(world), await rebuilt(world)

    bills = await world.connection.fetch("SELECT session, seq FROM bill WHERE kind = 'final' ORDER BY 1")
    assert {(each.session, each.bill) for each in found.differences} == {tuple(row) for row in bills}
    figures = {each.what: (each.stored, each.recomputed) for each in found.differences}
    assert figures["total_incl"][0] == "5.25 EUR"
    assert figures["total_incl"][1] != "5.25 EUR"
    assert "inputs_hash" in figures
    assert all(each.next_step.startswith(f"csms session rerate {each.session} ") for each in found.differences)
    assert told(done) == told(found)
    assert (done.rebuilt, done.left) == (0, found.differing)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("total_excl_minor = total_excl_minor - 1, total_incl_minor = total_incl_minor - 1", "total_incl"),
        ("incentive_minor = 1", "payable"),
        ("detail = jsonb_set(detail, '{segments,0,quantity}', '\"1.00\"')", "lines"),
        ("inputs = '{}'", "inputs"),
        ("energy_wh = energy_wh + 1", "energy_wh"),
    ],
)
async def test_a_figure_of_a_bill_that_was_changed_is_found(world: World, change: str, what: str) -> None:
    session = (await sessions_of(world))[1]["id"]
    await changed_by_hand(world, f"UPDATE bill SET {change} WHERE session = {session} AND kind = 'final'")

    found = await verified(world)

    assert what in {each.what for each in found.differences}
    assert {each.session for each in found.differences} == {session}


async def test_a_reading_that_is_gone_is_found_and_what_it_would_cost_is_told(world: World) -> None:
    first, *_ = await sessions_of(world)
    await changed_by_hand(world, f"DELETE FROM reading WHERE session = {first['id']} AND carried_by = 'meter_values'")

    found = await verified(world)

    assert {(each.session, each.what) for each in found.differences} >= {(first["id"], "inputs_hash")}


async def test_a_stop_that_is_gone_is_found_and_the_bill_is_named_with_what_corrects_it(world: World) -> None:
    first, *_ = await sessions_of(world)
    async with connect_once(world.dsn, as_owner=True) as owner:
        await owner.execute("ALTER TABLE charging_event DISABLE TRIGGER USER")
        await owner.execute(
            "UPDATE charging_event SET register_wh = 14000 WHERE kind = 'ended' AND session = $1", first["id"]
        )

    found, planned = await verified(world), await rebuilt(world, dry_run=True)

    differing = {each.what: each for each in found.differences}
    assert differing["energy_wh"].recomputed == 4000
    assert "append_only" in differing["table charging_event"].next_step
    [bill] = [each for each in planned.differences if each.bill is not None]
    assert (bill.what, bill.stored) == ("total_incl", "5.25 EUR")
    assert str(bill.recomputed).startswith("late_fact: -5.000 kWh, -2.9")
    assert f"csms session rerate {first['id']}" in bill.next_step
    assert (await world.bills(first["id"]))[-1].total_incl.text == "5.25"


async def test_a_session_without_any_fact_is_no_longer_proven(world: World) -> None:
    first, *_ = await sessions_of(world)
    async with connect_once(world.dsn, as_owner=True) as owner:
        for table in ("reading", "charging_event"):
            await owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            await owner.execute(f"DELETE FROM {table} WHERE session = $1", first["id"])

    done = await rebuilt(world)

    assert (first["id"], "facts") in {(each.session, each.what) for each in done.differences}
    assert done.left >= 1


async def test_a_limit_that_was_changed_later_makes_no_difference(world: World) -> None:
    """What was judged by the limits of its time stays right; the next fold judges by the new ones."""
    body = await world.connection.fetchval("SELECT body FROM policy WHERE kind = 'review' AND version = 1")
    await world.connection.execute(
        "INSERT INTO policy (kind, version, body) VALUES ('review', 2, $1)", {**body, "energy_wh_max": "100"}
    )

    assert told(await verified(world)) == []


async def test_a_session_whose_facts_wait_to_be_folded_is_not_compared(world: World) -> None:
    first, *_ = await sessions_of(world)
    await changed_by_hand(world, f"UPDATE session SET energy_wh = 5000 WHERE id = {first['id']}")
    async with connect_once(world.dsn) as another, world.connection.transaction():
        # As long as it is locked it cannot be folded.
        await world.connection.execute("SELECT FROM session WHERE id = $1 FOR UPDATE", first["id"])
        await another.execute("INSERT INTO session_due (session) VALUES ($1)", first["id"])
        waiting = await verified(world)
    await world.quiet()

    assert (waiting.waiting, told(waiting)) == (1, [])
    assert told(await verified(world)) == []
