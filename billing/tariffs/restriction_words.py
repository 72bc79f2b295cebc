"""When a price counts, in few words of a driver: `Mon-Fri 08:00-20:00`, `after 60 min`. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, time
from decimal import Decimal
from typing import Final

from billing.tariffs.extensions import IdleFee, Tier
from billing.tariffs.tariff import Dimension, Restrictions

_DAY_NAMES: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_RUN_MIN: Final = 3
"""So many days in a row are written as a range."""
_MINUTE_S: Final = 60
_WH_PER_KWH: Final = 1000


def condition_of(rules: Restrictions) -> str:
    """All that must hold, in one line; empty where nothing must. Reservation is no condition: it has lines of its own."""
    return " ".join(_words(rules))


def step_of(dimension: Dimension, step: int) -> str:
    """How a total is rounded up, where it is by more than its own unit; a once-only price is not."""
    match dimension:
        case Dimension.ENERGY:
            return f"(in steps of {_plain(Decimal(step) / _WH_PER_KWH)} kWh)" if step > 1 else ""
        case Dimension.FLAT:
            return ""
        case _ if step == _MINUTE_S:
            return "(started minutes)"
        case _:
            return f"(in steps of {duration_text(step)})" if step > 1 else ""


def free_stretches(idle: IdleFee) -> Iterator[str]:
    """When an idle fee asks nothing: its quiet hours and its grace."""
    if idle.quiet_from is not None:
        yield " ".join(_clock(idle.quiet_from, idle.quiet_to))
    if idle.grace_s:
        yield f"first {duration_text(idle.grace_s)} idle"


def volume_of(tier: Tier) -> str:
    """From which energy of the customer's calendar month on a tier's price counts."""
    return f"after {_plain(tier.from_kwh)} kWh a month"


def duration_text(seconds: int) -> str:
    """`60 min`, `90 s`."""
    return f"{seconds} s" if seconds % _MINUTE_S else f"{seconds // _MINUTE_S} min"


def _words(rules: Restrictions) -> Iterator[str]:
    if rules.day_of_week:
        yield _days(rules.day_of_week)
    yield from _clock(rules.start_time, rules.end_time)
    yield from _dates(rules.start_date, rules.end_date)
    yield from _passed(_kwh(rules.min_kwh), _kwh(rules.max_kwh))
    yield from _passed(_duration(rules.min_duration), _duration(rules.max_duration))
    yield from _level(rules.min_power, rules.max_power, "kW")
    yield from _level(rules.min_current, rules.max_current, "A")


def _days(days: tuple[int, ...]) -> str:
    runs: list[list[int]] = []
    for day in sorted(days):
        if runs and runs[-1][-1] == day - 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    return ",".join(_run(run) for run in runs)


def _run(days: list[int]) -> str:
    names = [_DAY_NAMES[day] for day in days]
    return f"{names[0]}-{names[-1]}" if len(days) >= _RUN_MIN else ",".join(names)


def _clock(start: time | None, end: time | None) -> Iterator[str]:
    """Half-open; 00:00 as end is the day's end, equal times are the whole day (as the engine has it)."""
    low, high = start or time(0), end or time(0)
    if low != high:
        yield f"{low:%H:%M}-{'24:00' if high == time(0) else f'{high:%H:%M}'}"


def _dates(start: date | None, end: date | None) -> Iterator[str]:
    if start is not None:
        yield f"from {start.isoformat()}"
    if end is not None:
        yield f"before {end.isoformat()}"


def _kwh(value: Decimal | None) -> str | None:
    return None if value is None else f"{_plain(value)} kWh"


def _duration(seconds: int | None) -> str | None:
    return None if seconds is None else duration_text(seconds)


def _passed(low: str | None, high: str | None) -> Iterator[str]:
    """Running totals of the session: `first 20 kWh`, `after 60 min`."""
    if low is not None:
        yield f"after {low}"
    if high is not None:
        yield f"until {high}" if low is not None else f"first {high}"


def _level(low: Decimal | None, high: Decimal | None, unit: str) -> Iterator[str]:
    """What flows at the moment."""
    if low is not None:
        yield f"at {_plain(low)} {unit} or more"
    if high is not None:
        yield f"below {_plain(high)} {unit}"


def _plain(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
