"""Price series in the database: what is imported, and what a session meets of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from billing.errors import NotFound, Refused
from billing.price_series.series_file import cut_to_next
from billing.rating.series import Series, SeriesValue
from billing.sql import Connection, Queries

SQL: Final = Queries.load("billing.price_series")


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What came of an import: `added` were new or differ from what was there."""

    name: str
    values: int
    added: int
    since: datetime
    until: datetime

    def to_dict(self) -> dict[str, object]:
        return {
            "name": self.name, "values": self.values, "added": self.added, "since": self.since, "until": self.until,
        }  # fmt: skip


async def add(connection: Connection, name: str, values: Sequence[SeriesValue], *, currency: str | None) -> Imported:
    """Add values; the series is made by its first. What is there already is not added twice.

    Raises:
        Refused: the series is in another currency.
    """
    await SQL.create_series.execute(connection, name=name, currency=currency)
    known = await SQL.find_series.fetchrow(connection, name=name)
    assert known is not None, "it was just made"
    if known["currency"] != currency:
        raise Refused(
            f"series {name} is {_kind(known['currency'])}, these values are {_kind(currency)}",
            "give them a series of their own",
        )
    added = await SQL.add_values.fetch(
        connection,
        name=name,
        starts=[each.start for each in values],
        ends=[each.end for each in values],
        values=[each.value for each in values],
    )
    return Imported(
        name=name, values=len(values), added=len(added), since=values[0].start, until=max(each.end for each in values)
    )


def _kind(currency: str | None) -> str:
    return "an index" if currency is None else f"in {currency}"


async def list_series(connection: Connection) -> list[dict[str, Any]]:
    return [dict(row) for row in await SQL.list_series.fetch(connection)]


async def require(connection: Connection, name: str) -> str | None:
    """The currency of a series; None: an index.

    Raises:
        NotFound: no such series.
    """
    known = await SQL.find_series.fetchrow(connection, name=name)
    if known is None:
        raise NotFound(f"no price series {name}", f"import it: csms price-series import {name} FILE.csv")
    currency: str | None = known["currency"]
    return currency


async def currencies(connection: Connection, names: Collection[str]) -> dict[str, str | None]:
    """Of those of these series that exist; None: an index."""
    return {row["name"]: row["currency"] for row in await SQL.currencies_of.fetch(connection, names=sorted(names))}


async def between(connection: Connection, names: Collection[str], since: datetime, until: datetime) -> list[Series]:
    """Of each series that exists the values that touch the span, the newest of each begin, none reaching into the next."""
    rows = await SQL.values_between.fetch(connection, names=sorted(names), since=since, until=until)
    found: dict[str, list[SeriesValue]] = {}
    for row in rows:
        value = SeriesValue(start=row["starts_at"], end=row["ends_at"], value=row["value"].normalize() + 0)
        found.setdefault(row["series"], []).append(value)
    return [
        Series(
            name=name,
            values=tuple(each for each in cut_to_next(values) if each.end > since and each.start < until),
        )
        for name, values in sorted(found.items())
    ]
