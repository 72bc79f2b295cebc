"""`tariff price`: what a session described in JSON would cost under a tariff. Pure: no database, no policy but rounding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import zip_longest
from typing import Any, Final

from billing.money import exact_decimal
from billing.rating.engine import rate
from billing.rating.explanation import sentence
from billing.rating.matching import Phase, menu_of
from billing.rating.policy import PRICE_POLICY
from billing.rating.rating import ComponentName, Rating, Segment, Unit
from billing.rating.rating_json import time_text
from billing.rating.series import Series, SeriesValue
from billing.rating.terms import Terms
from billing.rating.usage import Period, PeriodKind, Usage
from billing.rating.usage_check import PERIODS_MAX, UsageInvalid
from billing.tariffs.ocpi_json import ObjectReader, as_decimal
from billing.tariffs.problem import Problem
from billing.tariffs.tariff import Dimension, Tariff, TariffInvalid, parse_tariff

_SESSION_KEYS: Final = frozenset({"time_zone", "periods", "note", "volume_kwh", "series"})
_SERIES_KEYS: Final = frozenset({"name", "values"})
_VALUE_KEYS: Final = frozenset({"start", "end", "value"})
_SERIES_MAX: Final = 20
_PERIOD_KEYS: Final = frozenset({"kind", "start", "end", "energy_kwh", "power_kw", "current_a", "note"})
_WH_PER_KWH: Final = Decimal(1000)
ENERGY_UNKNOWN: Final = {
    "code": "energy_unknown",
    "text": "energy was not known for some time of charging: nothing was charged for it there",
}
"""A note of this command alone: the notes of a bill are stored with its rating, and recomputed as they are."""


@dataclass(frozen=True, slots=True)
class PriceRefused:
    """The tariff or the session cannot be priced; every reason, each naming its document."""

    problems: tuple[Problem, ...]


def price_command(tariff_json: Any, session_json: Any) -> dict[str, Any] | PriceRefused:
    """The final price of a session under a tariff, as `tariff price -o json` prints it: amounts as text.

    Nothing is waived. Energy that is unknown costs nothing, and a note says so. `components` are before tax and add up to `total_excl_tax`; `reservation` stands among them only
    where there was one. Limits and waiving are segments without a quantity. Exact amounts end after 12 decimals.
    """
    try:
        tariff = parse_tariff(tariff_json)
    except TariffInvalid as invalid:
        return PriceRefused(_named("tariff", invalid.problems))
    usage = read_session(session_json)
    if isinstance(usage, PriceRefused):
        return usage
    terms = read_terms(session_json)
    if isinstance(terms, PriceRefused):
        return terms
    try:
        shown = _shown(rate(usage, tariff, PRICE_POLICY, final=True, terms=terms))
    except UsageInvalid as invalid:
        return PriceRefused(_named("session", invalid.problems))
    if _misses_energy(usage, tariff):
        shown["notes"].append(dict(ENERGY_UNKNOWN))
    return shown


def _misses_energy(usage: Usage, tariff: Tariff) -> bool:
    """Whether a price for energy met a stretch of charging that says nothing of energy."""
    unknown = any(
        period.kind is PeriodKind.CHARGING and period.energy_wh is None and period.end > period.start
        for period in usage.periods
    )
    return unknown and Dimension.ENERGY in menu_of(tariff, Phase.SESSION)


def _named(document: str, problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    return tuple(
        Problem(path=f"{document} {problem.path}", message=problem.message, next_step=problem.next_step)
        for problem in problems
    )


def read_session(session_json: Any) -> Usage | PriceRefused:
    """The usage that a SESSION.json describes; `kind` defaults to charging, `end` to the next period's start."""
    if not isinstance(session_json, Mapping):
        return PriceRefused(
            (Problem(path="session $", message="a session is a JSON object", next_step="write time_zone and periods"),)
        )
    problems: list[Problem] = []
    reader = ObjectReader(session_json, "session $", problems)
    reader.refuse_unknown(_SESSION_KEYS, "it would be ignored")
    zone = reader.text("time_zone", length_max=64)
    rows = list(reader.children("periods", count_max=PERIODS_MAX))
    periods = list(_periods(rows))
    if problems or zone is None:
        return PriceRefused(tuple(problems))
    return Usage(time_zone=zone, periods=tuple(periods))


def read_terms(session_json: Mapping[str, Any]) -> Terms | PriceRefused:
    """What a SESSION.json says beside the session: `volume_kwh` of the month before it, and the values of `series`."""
    problems: list[Problem] = []
    reader = ObjectReader(session_json, "session $", problems)
    volume_kwh = reader.number("volume_kwh")
    rows = list(reader.children("series", count_max=_SERIES_MAX)) if session_json.get("series") is not None else []
    series = tuple(each for each in map(_series, rows) if each is not None)
    if problems:
        return PriceRefused(tuple(problems))
    return Terms(volume_wh=None if volume_kwh is None else volume_kwh * _WH_PER_KWH, series=series)


def _series(row: ObjectReader) -> Series | None:
    row.refuse_unknown(_SERIES_KEYS, "it would be ignored")
    name = row.text("name", length_max=64)
    values = [_value(each) for each in row.children("values", count_max=PERIODS_MAX)]
    if name is None:
        return None
    return Series(name=name, values=tuple(each for each in values if each is not None))


def _value(row: ObjectReader) -> SeriesValue | None:
    row.refuse_unknown(_VALUE_KEYS, "it would be ignored")
    start, end = row.instant("start", required=True), row.instant("end", required=True)
    raw = row.required("value")
    value = None if raw is None else as_decimal(raw)
    if raw is not None and value is None:
        row.blame("value", f"is not a number: {str(raw)[:40]!r}", "write a plain number such as 0.09")
    if start is None or end is None or value is None:
        return None
    return SeriesValue(start=start, end=end, value=value)


def _periods(rows: list[ObjectReader]) -> Iterator[Period]:
    starts = [row.instant("start", required=True) for row in rows]
    for row, start, following in zip_longest(rows, starts, starts[1:]):
        row.refuse_unknown(_PERIOD_KEYS, "it would be ignored")
        period = _period(row, start, following)
        if period is not None:
            yield period


def _period(row: ObjectReader, start: datetime | None, following: datetime | None) -> Period | None:
    end = row.instant("end") or following
    if end is None and row.value.get("end") is None:
        row.blame("end", "is missing and no period follows", "add end")
    kind = row.choice("kind", PeriodKind) or PeriodKind.CHARGING
    energy_kwh, power_kw = row.number("energy_kwh"), row.number("power_kw")
    current_a = row.number("current_a")
    if start is None or end is None:
        return None
    return Period(
        kind=kind,
        start=start,
        end=end,
        energy_wh=None if energy_kwh is None else energy_kwh * _WH_PER_KWH,
        power_w=None if power_kw is None else power_kw * _WH_PER_KWH,
        current_a=current_a,
    )


def _shown(rating: Rating) -> dict[str, Any]:
    reserved = any(segment.component is ComponentName.RESERVATION for segment in rating.segments)
    return {
        "currency": rating.currency,
        "total_excl_tax": rating.total_excl.text,
        "total_tax": rating.total_tax.text,
        "total_incl_tax": rating.total_incl.text,
        "total_excl_tax_exact": format(rating.total_excl_exact, "f"),
        "total_incl_tax_exact": format(rating.total_incl_exact, "f"),
        "components": {
            part.name.value: part.excl_tax.text
            for part in rating.components
            if reserved or part.name is not ComponentName.RESERVATION
        },
        "segments": [_segment_row(segment) for segment in rating.segments] + _adjustment_rows(rating),
        "notes": [{"code": note.value, "text": sentence(note)} for note in rating.notes],
    }


def _segment_row(segment: Segment) -> dict[str, Any]:
    in_kwh = segment.unit is Unit.WATT_HOUR
    scale = _WH_PER_KWH if in_kwh else Decimal(1)
    return {
        "dimension": segment.dimension.value,
        "phase": segment.phase.value,
        "element": segment.element,
        "start": time_text(segment.start),
        "end": time_text(segment.end),
        "unit": "kWh" if in_kwh else segment.unit.value,
        "quantity_used": _plain(segment.quantity_used / scale),
        "quantity_billed": _plain(segment.quantity_billed / scale),
        "unit_price": None if segment.unit_price is None else _plain(segment.unit_price),
        "vat": None if segment.vat is None else _plain(segment.vat),
        "amount_excl_tax": _plain(exact_decimal(segment.excl_tax)),
        "amount_incl_tax": _plain(exact_decimal(segment.incl_tax)),
        "note": None if segment.note is None else segment.note.value,
    }


def _adjustment_rows(rating: Rating) -> list[dict[str, Any]]:
    end = time_text(max(segment.end for segment in rating.segments)) if rating.segments else None
    return [
        {
            "dimension": line.note.value.upper(),
            "phase": None,
            "element": None,
            "start": end,
            "end": end,
            "unit": None,
            "quantity_used": None,
            "quantity_billed": None,
            "unit_price": None,
            "vat": None if line.vat is None else _plain(line.vat),
            "amount_excl_tax": _plain(exact_decimal(line.excl_tax)),
            "amount_incl_tax": _plain(exact_decimal(line.incl_tax)),
            "note": line.note.value,
        }
        for line in rating.adjustments
    ]


def _plain(value: Decimal) -> str:
    return format(value, "f")
