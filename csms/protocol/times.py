"""Times as charge points write them, read leniently into aware UTC; times as we write them. Knows no clock."""

from __future__ import annotations

import errno
import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from csms.protocol.quirks import Quirk

YEAR_MIN = 1970  # year 1 and the like stand for "no time"
YEAR_MAX = 2199
YEAR_CLOCK_SET = 2015  # an earlier stamp comes from a clock that was never set (RULES.md 4)

_STAMP = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)(?P<sep>[Tt]|\s+)(?P<hour>\d\d):(?P<minute>\d\d)"
    r"(?::(?P<second>\d\d)(?:(?P<point>[.,])(?P<fraction>\d+))?)?"
    r"\s*(?P<zone>[Zz]|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)
_EPOCH = re.compile(r"\d{9,10}|\d{12,13}", re.ASCII)
_EPOCH_MS_DIGITS = 12
_FRACTION_DIGITS = 6
_HOUR_OFFSET_LENGTH = 3
_UTC_LENGTHS = (20, 24)  # 2026-01-01T00:00:00Z, with or without milliseconds: what nearly everybody sends
_OFFSET_HOURS_MAX = 14


class Stamp(NamedTuple):
    """An instant for us and `key`, its form in content keys: the instant, or the text as sent if it means none."""

    at: datetime
    key: str


def parse_time(value: object, quirks: set[str], *, zone: str | None = None) -> datetime | None:
    """The instant that `value` means, in UTC, None if it means none; deviations are added to `quirks`."""
    if isinstance(value, str) and len(value) in _UTC_LENGTHS and value[-1] == "Z" and value[10] == "T":
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            pass
        else:
            if YEAR_CLOCK_SET <= at.year <= YEAR_MAX:
                return at
    at_or_none = _parse_leniently(value, quirks, zone)
    if at_or_none is None or not YEAR_MIN <= at_or_none.year <= YEAR_MAX:
        quirks.add(Quirk.TIME_UNREADABLE)
        return None
    if at_or_none.year < YEAR_CLOCK_SET:
        quirks.add(Quirk.CLOCK_NOT_SET)
    return at_or_none


def stamp(value: object, quirks: set[str], *, fallback: datetime, zone: str | None = None) -> Stamp:
    """`value` as a stamp; `fallback` stands in where it is absent or means no instant."""
    if value is None or value == "":
        quirks.add(Quirk.TIME_MISSING)
        return Stamp(fallback, "")
    at = parse_time(value, quirks, zone=zone)
    if at is None:
        return Stamp(fallback, f"?{str(value)[:64]}" if isinstance(value, str | float) else "?")
    return Stamp(at, at.isoformat())


def print_time(at: datetime) -> str:
    """RFC 3339 with milliseconds and Z; some charge points read nothing else."""
    assert at.tzinfo is not None, "times are aware"
    return at.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _parse_leniently(value: object, quirks: set[str], zone: str | None) -> datetime | None:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if 0 < value < 10**13 else ""
    if not isinstance(value, str) or len(value) > 64:  # noqa: PLR2004  # longer than any spelling of a time
        return None
    text = value.strip()
    if text != value:
        quirks.add(Quirk.TIME_SEPARATOR)
    if _EPOCH.fullmatch(text):
        return _from_epoch(text, quirks)
    match = _STAMP.fullmatch(text)
    if match is None:
        return None
    local = _local(match, quirks)
    if local is None:
        return None
    try:
        return local.replace(tzinfo=_zone(match["zone"], quirks, zone)).astimezone(UTC)
    except OverflowError:
        return None


def _local(match: re.Match[str], quirks: set[str]) -> datetime | None:
    """The wall clock part of a stamp, without zone."""
    if match["sep"] == "t":
        quirks.add(Quirk.TIME_LOWERCASE)
    elif match["sep"] != "T":
        quirks.add(Quirk.TIME_SEPARATOR)
    fraction = match["fraction"] or ""
    if len(fraction) > _FRACTION_DIGITS or match["point"] == "," or match["second"] is None:
        quirks.add(Quirk.TIME_DIGITS)
    second = match["second"] or "00"
    extra = timedelta()
    if second == "60":
        quirks.add(Quirk.TIME_LEAP_SECOND)
        second, extra = "59", timedelta(seconds=1)
    micro = fraction[:_FRACTION_DIGITS].ljust(_FRACTION_DIGITS, "0")
    try:
        wall = datetime.fromisoformat(f"{match['date']}T{match['hour']}:{match['minute']}:{second}.{micro}")
        return wall + extra
    except (ValueError, OverflowError):
        return None


def _zone(text: str | None, quirks: set[str], zone: str | None) -> tzinfo:
    if text is None:
        quirks.add(Quirk.TIME_WITHOUT_ZONE)
        return _named_zone(zone)
    if text in ("Z", "z"):
        if text == "z":
            quirks.add(Quirk.TIME_LOWERCASE)
        return UTC
    if len(text) == _HOUR_OFFSET_LENGTH:
        quirks.add(Quirk.TIME_HOUR_OFFSET)
    hours, minutes = int(text[1:3]), int(text[3:].lstrip(":") or 0)
    if hours > _OFFSET_HOURS_MAX:
        quirks.add(Quirk.TIME_WITHOUT_ZONE)  # no such offset: it tells nothing
        return _named_zone(zone)
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)


def _named_zone(zone: str | None) -> tzinfo:
    if zone is None:
        return UTC
    return _known_zone(zone)


@lru_cache(maxsize=1000)
def _known_zone(name: str) -> tzinfo:
    """Raises OSError where this machine can open no file now: an hour that it would guess is not what was told."""
    try:
        return ZoneInfo(name)
    except (ValueError, KeyError):  # a zone that this machine does not know must not cost a fact
        return UTC
    except OSError as trouble:
        if trouble.errno in {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO}:
            raise
        return UTC


def _from_epoch(text: str, quirks: set[str]) -> datetime:
    quirks.add(Quirk.TIME_AS_EPOCH)
    milliseconds = int(text) if len(text) >= _EPOCH_MS_DIGITS else int(text) * 1000
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
