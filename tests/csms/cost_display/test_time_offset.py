"""The clock that a display of 1.6 is given: how far from UTC its site is, and when that changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from csms.protocol.v16.price_settings import same_value
from csms.protocol.v16.price_settings import time_offset as written
from csms.sites.time_offset import time_offset

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("zone", "at", "now", "changes_at", "then"),
    [
        ("Europe/Berlin", datetime(2026, 1, 5, 12, tzinfo=UTC), HOUR, datetime(2026, 3, 29, 1, tzinfo=UTC), 2 * HOUR),
        ("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC), 2 * HOUR, datetime(2026, 10, 25, 1, tzinfo=UTC), HOUR),
        ("America/Los_Angeles", datetime(2026, 7, 1, tzinfo=UTC), -7 * HOUR, datetime(2026, 11, 1, 9, tzinfo=UTC), -8 * HOUR),
        ("Australia/Lord_Howe", datetime(2026, 1, 5, tzinfo=UTC), 11 * HOUR, datetime(2026, 4, 4, 15, tzinfo=UTC), 10.5 * HOUR),
    ],
)  # fmt: skip
def test_the_next_change_of_a_clock_is_found_to_the_second(
    zone: str, at: datetime, now: timedelta, changes_at: datetime, then: timedelta
) -> None:
    found = time_offset(zone, at)

    assert (found.now, found.changes_at, found.then) == (now, changes_at, then)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
def test_a_clock_that_never_changes_has_no_next_change(zone: str) -> None:
    assert time_offset(zone, datetime(2026, 1, 5, tzinfo=UTC)).changes_at is None


@pytest.mark.parametrize(
    ("offset", "text"), [(HOUR, "+01:00"), (-7 * HOUR, "-07:00"), (5.5 * HOUR, "+05:30"), (0 * HOUR, "+00:00")]
)
def test_offsets_are_written_with_their_sign(offset: timedelta, text: str) -> None:
    assert written(offset) == text


def test_a_price_that_the_charge_point_lays_out_its_own_way_is_the_same() -> None:
    wanted = '{"priceText":"a","chargingPrice":{"kWhPrice":0.5}}'

    assert same_value('{ "chargingPrice": {"kWhPrice": 0.50},\n "priceText": "a" }', wanted)
    assert not same_value('{"priceText":"b"}', wanted)
    assert not same_value("garbage", wanted)
    assert not same_value(None, wanted)
