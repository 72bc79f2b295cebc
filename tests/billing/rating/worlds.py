"""Random tariffs and sessions for the engine's invariants. Energies lie on straight lines of whole mWh per second."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from billing.rating.usage import Period, PeriodKind, Usage
from billing.tariffs.tariff import Dimension, Tariff, parse_tariff

ZONES = ("UTC", "Europe/Berlin", "Australia/Sydney", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")
# around changes of the clock in several zones, a leap day and a year's end, where mistakes live
STARTS = (
    datetime(2026, 3, 28, 22, 17, 5, tzinfo=UTC),
    datetime(2026, 10, 24, 23, 30, tzinfo=UTC),
    datetime(2026, 4, 4, 13, 50, 1, tzinfo=UTC),
    datetime(2026, 10, 3, 14, 59, 59, tzinfo=UTC),
    datetime(2028, 2, 28, 23, 0, tzinfo=UTC),
    datetime(2026, 12, 31, 20, 0, tzinfo=UTC),
)
CLOCKS = ("00:00", "02:00", "02:30", "03:00", "08:00", "17:00", "20:00", "22:30")
SESSION_KINDS = (PeriodKind.CHARGING, PeriodKind.PARKING)


def amounts(high: int, places: int) -> st.SearchStrategy[str]:
    return st.integers(0, high * 10**places).map(lambda units: format(Decimal(units).scaleb(-places), "f"))


def ranges(name: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(
        values.map(lambda low: {f"min_{name}": low}),
        values.map(lambda high: {f"max_{name}": high}),
        st.tuples(values, values).map(lambda pair: {f"min_{name}": pair[0], f"max_{name}": pair[1]}),
    )


RESTRICTIONS = st.one_of(
    st.just({}),
    st.tuples(st.sampled_from(CLOCKS), st.sampled_from(CLOCKS)).map(
        lambda pair: {"start_time": pair[0], "end_time": pair[1]}
    ),
    st.sampled_from(["2026-03-29", "2026-10-25", "2027-01-01", "2028-02-29"]).flatmap(
        lambda day: st.sampled_from([{"start_date": day}, {"end_date": day}])
    ),
    st.lists(st.sampled_from(["SATURDAY", "SUNDAY", "MONDAY", "THURSDAY"]), min_size=1, unique=True).map(
        lambda days: {"day_of_week": days}
    ),
    ranges("kwh", amounts(60, 1)),
    ranges("power", amounts(40, 1)),
    ranges("current", amounts(64, 0)),
    ranges("duration", st.integers(0, 6 * 3600)),
)


@st.composite
def components(draw: st.DrawFn, dimensions: list[Dimension], step_max: int) -> list[dict[str, Any]]:
    kinds = draw(st.lists(st.sampled_from(dimensions), min_size=1, max_size=4, unique=True))
    return [
        {
            "type": kind.value,
            "price": draw(amounts(9, draw(st.sampled_from([0, 2, 4])))),
            "step_size": draw(st.integers(0, step_max)),
        }
        | draw(st.sampled_from([{}, {"vat": "0"}, {"vat": "7"}, {"vat": "19"}, {"vat": "5.2"}]))
        for kind in kinds
    ]


@st.composite
def bodies(draw: st.DrawFn, *, limits: bool = True, step_max: int = 2000) -> dict[str, Any]:
    """Tariff JSON that parses."""
    count = draw(st.integers(1, 4))
    elements = [
        {
            "price_components": draw(components(list(Dimension), step_max)),
            "restrictions": draw(RESTRICTIONS) | draw(RESTRICTIONS),
        }
        for _ in range(count)
    ]
    body: dict[str, Any] = {
        "id": "RANDOM",
        "currency": draw(st.sampled_from(["EUR", "JPY", "KWD", "CLF"])),
        "tax_included": draw(st.sampled_from(["YES", "NO", "N/A"])),
        "elements": elements,
    }
    if limits:
        low, high = sorted(draw(st.tuples(st.integers(0, 20), st.integers(0, 60))))
        body |= draw(st.sampled_from([{}, {"min_price": limit(low)}, {"min_price": limit(low, "1.1")}]))
        body |= draw(st.sampled_from([{}, {"max_price": limit(high)}, {"max_price": limit(high, "1.3")}]))
    return body


def limit(before: int, factor: str | None = None) -> dict[str, str]:
    after = {} if factor is None else {"after_taxes": format(before * Decimal(factor), "f")}
    return {"before_taxes": str(before)} | after


def tariffs(**options: Any) -> st.SearchStrategy[Tariff]:
    return bodies(**options).map(parse_tariff)


@st.composite
def usages(draw: st.DrawFn, *, kinds: tuple[PeriodKind, ...] = SESSION_KINDS) -> Usage:
    """One to six periods without gaps; each has an energy of whole mWh per second, so that it can be cut on its line."""
    start = draw(st.sampled_from(STARTS)) + timedelta(seconds=draw(st.integers(0, 12 * 3600)))
    periods = []
    for _ in range(draw(st.integers(1, 6))):
        kind, seconds = draw(st.sampled_from(kinds)), draw(st.integers(1, 4 * 3600))
        rate_wh = Decimal(draw(st.integers(0, 15_000))).scaleb(-3) if kind is PeriodKind.CHARGING else Decimal(0)
        periods.append(
            Period(
                kind=kind,
                start=start,
                end=start + timedelta(seconds=seconds),
                energy_wh=draw(st.sampled_from([None, Decimal(0)])) if not rate_wh else rate_wh * seconds,
                power_w=draw(st.sampled_from([None, Decimal(11_000), Decimal(22_000)])),
                current_a=draw(st.sampled_from([None, Decimal(16), Decimal(32)])),
            )
        )
        start = periods[-1].end
    return Usage(time_zone=draw(st.sampled_from(ZONES)), periods=tuple(periods))


@st.composite
def cuts(draw: st.DrawFn, usage: Usage) -> Usage:
    """The same usage with one period cut on its line at some whole seconds."""
    chosen = draw(st.integers(0, len(usage.periods) - 1))
    period = usage.periods[chosen]
    seconds = int((period.end - period.start).total_seconds())
    marks = sorted({0, seconds, *draw(st.lists(st.integers(0, seconds), max_size=4))})
    return Usage(
        time_zone=usage.time_zone,
        periods=(
            *usage.periods[:chosen],
            *(part_of(period, since, until) for since, until in pairwise(marks)),
            *usage.periods[chosen + 1 :],
        ),
    )


def part_of(period: Period, since: int, until: int) -> Period:
    """The part of a period between two seconds after its start."""
    seconds = int((period.end - period.start).total_seconds())
    energy = period.energy_wh
    return Period(
        kind=period.kind,
        start=period.start + timedelta(seconds=since),
        end=period.start + timedelta(seconds=until),
        energy_wh=None if energy is None else energy / seconds * (until - since),
        power_w=period.power_w,
        current_a=period.current_a,
    )


def until(usage: Usage, seconds: int) -> Usage:
    """The usage as it was known so many seconds after its start."""
    periods = []
    for period in usage.periods:
        since = int((period.start - usage.periods[0].start).total_seconds())
        length = int((period.end - period.start).total_seconds())
        if since < seconds:
            periods.append(part_of(period, 0, min(length, seconds - since)))
    return Usage(time_zone=usage.time_zone, periods=tuple(periods))
