"""What a component may say beyond OCPI: an idle fee's grace, cap and quiet hours, volume tiers, a price series.

Their names begin with `x_`, so that nobody takes them for OCPI. They are stored with the tariff and priced like the
rest of it; an OCPI document cannot carry them, so they are refused on export (`billing.tariffs.export`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import time
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final

from billing.tariffs.ocpi_json import ObjectReader

TIERS_MAX: Final = 20
GRACE_MAX_S: Final = 7 * 24 * 3600
COMPONENT_KEYS: Final = frozenset({"x_idle", "x_tiers", "x_series"})
_IDLE_KEYS: Final = frozenset({"grace_s", "cap", "quiet_from", "quiet_to"})
_TIER_KEYS: Final = frozenset({"from_kwh", "price"})
_SERIES_KEYS: Final = frozenset({"name", "factor", "fallback"})
_NO_PRICE: Final = "it would be ignored"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleFee:
    """Of PARKING_TIME: the first `grace_s` seconds of parking in a session are free, and so are the quiet hours.

    `cap` limits what this component may cost in one session, at the tariff's prices (with tax where they hold it). Quiet
    hours are the site's wall clock, `quiet_from` inclusive; grace runs in them too.
    """

    grace_s: int = 0
    cap: Decimal | None = None
    quiet_from: time | None = None
    quiet_to: time | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Of ENERGY: the price from the customer's `from_kwh` of the calendar month on."""

    from_kwh: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesLink:
    """Of ENERGY: the price is the component's own plus `factor` times the series' value then, and never below zero.

    `fallback` stands in the place of a value that the series does not have.
    """

    name: str
    factor: Decimal
    fallback: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Extensions:
    """The three of one component."""

    idle: IdleFee | None = None
    tiers: tuple[Tier, ...] = ()
    series: SeriesLink | None = None

    def __bool__(self) -> bool:
        return self != NONE

    def names(self) -> Iterator[str]:
        """The fields that are there, as the document names them."""
        if self.idle is not None:
            yield "x_idle"
        if self.tiers:
            yield "x_tiers"
        if self.series is not None:
            yield "x_series"


NONE: Final = Extensions()


def read_extensions(reader: ObjectReader) -> Extensions:
    """The extensions of a component; mistakes go into the reader's problems."""
    idle, series = reader.child("x_idle"), reader.child("x_series")
    tiers = list(reader.children("x_tiers", count_max=TIERS_MAX)) if reader.value.get("x_tiers") is not None else []
    kind = reader.value.get("type")
    for name, found, wanted in (
        ("x_idle", idle, "PARKING_TIME"),
        ("x_tiers", tiers, "ENERGY"),
        ("x_series", series, "ENERGY"),
    ):
        if found and kind != wanted:
            reader.blame(name, f"belongs to {wanted}", f"move it to a component of type {wanted}")
    if tiers and series is not None:
        reader.blame("x_series", "stands beside x_tiers; only one can set the price", "remove one of them")
    return Extensions(
        idle=None if idle is None else _read_idle(idle),
        tiers=_read_tiers(reader, tiers),
        series=None if series is None else _read_series(series),
    )


def _read_idle(reader: ObjectReader) -> IdleFee:
    reader.refuse_unknown(_IDLE_KEYS, _NO_PRICE)
    grace_s = reader.integer("grace_s") or 0
    if grace_s > GRACE_MAX_S:
        reader.blame("grace_s", f"is above {GRACE_MAX_S} (a week)", "write seconds")
    quiet_from, quiet_to = reader.clock("quiet_from"), reader.clock("quiet_to")
    if (reader.value.get("quiet_from") is None) != (reader.value.get("quiet_to") is None):
        reader.blame("quiet_to", "quiet hours have a begin and an end", "write quiet_from and quiet_to, or neither")
    elif quiet_from is not None and quiet_from == quiet_to:
        reader.blame("quiet_to", "equals quiet_from, which could mean all day or nothing", "correct one")
    return IdleFee(grace_s=grace_s, cap=reader.number("cap"), quiet_from=quiet_from, quiet_to=quiet_to)


def _read_tiers(reader: ObjectReader, rows: list[ObjectReader]) -> tuple[Tier, ...]:
    tiers = []
    for row in rows:
        row.refuse_unknown(_TIER_KEYS, _NO_PRICE)
        begin = row.number("from_kwh", required=True)
        price = row.number("price", required=True, sign_note="negative prices are not supported")
        if begin is not None and not begin:
            row.blame("from_kwh", "is 0; below the first tier the component's own price holds", "begin above 0")
        if begin is not None and price is not None:
            tiers.append(Tier(from_kwh=begin, price=price))
    if any(later.from_kwh <= earlier.from_kwh for earlier, later in pairwise(tiers)):
        reader.blame("x_tiers", "must rise in from_kwh", "sort the tiers and drop doubles")
    return tuple(tiers)


def _read_series(reader: ObjectReader) -> SeriesLink | None:
    reader.refuse_unknown(_SERIES_KEYS, _NO_PRICE)
    name = reader.text("name", length_max=64)
    factor, fallback = reader.number("factor", required=True), reader.number("fallback", required=True)
    if name is None or factor is None or fallback is None:
        return None
    return SeriesLink(name=name, factor=factor, fallback=fallback)


def extensions_to_json(extensions: Extensions) -> dict[str, Any]:
    """As the component's own fields; what is absent is left out."""
    body: dict[str, Any] = {}
    if extensions.idle is not None:
        body["x_idle"] = _idle_to_json(extensions.idle)
    if extensions.tiers:
        body["x_tiers"] = [{"from_kwh": tier.from_kwh, "price": tier.price} for tier in extensions.tiers]
    if extensions.series is not None:
        link = extensions.series
        body["x_series"] = {"name": link.name, "factor": link.factor, "fallback": link.fallback}
    return body


def _idle_to_json(idle: IdleFee) -> dict[str, Any]:
    quiet = {"quiet_from": idle.quiet_from, "quiet_to": idle.quiet_to}
    return {
        "grace_s": idle.grace_s,
        **({} if idle.cap is None else {"cap": idle.cap}),
        **{name: moment.strftime("%H:%M") for name, moment in quiet.items() if moment is not None},
    }
