"""Series as indexed prices ask for them: the value of a day. An index is a price series without a currency (csms price-series)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Final

from billing.contracts.days import add_months
from billing.contracts.pricing import Indexed, IndexOn
from billing.contracts.standing import Standing
from billing.price_series import store
from billing.rating.series import Series
from billing.sql import Connection
from billing.time_zones import zone_named

NOON: Final = time(12)
"""By the customer's clock: the day of a series that was written in another zone is then still the same day."""


async def load_series(connection: Connection, contracts: Iterable[Standing], until: date) -> list[Series]:
    """What the indexed prices of contracts may ask for up to a day."""
    asked = [
        each.plan.pricing
        for contract in contracts
        for each in contract.subscriptions
        if isinstance(each.plan.pricing, Indexed)
    ]
    if not asked:
        return []
    since = min(add_months(min(each.base_on, each.first_on or each.base_on), -each.lag_months) for each in asked)
    utc = zone_named("UTC")
    return await store.between(
        connection,
        {each.series for each in asked},
        datetime.combine(since, time(0), utc),
        datetime.combine(add_months(until, 1), time(0), utc),
    )


def index_in(series: Sequence[Series], time_zone: str) -> IndexOn:
    """The lookup of a contract whose customer lives by this clock."""
    zone = zone_named(time_zone)
    known = {each.name: (each.values, [value.start for value in each.values]) for each in series}

    def on(name: str, day: date) -> Decimal | None:
        values, starts = known.get(name, ((), []))
        at = datetime.combine(day, NOON, zone)
        found = bisect_right(starts, at) - 1
        return values[found].value if found >= 0 and at < values[found].end else None

    return on
