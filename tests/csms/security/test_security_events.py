"""Which security events are critical, how many are kept, and how few rows a flood leaves."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.security import service
from csms.security.event import OTHER, OwnKind, counted_as, is_critical, is_own_critical
from csms.security.service import SecurityLog
from csms.security.tally import PLACES_MAX, WINDOW, Sighting, Tally
from csms.security.told import KEPT_MAX, KEPT_WITHIN, Told, divided

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CRITICAL = {
    "FirmwareUpdated",
    "SettingSystemTime",
    "StartupOfTheDevice",
    "ResetOrReboot",
    "SecurityLogWasCleared",
    "MemoryExhaustion",
    "TamperDetectionActivated",
}


@pytest.mark.parametrize("type_", sorted(CRITICAL))
def test_what_the_lists_of_both_versions_call_critical_is_critical(type_: str) -> None:
    assert is_critical(type_)
    assert is_critical(type_.upper())
    assert counted_as(type_.lower()) == type_


@pytest.mark.parametrize(
    "type_", ["InvalidMessages", "InvalidTLSVersion", "FailedToAuthenticateAtCsms", "NoSuchType", ""]
)
def test_what_they_do_not_is_not(type_: str) -> None:
    assert not is_critical(type_)


def test_types_that_nobody_knows_are_counted_as_one() -> None:
    assert {counted_as(f"Vendor{number}") for number in range(100)} == {OTHER}


def told(number: int, *, charge_point: str = "CP-1", type_: str = "InvalidMessages", at: datetime = NOW) -> Told:
    return Told(
        charge_point=charge_point,
        key=number.to_bytes(16, "big"),
        type=type_,
        at=at,
        tech_info="x" * 255,
        received_at=at,
    )


@given(
    st.lists(
        st.tuples(st.sampled_from(["CP-1", "CP-2"]), st.sampled_from(["InvalidMessages", "A", "B"])), max_size=400
    ),
    st.dictionaries(st.tuples(st.just("CP-1"), st.sampled_from(["A", "B"])), st.integers(0, 2 * KEPT_MAX)),
)
def test_of_each_kind_and_charge_point_no_more_are_kept_than_have_room(
    sent: list[tuple[str, str]], recent: dict[tuple[str, str], int]
) -> None:
    events = [told(number, charge_point=name, type_=type_) for number, (name, type_) in enumerate(sent)]
    kept, counted = divided(events, recent)
    told_before = Counter({(name, OTHER): 0 for name, _ in recent})
    for (name, type_), count in recent.items():
        told_before[name, counted_as(type_)] += count

    assert sorted([*kept, *counted], key=lambda each: each.key) == events
    for kind, count in Counter((each.charge_point, counted_as(each.type)) for each in kept).items():
        assert count + told_before[kind] <= KEPT_MAX
    for kind in {(each.charge_point, counted_as(each.type)) for each in counted}:
        assert told_before[kind] + sum((each.charge_point, counted_as(each.type)) == kind for each in events) > KEPT_MAX


SEEN = st.lists(
    st.tuples(
        st.sampled_from(list(OwnKind)[:2]), st.integers(0, 300), st.integers(0, 3), st.integers(0, 7200), st.booleans()
    ),
    max_size=500,
)


@given(SEEN)
def test_however_much_is_seen_the_sum_is_right_and_the_rows_are_few(
    seen: list[tuple[OwnKind, int, int, int, bool]],
) -> None:
    tally, rows = Tally(), list[Sighting]()
    for kind, place, network, second, take in sorted(seen, key=lambda each: each[3]):
        at = NOW + timedelta(seconds=second)
        tally.add(kind, charge_point=f"CP-{place}", remote=f"192.0.2.{network}", info="i" * 300, now=at)
        if take:
            rows += tally.take()
    rows += tally.take()

    assert sum(row.count for row in rows) == len(seen)
    places = {(row.kind, row.window, row.charge_point, row.remote) for row in rows}
    for kind in OwnKind:
        for window in {row.window for row in rows}:
            assert len([each for each in places if each[:2] == (kind, window)]) <= PLACES_MAX + 1
    assert all(row.first_at <= row.last_at and row.window <= row.last_at < row.window + WINDOW for row in rows)
    assert all(len(row.info) <= 255 for row in rows)


def test_only_the_first_of_a_place_and_hour_is_told_at_once() -> None:
    tally = Tally()
    first = [
        tally.add(
            OwnKind.TLS_REFUSED, charge_point="", remote="192.0.2.1", info="", now=NOW + timedelta(minutes=minute)
        )
        for minute in (0, 1, 59, 60, 61)
    ]

    assert first == [True, False, False, True, False]


async def rows_of(pool: asyncpg.Pool) -> list[asyncpg.Record]:
    return await pool.fetch("SELECT * FROM security_event ORDER BY number")


async def test_a_flood_is_kept_as_far_as_it_is_told_and_counted_beyond(pool: asyncpg.Pool) -> None:
    """S11: 1,000 a minute; a repeat is one; a critical one of another kind has room of its own."""
    async with pool.acquire() as connection:
        for batch in range(10):
            flood = [told(100 * batch + number, type_=f"Vendor{number}") for number in range(100)]
            async with connection.transaction():
                await service.keep_told(connection, [*flood, flood[0]])
        await service.keep_told(connection, [told(5000, type_="TamperDetectionActivated")])
        await service.keep_told(connection, [told(0, type_="Vendor0")])
        later = await service.events(connection, charge_point="CP-1", since=None, critical=True, most=10)
    rows = await rows_of(pool)
    capped = [row for row in rows if row["source"] == "csms"]

    assert len([row for row in rows if row["type"].startswith("Vendor")]) == KEPT_MAX
    assert [(row["type"], row["count"]) for row in capped] == [("SecurityEventFlood", 1000 - KEPT_MAX)]
    assert [(each["type"], each["critical"]) for each in later] == [("TamperDetectionActivated", True)]
    assert {len(row["tech_info"]) for row in rows if row["source"] == "charge_point"} == {255}


async def test_after_a_while_there_is_room_again(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        await service.keep_told(connection, [told(number) for number in range(KEPT_MAX + 1)])
        await service.keep_told(connection, [told(9999, at=NOW + KEPT_WITHIN + timedelta(seconds=1))])
    rows = await rows_of(pool)

    assert len([row for row in rows if row["source"] == "charge_point"]) == KEPT_MAX + 1


async def test_what_this_side_sees_becomes_one_row_an_hour_that_counts_on(pool: asyncpg.Pool) -> None:
    for _ in range(2):  # a second process counts in the same row
        log = SecurityLog(pool)
        for number in range(5000):
            log.note(OwnKind.FAILED_AUTHENTICATION, charge_point="CP-1", remote="192.0.2.7", info=f"attempt {number}")
        log.note(OwnKind.TLS_REFUSED, remote="192.0.2.7", info="not_tls")
        await log._write()
    async with pool.acquire() as connection:
        found = await service.events(connection, charge_point=None, since=None, critical=False, most=10)
        sums = await service.summary(connection, charge_point=None, since=None, critical=False, most=10)
        shown = await service.event(connection, found[0]["number"])

    assert {(each["type"], each["charge_point"], each["count"], each["remote"]) for each in found} == {
        ("FailedAuthenticationBurst", "CP-1", 10_000, "192.0.2.7"),
        ("TlsHandshakeRefused", None, 2, "192.0.2.7"),
    }
    assert [(each["type"], each["critical"], each["count"]) for each in sums] == [
        ("FailedAuthenticationBurst", True, 10_000),
        ("TlsHandshakeRefused", False, 2),
    ]
    assert shown == found[0]
    assert is_own_critical(OwnKind.FAILED_AUTHENTICATION)


async def test_what_could_not_be_written_is_written_later(pool: asyncpg.Pool, database: str) -> None:
    owner = await asyncpg.connect(database)
    log = SecurityLog(pool)
    log.note(OwnKind.RECONNECTS_OFTEN, charge_point="CP-1")
    await owner.execute("ALTER TABLE security_event RENAME TO security_event_elsewhere")
    await log._write()
    log.note(OwnKind.RECONNECTS_OFTEN, charge_point="CP-1")
    await owner.execute("ALTER TABLE security_event_elsewhere RENAME TO security_event")
    await log._write()
    await owner.close()

    assert [(row["type"], row["count"]) for row in await rows_of(pool)] == [("ReconnectFlood", 2)]
