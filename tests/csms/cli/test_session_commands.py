"""Sessions, reviews, bills: what was charged, what it costs and why, and what a person decides."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from cli_room import HOUR, TOKEN, TWO_HOURS, Installation, environment, following, interrupted, line_of, run, until

from csms.database.pool import connect_once

SESSION = [
    "id", "charge_point", "evse", "connector", "token", "transaction_id", "started_at", "ended_at", "state",
    "energy_wh", "hold_reasons", "total_excl_tax", "total_incl_tax", "currency",
]  # fmt: skip
BILL = [
    "session", "kind", "seq", "as_of", "energy_wh", "total_excl_tax", "total_tax", "total_incl_tax", "payable", "currency",
    "tariff", "tariff_version", "corrects",
]  # fmt: skip


@pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])
async def test_a_session_is_listed_billed_and_explained_to_the_cent(shop: Installation, protocol: str) -> None:
    name = f"SES-{protocol}"
    session = await shop.rated_session(name, protocol)
    id_ = session["id"]
    bills, shown, explained, of_bill = await asyncio.gather(
        shop.data("bill", "list", "--session", id_),
        shop.data("session", "show", id_),
        shop.data("session", "explain", id_),
        shop.data("bill", "show", id_),
    )

    assert list(session) == SESSION
    begin, end = (datetime.fromisoformat(session[each]) for each in ("started_at", "ended_at"))
    assert (session["started_at"][-1], end - begin) == ("Z", HOUR)
    assert {
        each: session[each] for each in SESSION if each not in {"id", "started_at", "ended_at", "transaction_id"}
    } == {
        "charge_point": name,
        "evse": 1,
        "connector": 1,
        "token": TOKEN,
        "state": "rated",
        "energy_wh": 10_000,
        "hold_reasons": [],
        "total_excl_tax": "4.90",
        "total_incl_tax": "5.83",
        "currency": "EUR",
    }
    assert isinstance(session["transaction_id"], str)
    assert [list(each) for each in bills] == [BILL] * len(bills)
    assert [each["kind"] for each in bills] == ["interim"] * (len(bills) - 1) + ["final"]
    assert [each["seq"] for each in bills] == list(range(1, len(bills) + 1))
    final = bills[-1]
    assert {each: final[each] for each in BILL if each not in {"as_of", "seq"}} == {
        "session": id_,
        "kind": "final",
        "energy_wh": 10_000,
        "total_excl_tax": "4.90",
        "total_tax": "0.93",
        "total_incl_tax": "5.83",
        "payable": "5.83",
        "currency": "EUR",
        "tariff": "PLAIN",
        "tariff_version": 1,
        "corrects": None,
    }
    assert {each: shown[each] for each in SESSION} == session
    assert (shown["bill"], shown["tariff"], shown["site"]) == ("final", "PLAIN", "harbour")
    assert explained == of_bill
    assert explained["recomputed"] is True
    assert Decimal(explained["total_incl_tax_exact"]) == Decimal("5.831")
    assert sum(Decimal(line["excl_tax"]) for line in explained["lines"] if line["what"] == "ENERGY") == Decimal("4.90")


@pytest.fixture(scope="module")
def rated(shop: Installation) -> dict[str, Any]:
    """A session with its final bill, for tests that only look at it."""
    return asyncio.run(shop.rated_session("SES-RATED"))


async def test_an_interim_bill_can_be_looked_at_later(shop: Installation, rated: dict[str, Any]) -> None:
    session = rated
    newest = [each for each in await shop.data("bill", "list", "--limit", "1000") if each["session"] == session["id"]]
    first = await shop.data("bill", "show", session["id"], "--seq", "1")
    beyond = await shop.csms("bill", "show", session["id"], "--seq", "99")

    assert [each["kind"] for each in newest] == ["final"]
    assert first["seq"] == 1
    assert beyond.code == 3


async def test_a_list_of_sessions_is_narrowed_by_every_filter(shop: Installation) -> None:
    await shop.data("token", "issue", "FILTER-CARD")
    session = await shop.rated_session("SES-FILTER", token="filter-card")
    begin = datetime.fromisoformat(session["started_at"])
    before, after = (begin - timedelta(seconds=1)).isoformat(), (begin + timedelta(seconds=1)).isoformat()
    kept = [
        ("--cp", "ses-filter"),
        ("--token", "Filter-Card", "--site", "harbour"),
        ("--token", "FILTER-CARD", "--state", "rated"),
        ("--cp", "SES-FILTER", "--since", before),
        ("--cp", "SES-FILTER", "--until", after),
    ]
    gone = [
        ("--cp", "SES-FILTER", "--site", "no-such-site"),
        ("--cp", "SES-FILTER", "--state", "held"),
        ("--cp", "SES-FILTER", "--token", TOKEN),
        ("--cp", "SES-FILTER", "--since", after),
        ("--cp", "SES-FILTER", "--until", before),
    ]
    found = await asyncio.gather(*(shop.sessions(*each) for each in kept))
    missed = await asyncio.gather(*(shop.sessions(*each) for each in gone))

    assert found == [[session]] * len(kept)
    assert missed == [[]] * len(gone)


async def test_a_running_session_shows_its_newest_interim_and_is_watched_to_its_end(shop: Installation) -> None:
    begin = datetime.now(UTC).replace(microsecond=0) - TWO_HOURS
    async with (
        shop.simulated("SES-WATCH", "ocpp1.6", at=begin, evses=1) as station,
        following(shop, "session", "watch", "--cp", "SES-WATCH", "--every", "0.2", "-o", "jsonl") as stream,
    ):
        await station.plug()
        await station.start(token=TOKEN)
        await station.charge(energy_wh=Decimal(10_000), duration=HOUR)
        seen = [await line_of(stream)]
        while seen[-1]["total_incl_tax"] is None:
            seen.append(await line_of(stream))
        [running] = await shop.sessions("--cp", "SES-WATCH")
        await station.stop()
        await station.unplug()
        while seen[-1]["state"] != "rated":
            seen.append(await line_of(stream))
        code, err = await interrupted(stream)

    assert (running["state"], running["ended_at"], running["currency"]) == ("open", None, "EUR")
    assert Decimal(running["total_incl_tax"]) <= Decimal("5.83")
    assert list(seen[-1]) == SESSION
    assert (seen[-1]["total_incl_tax"], seen[-1]["energy_wh"]) == ("5.83", 10_000)
    assert (code, err) == (0, "")


async def test_a_watch_for_people_begins_with_the_names_of_its_columns(
    shop: Installation, rated: dict[str, Any]
) -> None:
    async with following(shop, "session", "watch", "--cp", "SES-RATED", "--fields", "id,state,energy_wh") as stream:
        assert stream.stdout is not None
        header, line = await stream.stdout.readline(), await stream.stdout.readline()
        code, _ = await interrupted(stream)
    wrong = await shop.csms("session", "watch", "--fields", "id,price")

    assert header == b"id\tstate\tenergy_wh\n"
    assert line == f"{rated['id']}\trated\t10000\n".encode()
    assert code == 0
    assert (wrong.code, wrong.out) == (2, "")


async def test_a_stop_that_fits_nothing_is_an_orphan(shop: Installation) -> None:
    async with shop.simulated("SES-ORPHAN", "ocpp1.6", evses=1) as station:
        from ocpp.v16 import call  # noqa: PLC0415

        stop = call.StopTransaction(meter_stop=4711, timestamp="2026-03-01T12:00:00Z", transaction_id=999_999)
        answered = await station.ask(stop)
    [orphan] = [each for each in await shop.data("session", "orphans") if each["charge_point"] == "SES-ORPHAN"]

    assert answered is not None
    assert (orphan["kind"], orphan["transaction"], orphan["register_wh"]) == ("ended", "999999", "4711.000")
    assert orphan["paired_with"] is None
    assert await shop.sessions("--cp", "SES-ORPHAN") == []


async def test_a_held_session_is_billed_when_it_is_released(shop: Installation) -> None:
    session = await shop.held_session("REV-RELEASE")
    id_ = session["id"]
    listed, shown, rehearsed = await asyncio.gather(
        shop.data("review", "list", "--cp", "REV-RELEASE"),
        shop.data("review", "show", id_),
        shop.data("review", "release", id_, "--reason", "known driver", "--actor", "Ada", "--dry-run"),
    )
    untouched = await shop.data("session", "show", id_)
    unbilled = await shop.data("bill", "list", "--session", id_)
    released = await shop.data("review", "release", id_, "--reason", "known driver", "--actor", "Ada")
    rated = await shop.await_session("REV-RELEASE", "rated")
    [final] = await shop.data("bill", "list", "--session", id_)
    again = await shop.csms("review", "release", id_, "--reason", "once more")

    assert (session["state"], session["hold_reasons"]) == ("held", ["token_unknown"])
    assert (session["total_incl_tax"], session["currency"]) == (None, None)
    assert [(each["id"], each["hold_reasons"]) for each in listed] == [(id_, ["token_unknown"])]
    assert listed[0]["why"]
    assert "token_unknown" in [each["rule"] for each in shown["evidence"]]
    assert (rehearsed["dry_run"], rehearsed["state"]) == (True, "rated")
    assert (untouched["state"], untouched["reviews"], unbilled) == ("held", [], [])
    assert released == {
        "session": id_, "action": "release", "holds": ["token_unknown"], "reason": "known driver", "actor": "Ada",
    }  # fmt: skip
    assert rated["total_incl_tax"] == "2.92"
    assert {**rehearsed["bill"], "seq": 0} == {**final, "seq": 0}
    [entry] = (await shop.data("session", "show", id_))["reviews"]
    assert (entry["action"], entry["actor"], entry["reason"]) == ("release", "Ada", "known driver")
    assert (again.code, again.error["code"]) == (7, "conflict")


async def test_a_dropped_session_is_never_billed(shop: Installation) -> None:
    session = await shop.held_session("REV-DROP")
    id_ = session["id"]
    rehearsed = await shop.data("review", "drop", id_, "--reason", "test run", "--dry-run")
    still = (await shop.data("session", "show", id_))["state"]
    dropped = await shop.data("review", "drop", id_, "--reason", "test run", "--actor", "Ada")
    shown = await shop.await_session("REV-DROP", "dropped")
    released = await shop.csms("review", "release", id_, "--reason", "changed my mind")
    explained = await shop.csms("session", "explain", id_)
    of_bill = await shop.csms("bill", "show", id_)

    assert (rehearsed["state"], rehearsed["bill"], still) == ("dropped", None, "held")
    assert dropped["action"] == "drop"
    assert shown["total_incl_tax"] is None
    assert await shop.data("bill", "list", "--session", id_) == []
    assert released.code == 7
    assert [(each.code, each.error["code"]) for each in (explained, of_bill)] == [(3, "not_found")] * 2
    assert explained.error["message"] == of_bill.error["message"]
    said = explained.error["message"]
    assert said.startswith(f"session {id_} was dropped by Ada at 20")
    assert said.endswith("Z: test run; it will not be billed")
    assert await shop.data("review", "list", "--cp", "REV-DROP") == []


async def test_a_review_needs_a_reason_and_something_to_decide(shop: Installation, rated: dict[str, Any]) -> None:
    id_ = rated["id"]
    silent, blank, billed, unknown = await asyncio.gather(
        shop.csms("review", "release", id_),
        shop.csms("review", "release", id_, "--reason", "  "),
        shop.csms("review", "release", id_, "--reason", "why not", "--dry-run"),
        shop.csms("review", "drop", 2_000_000_000, "--reason", "why not"),
    )

    assert [each.code for each in (silent, blank, billed, unknown)] == [2, 5, 7, 3]


async def test_the_log_of_reviews_cannot_be_rewritten(shop: Installation) -> None:
    dsn = json.loads((shop.data_dir / "cluster.lock").read_text())["dsn"]
    for statement in ("UPDATE review_entry SET reason = 'other'", "DELETE FROM review_entry", "DELETE FROM bill"):
        said = await shop.csms("db", "psql", "-qc", statement)
        assert said.code == 1, statement
    async with connect_once(dsn, as_owner=True) as owner:
        with pytest.raises(Exception, match="append-only"):
            await owner.execute("DELETE FROM review_entry")


async def test_the_name_of_who_decides_comes_from_the_environment(shop: Installation) -> None:
    session = await shop.held_session("REV-ACTOR")
    said = await run(
        {**shop.env, "CSMS_ACTOR": "night shift"}, "review", "drop", session["id"], "--reason", "r", "-o", "json"
    )

    assert said.json["actor"] == "night shift"


async def test_a_backup_restored_elsewhere_gives_the_same_lists(
    shop: Installation, rated: dict[str, Any], data_home: Path
) -> None:
    dump = data_home / "csms.dump"
    async with shop.connection() as connection:
        await until(lambda: connection.fetchval(NOTHING_IS_DUE))
    saved = await shop.data("db", "backup", dump)
    before = [await shop.data(*command) for command in LISTS]
    new = environment(data_home / "new")
    restored = await run(new, "db", "restore", dump, "-o", "json")
    after = [json.loads((await run(new, *command, "-o", "json")).out) for command in LISTS]
    twice = await run(new, "db", "restore", dump)

    assert saved["size_bytes"] == dump.stat().st_size
    assert restored.json["migrations_applied_since"] == []
    assert after == before
    assert rated in before[0]
    assert (twice.code, twice.error["code"]) == (5, "restore_refused")


NOTHING_IS_DUE = "SELECT NOT EXISTS (SELECT FROM session_due) AND NOT EXISTS (SELECT FROM rating_due)"
LISTS = (("session", "list"), ("bill", "list", "--limit", "10000"))


async def test_migrating_twice_changes_nothing(shop: Installation) -> None:
    assert await shop.data("db", "migrate") == []
    status = await shop.data("db", "status")
    assert (status["migrations_pending"], status["role_protects"]) == ([], True)
    assert status["location"] == str(shop.data_dir)


async def test_a_period_is_closed_for_a_site_that_exists(shop: Installation) -> None:
    nowhere = await shop.csms("bill", "run", "--month", "2019-01", "--site", "nowhere")
    empty = await shop.csms("bill", "run", "--day", "2019-01-01", "--site", "harbour", "-o", "json")
    both = await shop.csms("bill", "run", "--day", "2019-01-01", "--month", "2019-01")
    wrong = await shop.csms("bill", "run", "--month", "2019-13")

    assert (nowhere.code, nowhere.error["message"]) == (3, "no site nowhere")
    assert (empty.code, empty.json) == (0, [])
    assert (both.code, wrong.code) == (2, 2)
