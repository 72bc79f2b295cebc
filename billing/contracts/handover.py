"""Charges of contracts on their way to a document: handed over as long as they are on none, and never on two."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction

import asyncpg

from billing.contracts.contract_charge import Addressee, priced
from billing.contracts.store import SQL, Row, charge_of
from billing.errors import AlreadyDone, NotFound
from billing.invoices.charge import PricedCharge
from billing.sql import Connection


async def due_charges(
    connection: Connection, *, until: date, accounts: Collection[str] | None = None, seller: str | None = None
) -> list[PricedCharge]:
    """What is to be invoiced: due by a day of the customers' own calendars, on no document and not cancelled.

    Of some accounts, of a seller, or of all; by account, day and source. What has not been accrued yet is not in it:
    see accruing.accrue.
    """
    rows = await SQL.due_charges.fetch(
        connection, until=until, accounts=None if accounts is None else sorted(accounts), seller=seller
    )
    return [
        priced(charge_of(row), Addressee(account=row["account"], labels=json.loads(row["grouped"]))) for row in rows
    ]


async def taken_back_of(connection: Connection, sources: Collection[str]) -> dict[str, tuple[Fraction, Fraction]]:
    """How much is taken back of what these charges below zero correct: before each of them, and with it. Parts of one."""
    found = {}
    for row in await SQL.taken_back_of.fetch(connection, sources=sorted(sources)):
        if row["whole"] > 0:
            before, taken = min(row["before"], row["whole"]), row["taken"]
            found[row["source"]] = (
                Fraction(before, row["whole"]), Fraction(min(before + taken, row["whole"]), row["whole"])
            )  # fmt: skip
    return found


async def settled_takings_back(connection: Connection, sources: Collection[str]) -> list[PricedCharge]:
    """Charges below zero that took something back of these on the document where they were charged; the first one first."""
    rows = await SQL.settled_takings_back.fetch(connection, sources=sorted(sources))
    return [
        priced(charge_of(row), Addressee(account=row["account"], labels=json.loads(row["grouped"]))) for row in rows
    ]


async def mark_invoiced(
    connection: Connection, sources: Collection[str], *, document: str, actor: str, now: datetime
) -> None:
    """These charges are on a document now, for ever. Call it in the transaction that issues it.

    Raises:
        NotFound: there is no such charge.
        AlreadyDone: one is on a document, or was cancelled.
    """
    await _decide(connection, sources, fate="invoiced", document=document, actor=actor, now=now)


async def cancel(connection: Connection, sources: Collection[str], *, actor: str, now: datetime) -> None:
    """These charges will be on no document.

    Raises:
        NotFound: there is no such charge.
        AlreadyDone: one is on a document, or was cancelled.
    """
    await _decide(connection, sources, fate="cancelled", document=None, actor=actor, now=now)


async def _decide(
    connection: Connection, sources: Collection[str], *, fate: str, document: str | None, actor: str, now: datetime
) -> None:
    known = {row["source"]: row for row in await SQL.fates_of.fetch(connection, sources=sorted(sources))}
    unknown = sorted(set(sources) - known.keys())
    if unknown:
        raise NotFound(f"no charge {unknown[0]}", "see what is due with csms contract orders")
    _require_none([row for row in known.values() if row["fate"] is not None])
    try:
        async with connection.transaction():
            await SQL.insert_fates.execute(
                connection, sources=sorted(sources), fate=fate, document=document, actor=actor, at=now
            )
    except asyncpg.UniqueViolationError:  # somebody else was faster
        _require_none(
            [row for row in await SQL.fates_of.fetch(connection, sources=sorted(sources)) if row["fate"] is not None]
        )
        raise


def _require_none(decided: Sequence[Row]) -> None:
    if decided:
        first = decided[0]
        what = "was cancelled" if first["fate"] == "cancelled" else f"is on document {first['document']}"
        raise AlreadyDone(f"charge {first['source']} {what}", "leave it out")


@dataclass(frozen=True, slots=True, kw_only=True)
class DueReminder:
    """Somebody is to be reminded of a deadline of a contract. `remind_on`: from when on."""

    id: int
    contract: str
    title: str
    account: str
    seller: str
    kind: str
    about: str
    deadline_on: date
    remind_on: date
    sent_at: datetime | None

    def to_dict(self) -> dict[str, object]:
        return {
            "id": self.id, "contract": self.contract, "title": self.title, "account": self.account, "kind": self.kind,
            "about": self.about, "deadline_on": self.deadline_on, "remind_on": self.remind_on, "sent_at": self.sent_at,
        }  # fmt: skip


async def due_reminders(connection: Connection, *, until: date, contract: str | None = None) -> list[DueReminder]:
    """What somebody is to be told by a day and was not told yet; the nearest deadline first."""
    return [_reminder(row) for row in await SQL.due_reminders.fetch(connection, until=until, contract=contract)]


async def list_reminders(connection: Connection, *, contract: str | None = None) -> list[DueReminder]:
    """Every reminder there has been, sent ones too."""
    return [_reminder(row) for row in await SQL.list_reminders.fetch(connection, contract=contract)]


async def mark_reminded(connection: Connection, ids: Collection[int], *, now: datetime) -> list[int]:
    """These were sent. Returns those that nobody else has sent before."""
    return [row["id"] for row in await SQL.mark_reminded.fetch(connection, ids=sorted(ids), sent_at=now)]


def _reminder(row: Row) -> DueReminder:
    names = (
        "id", "contract", "title", "account", "seller", "kind", "about", "deadline_on", "remind_on", "sent_at",
    )  # fmt: skip
    return DueReminder(**{name: row[name] for name in names})
