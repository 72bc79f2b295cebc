"""Single facts as they were kept: what a session is folded from, and what a charge point told beside its sessions.

Reads only, and shows every field that a fact has: a bill that is doubted is looked into here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from asyncpg import Record

from csms.sessions import listing
from csms.sessions.records import sample_from_row
from csms.sessions.store import SQL

COLUMNS = ("at", "kind", "evse", "connector", "told")


async def of_session(connection: Any, session: int) -> list[dict[str, Any]]:
    """In the order in which they happened.

    Raises:
        NotFound: there is no such session.
    """
    await listing.get(connection, session)
    return [_shown(row) for row in await SQL.facts_of_session.fetch(connection, session=session)]


async def of_charge_point(connection: Any, charge_point: str, *, most: int) -> list[dict[str, Any]]:
    """The newest ones, the oldest of them first."""
    rows = await SQL.facts_of_charge_point.fetch(connection, charge_point=charge_point, most=most)
    return [_shown(row) for row in reversed(rows)]


def _shown(row: Record) -> dict[str, Any]:
    told = {name: value for name, value in row["told"].items() if value not in (None, False, [])}
    if row["samples"] is not None:
        told["samples"] = [_sample(sample) for sample in row["samples"]]
    return {
        "at": row["at"] or row["received_at"],
        "received_at": row["received_at"],
        "kind": row["kind"],
        "evse": row["evse"],
        "connector": row["connector"],
        "told": told,
    }


def _sample(sample: list[str | None]) -> dict[str, Any]:
    return {name: value for name, value in sample_from_row(sample)._asdict().items() if value is not None}


def in_a_line(told: Mapping[str, Any]) -> str:
    """For a table; lists of samples by their values alone."""
    return ", ".join(f"{name} {_short(value)}" for name, value in told.items())


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        sample = " ".join(str(value[name]) for name in ("value", "unit", "measurand") if name in value)
        return sample or str(dict(value))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "; ".join(_short(each) for each in value)
    return str(value)
