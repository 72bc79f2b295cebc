"""All stored bills against what their frozen inputs give when they are rated anew. Changes nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import asyncpg

from billing.bills.bill import BillInputs, BillSummary, canonical_json
from billing.bills.store import SQL, DraftBill, summary_of
from billing.money import Money
from billing.policies import store as policy_store
from billing.rating.engine import rate
from billing.rating.policy import RatingPolicy
from billing.rating.rating import Rating
from billing.rating.rating_json import rating_to_json
from billing.sql import Connection
from billing.tariffs.store import TariffCache

BILLS_AT_A_TIME = 100
"""Read at once: a bill of a long session is half a megabyte."""
FIGURES = (
    "total_excl", "total_tax", "total_incl", "payable", "total_excl_exact", "total_incl_exact", "energy_wh", "inputs_hash",
)  # fmt: skip
"""Of a bill's row, what must come out again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BillDifference:
    """A bill that does not follow from its inputs: somebody changed one of them, or the engine rates otherwise."""

    session: int
    seq: int
    what: str
    stored: object
    recomputed: object


class Named:
    """The tariff and policy versions that bills name. None ever changes, so each is read once."""

    def __init__(self) -> None:
        self._tariffs = TariffCache()
        self._policies: dict[int, RatingPolicy] = {}

    async def rate(self, connection: Connection, bill: BillSummary, inputs: BillInputs) -> Rating:
        """The inputs of a bill rated anew."""
        key = (bill.tariff, bill.tariff_version)
        tariff = (await self._tariffs.get(connection, [key]))[key].tariff
        if bill.policy_version not in self._policies:
            self._policies[bill.policy_version] = await policy_store.rating_policy(connection, bill.policy_version)
        policy = self._policies[bill.policy_version]
        return rate(inputs.usage, tariff, policy, final=inputs.final, terms=inputs.terms)


async def recomputed_bills(pool: asyncpg.Pool[Any]) -> AsyncIterator[tuple[int, list[BillDifference]]]:
    """Every bill there is, some at a time: how many they were, and what differs in them."""
    named, after = Named(), (0, 0)
    while True:
        async with pool.acquire() as connection:
            rows = await SQL.bills_after.fetch(connection, session=after[0], seq=after[1], limit=BILLS_AT_A_TIME)
            found = [each for row in rows for each in await _differences(connection, row, named)]
        if not rows:
            return
        after = (rows[-1]["session"], rows[-1]["seq"])
        yield len(rows), found


async def _differences(connection: Connection, row: asyncpg.Record, named: Named) -> list[BillDifference]:
    """What differs in one bill; one that cannot be rated at all must not keep the others from being looked at."""
    bill = summary_of(row)
    try:
        inputs = BillInputs.from_dict(json.loads(row["inputs"]))
        rating = await named.rate(connection, bill, inputs)
    except asyncpg.PostgresError:
        raise
    except Exception as trouble:  # noqa: BLE001 - whatever was made of the row, that is the finding
        why = f"cannot be rated: {type(trouble).__name__}: {trouble}"
        return [_of(bill, "inputs", bill.total_incl.text, why)]
    return differences(bill, inputs, json.loads(row["detail"]), rating)


def differences(
    bill: BillSummary, inputs: BillInputs, detail: Mapping[str, Any], rating: Rating
) -> list[BillDifference]:
    """Of a stored bill with its lines (`detail`), what its inputs give otherwise."""
    draft = DraftBill(
        session=bill.session, seq=bill.seq, kind=bill.kind, as_of=bill.as_of, rating=rating, inputs=inputs,
        created_at=bill.created_at, corrects=bill.corrects,
    )  # fmt: skip
    again = draft.summary()
    found = [
        _of(bill, name, _plain(getattr(bill, name)), _plain(getattr(again, name)))
        for name in FIGURES
        if _plain(getattr(bill, name)) != _plain(getattr(again, name))
    ]
    if not found and _lines(detail) != _lines(rating_to_json(rating)):
        return [_of(bill, "lines", "as stored", "other ones with the same totals")]
    return found


def _of(bill: BillSummary, what: str, stored: object, recomputed: object) -> BillDifference:
    return BillDifference(session=bill.session, seq=bill.seq, what=what, stored=stored, recomputed=recomputed)


def _plain(value: object) -> object:
    """As it is printed and as the column holds it."""
    match value:
        case Money():
            return f"{value.text} {value.currency}"
        case bytes():
            return value.hex()
        case Decimal():
            return value.normalize()
        case _:
            return value


def _lines(detail: Mapping[str, Any]) -> str:
    """All that is printed of a bill. A newer engine may well give the same."""
    return canonical_json({name: value for name, value in detail.items() if name != "engine_version"})
