"""Times: as many spellings as there are makers, and one of our own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.protocol.times import parse_time, print_time


@pytest.mark.parametrize(
    ("text", "iso", "quirks"),
    [
        ("2026-02-03T04:05:06Z", "2026-02-03T04:05:06", set()),
        ("2026-02-03T04:05:06.789Z", "2026-02-03T04:05:06.789", set()),
        ("2026-02-03T04:05:06.123456Z", "2026-02-03T04:05:06.123456", set()),
        ("2026-02-03T04:05:06.1Z", "2026-02-03T04:05:06.100", set()),
        ("2026-02-03T04:05:06+02:00", "2026-02-03T02:05:06", set()),
        ("2026-02-03T04:05:06+0200", "2026-02-03T02:05:06", set()),
        ("2026-02-03T04:05:06-05:30", "2026-02-03T09:35:06", set()),
        ("2026-02-03T04:05:06+02", "2026-02-03T02:05:06", {"time_hour_offset"}),
        ("2026-02-03T04:05:06", "2026-02-03T04:05:06", {"time_without_zone"}),
        ("2026-02-03T04:05:06+99:00", "2026-02-03T04:05:06", {"time_without_zone"}),
        ("2026-02-03 04:05:06Z", "2026-02-03T04:05:06", {"time_separator"}),
        (" 2026-02-03T04:05:06Z\n", "2026-02-03T04:05:06", {"time_separator"}),
        ("2026-02-03t04:05:06z", "2026-02-03T04:05:06", {"time_lowercase"}),
        ("2026-02-03T04:05:06.123456789Z", "2026-02-03T04:05:06.123456", {"time_digits"}),
        ("2026-02-03T04:05:06,5Z", "2026-02-03T04:05:06.500", {"time_digits"}),
        ("2026-02-03T04:05Z", "2026-02-03T04:05:00", {"time_digits"}),
        ("2026-06-30T23:59:60Z", "2026-07-01T00:00:00", {"time_leap_second"}),
        ("1970-01-01T00:00:00.740Z", "1970-01-01T00:00:00.740", {"clock_not_set"}),
        ("2000-01-01T00:00:00Z", "2000-01-01T00:00:00", {"clock_not_set"}),
        ("1769994306", "2026-02-02T01:05:06", {"time_as_epoch"}),
        (1769994306, "2026-02-02T01:05:06", {"time_as_epoch"}),
        (1769994306500, "2026-02-02T01:05:06.500", {"time_as_epoch"}),
    ],
)
def test_a_time_is_read_however_it_is_spelt(text, iso, quirks):
    found: set[str] = set()

    assert parse_time(text, found) == datetime.fromisoformat(iso).replace(tzinfo=UTC)
    assert found == quirks


@pytest.mark.parametrize(
    "value",
    [
        "",
        "yesterday",
        "0001-01-01T00:00:00Z",
        "0000-00-00T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "222222017-01-01T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-02-03T25:00:00Z",
        "20260203",
        "٢٠٢٦-02-03T04:05:06Z",
        12.5,
        True,
        [],
        10**40,
        "2026-02-03T04:05:06Z" * 9,
    ],
)
def test_what_means_no_instant_is_none(value):
    found: set[str] = set()

    assert parse_time(value, found) is None
    assert "time_unreadable" in found


def test_a_time_zone_that_this_machine_lacks_counts_as_utc():
    for zone in ("Nowhere/Land", "../etc/passwd", "", "Europe"):
        assert parse_time("2026-02-03T04:05:06", set(), zone=zone) == datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)


@given(
    st.text(max_size=40) | st.from_regex(r"\A\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,12})?(Z|[+-]\d\d(:?\d\d)?)?\Z")
)
def test_reading_a_time_never_fails(text):
    at = parse_time(text, set(), zone="Europe/Berlin")

    assert at is None or (at.utcoffset() == timedelta(0) and 1970 <= at.year <= 2199)


@given(st.integers(1_420_160_000_000_000, 7_258_000_000_000_000), st.integers(-840, 840))
def test_what_we_print_reads_back_to_the_millisecond(microseconds, offset_minutes):
    at = datetime.fromtimestamp(0, timezone(timedelta(minutes=offset_minutes))) + timedelta(microseconds=microseconds)
    quirks: set[str] = set()

    assert at - parse_time(print_time(at), quirks) < timedelta(milliseconds=1)
    assert not quirks
    assert len(print_time(at)) == 24
