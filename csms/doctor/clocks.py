"""What times show: zones, and how the charge point's clock goes against ours. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

from csms.doctor.chart import Chart, Found, Message, found, many
from csms.sessions.clock import STAMP_MIN, Stamp, told_by

OFFSET_S_MAX = Decimal(60)
DRIFT_S_MIN = Decimal(10)
DRIFT_S_A_DAY_MIN = Decimal(60)
DRIFT_WITHIN = timedelta(hours=1)
_ZONED = re.compile(r"([zZ]|[+-]\d\d(:?\d\d)?)\s*$")
_DATED = re.compile(r"\d{4}-\d\d-\d\d[Tt ]")


def time_zone_mixed(chart: Chart) -> Found | None:
    zoned: list[Message] = []
    bare: list[Message] = []
    for message, text in _times(chart):
        (zoned if _ZONED.search(text[10:]) else bare).append(message)
    if not zoned or not bare:
        return None
    return found(bare, f"{many(bare, 'time')} without zone beside {len(zoned)} with one")


def clock_offset(chart: Chart) -> Found | None:
    stamps = _stamps(chart)
    offset = told_by([stamp for _, stamp in stamps]).offset_s
    if offset is None or abs(offset) <= OFFSET_S_MAX:
        return None
    direction = "ahead" if offset > 0 else "behind"
    return found([message for message, _ in stamps], f"{abs(offset).quantize(Decimal('0.1'))} s {direction}")


def clock_drift(chart: Chart) -> Found | None:
    """From the first to the last hour in sight."""
    stamps = _stamps(chart)
    if len(stamps) < 2 or stamps[-1][0].at - stamps[0][0].at < 2 * DRIFT_WITHIN:  # noqa: PLR2004 - a begin and an end
        return None
    begin, end = stamps[0][0].at, stamps[-1][0].at
    first = told_by([stamp for message, stamp in stamps if message.at - begin <= DRIFT_WITHIN]).offset_s
    last = told_by([stamp for message, stamp in stamps if end - message.at <= DRIFT_WITHIN]).offset_s
    if first is None or last is None or abs(last - first) < DRIFT_S_MIN:
        return None
    days = Decimal(str((end - begin) / timedelta(days=1)))
    drift = ((last - first) / days).quantize(Decimal("0.1"))
    if abs(drift) < DRIFT_S_A_DAY_MIN:
        return None
    return found([message for message, _ in stamps], f"{drift:+} s a day: {first} s, then {last} s off")


def _stamps(chart: Chart) -> list[tuple[Message, Stamp]]:
    """What was stamped as it happened, or may have been: top-level times of calls that were not sent late."""
    stamps: list[tuple[Message, Stamp]] = []
    for message in chart.calls:
        at = chart.time(message)
        if at is not None and at >= STAMP_MIN and message.payload.get("offline") is not True:
            stamps.append((message, Stamp(at=at, received_at=message.at, socket=message.socket)))
    return stamps


def _times(chart: Chart) -> Iterator[tuple[Message, str]]:
    for message in chart.calls:
        said = [message.payload.get("timestamp")]
        for name in ("meterValue", "transactionData"):
            elements = message.payload.get(name)
            said += (
                [each.get("timestamp") for each in elements if isinstance(each, dict)]
                if isinstance(elements, list)
                else []
            )
        for text in said:
            if isinstance(text, str) and _DATED.match(text):
                yield message, text
