"""A contract as it is read, and as it is held by whoever changes it."""

from __future__ import annotations

import json
from datetime import date
from typing import Any, Final

from billing.contracts import store
from billing.contracts.accruing import today_in
from billing.contracts.changes import Act
from billing.contracts.store import SQL, Loaded
from billing.errors import NotFound
from billing.sql import Connection

LOOK_AGAIN: Final = date.min
"""From when on a changed contract is to be looked at: at once."""


async def require(connection: Connection, id_: str, act: Act) -> Loaded:
    """A contract as it stands.

    Raises:
        NotFound: there is none of this id.
    """
    found = await store.load(connection, [id_], since=act.now.date())
    if not found:
        raise NotFound(f"no contract {id_}", "list them with csms contract list")
    return found[0]


async def locked(connection: Connection, id_: str, act: Act) -> Loaded:
    """A contract that nobody else changes until the transaction ends; it will be looked at again.

    Raises:
        NotFound: there is none of this id.
    """
    await SQL.lock_contract.execute(connection, id=id_, next_on=LOOK_AGAIN)
    return await require(connection, id_, act)


def told(loaded: Loaded) -> dict[str, object]:
    """A contract's own words, as the log of changes keeps them."""
    row = loaded.row
    names = (
        "account", "title", "reference", "currency", "price_with_tax", "country", "starts_on", "until_day", "renewal", "term",
        "renewal_length", "notice", "to_month_end", "noticed_on", "template",
    )  # fmt: skip
    own = {name: plain(row[name]) for name in names}
    return own | {name: json.loads(row[f"{name}_json"]) for name in ("labels", "partners", "reminders")}


def plain(value: Any) -> object:
    return value.isoformat() if isinstance(value, date) else value


def today_of(loaded: Loaded, act: Act) -> date:
    """The day that the customer's calendar shows now."""
    return today_in(loaded.standing.time_zone, act.now)
