"""All that is kept of a customer, row by row: what a right of access is answered with (GDPR Art. 15). Callers hold the connection.

Readings of meters are not in it: each session says what was billed of them.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from billing.accounts import service
from billing.accounts.account import Account
from billing.accounts.customer_file import PERSONAL_KINDS, change_row, held_row, newest_changes
from billing.accounts.store import SQL
from billing.audit import service as audit
from billing.contracts import store as contracts
from billing.contracts.store import SQL as CONTRACTS
from billing.contracts.store import charge_of
from billing.contracts.told import contract_sheet, item_row, milestone_row, order_row
from billing.sql import Connection

Row = Mapping[str, object]
PARTS: Final = (
    "tokens", "contracts", "sessions", "bills", "documents", "drafts", "postings", "archive", "mails", "changes",
)  # fmt: skip
CHANGES_MAX: Final = 1_000_000
_AS_JSON: Final = frozenset({"body", "detail", "lines", "events"})


async def exported(connection: Connection, account: Account) -> AsyncIterator[tuple[str, Row]]:
    """Each row with the part that it belongs to, part after part; as of one moment, in a transaction of its own."""
    id_ = account.id
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        for held in await service.tokens_of(connection, id_):
            yield "tokens", held_row(held)
        async for contract in _contracts(connection, id_):
            yield "contracts", contract
        for part, query in _cursors(id_).items():
            async for row in query[0].cursor(connection, **query[1]):
                yield part, _read(part, row)
        async for change in _changes(connection, id_):
            yield "changes", change


def _cursors(id_: str) -> dict[str, tuple[Any, dict[str, Any]]]:
    kinds = [each.value for each in PERSONAL_KINDS]
    return {
        "sessions": (SQL.exported_sessions, {"account": id_}),
        "bills": (SQL.exported_bills, {"account": id_}),
        "documents": (SQL.exported_documents, {"account": id_}),
        "drafts": (SQL.exported_drafts, {"account": id_}),
        "postings": (SQL.exported_postings, {"account": id_, "kinds": kinds}),
        "archive": (SQL.exported_archive, {"account": id_}),
        "mails": (SQL.exported_mails, {"account": id_}),
    }


def _read(part: str, row: Mapping[str, Any]) -> dict[str, object]:
    read = {name: json.loads(value) if name in _AS_JSON and value is not None else value for name, value in row.items()}
    if part == "documents":
        lines = read.pop("lines")
        read["document"] = {**read.pop("body"), "lines": lines}
    return read


async def _contracts(connection: Connection, id_: str) -> AsyncIterator[Row]:
    for row in await CONTRACTS.list_contracts.fetch(connection, account=id_, seller=None):
        [loaded] = await contracts.load(connection, [row["id"]], since=row["starts_on"])
        items = await CONTRACTS.list_items.fetch(connection, contract=row["id"], id=None)
        parts = await CONTRACTS.list_milestones.fetch(connection, contract=row["id"], id=None)
        orders = await CONTRACTS.charges_of.fetch(connection, contract=row["id"])
        yield contract_sheet(loaded, []) | {
            "items": [item_row(each) for each in items],
            "milestones": [milestone_row(each) for each in parts],
            "orders": [order_row(charge_of(each), each) for each in orders],
        }


async def _changes(connection: Connection, id_: str) -> AsyncIterator[Row]:
    found = await newest_changes(connection, id_, limit=CHANGES_MAX)
    kept = await audit.personal_of(connection, [each.id for each in found], account=id_)
    for each in found:
        yield change_row(each) | {
            "before": each.before,
            "after": each.after,
            "personal": {values.side: values.body for values in kept.get(each.id, ())},
        }
