"""A customer's file in one place: what every room knows of it, the newest of each. Callers hold the connection; decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from billing.accounts import service
from billing.accounts.account import Account
from billing.accounts.sellers import today_at
from billing.accounts.store import SQL, HeldFor
from billing.archive.store import SQL as ARCHIVE
from billing.audit import service as audit
from billing.audit.entry import Entry
from billing.bills.bill import whole_wh
from billing.contracts.store import SQL as CONTRACTS
from billing.contracts.told import contract_row
from billing.invoices import service as invoices
from billing.invoices.rows import listed_row
from billing.ledger.balance import balances
from billing.ledger.entry import AccountKind
from billing.ledger.open_items import open_items
from billing.ledger.store import SQL as LEDGER
from billing.mail import operating
from billing.mail.operating import Filter
from billing.money import Money
from billing.sql import Connection

PERSONAL_KINDS: Final = (
    AccountKind.RECEIVABLE,
    AccountKind.INCENTIVE_RECEIVABLE,
    AccountKind.PAYABLE,
    AccountKind.WALLET,
    AccountKind.PLATFORM_FEE,
)
"""Accounts of the ledger whose owner is a customer or a partner."""
_DOCUMENT: Final = ("number", "kind", "form", "issued_on", "due_on", "net", "tax", "gross", "currency", "corrects")
_CONTRACT: Final = ("id", "title", "from", "last_day", "renewal", "currency", "subscriptions", "held")
_ARCHIVED: Final = ("id", "at", "subject", "kind", "media_type", "size_bytes", "retain_until", "held", "deleted_at")
_MAIL: Final = ("id", "key", "kind", "address", "state", "queued_at", "ended_at", "event")


@dataclass(frozen=True, slots=True)
class Part:
    """The newest of something, the oldest of them first. `rest`: the command that shows all, where there is more."""

    rows: Sequence[Mapping[str, object]]
    rest: str | None = None


async def parts_of(connection: Connection, account: Account, *, limit: int, now: datetime) -> dict[str, Part]:
    """What there is of a customer, by what it is; at most `limit` of each."""
    id_ = account.id
    held = await service.tokens_of(connection, id_)
    sellers = [row["seller"] for row in await SQL.books_with.fetch(connection, account=id_, seller=account.seller)]
    contracts = [
        contract_row(row) for row in await CONTRACTS.list_contracts.fetch(connection, account=id_, seller=None)
    ]
    documents = await invoices.list_documents(
        connection, seller=None, account=id_, kind=None, since=None, until=None, limit=limit + 1
    )
    stored = await ARCHIVE.list_entries.fetch(
        connection, id=None, subject=None, account=id_, kind=None, count=limit + 1
    )
    mails = await operating.list_deliveries(connection, Filter(account=id_, limit=limit + 1))
    changes = await newest_changes(connection, id_, limit=limit + 1)
    sessions = await service.sessions_of(connection, id_, limit=limit + 1)
    export = f"csms account export {id_}"
    return {
        "tokens": _part([held_row(each) for each in held], limit, export),
        "contracts": _part(
            [_chosen(row, _CONTRACT) for row in contracts], limit, f"csms contract list --account {id_}"
        ),
        "sessions": _part([session_row(row) for row in reversed(sessions)], limit, export),
        "documents": _part(
            [_chosen(listed_row(row), _DOCUMENT) for row in documents], limit, f"csms invoice list --account {id_}"
        ),
        **await _in_the_books(connection, id_, sellers, limit=limit, now=now),
        "changes": _part([change_row(each) for each in changes], limit, export),
        "archive": _part(
            [_chosen(dict(row), _ARCHIVED) for row in reversed(stored)], limit, f"csms archive list --account {id_}"
        ),
        "mails": _part([_chosen(row, _MAIL) for row in reversed(mails)], limit, f"csms mail list --account {id_}"),
    }


def _part(rows: Sequence[Mapping[str, object]], limit: int, rest: str) -> Part:
    return Part(rows[-limit:], rest if len(rows) > limit else None)


def _chosen(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, object]:
    return {name: row[name] for name in names}


async def _in_the_books(
    connection: Connection, id_: str, sellers: Sequence[str], *, limit: int, now: datetime
) -> dict[str, Part]:
    """Balance by account and currency, open items, postings: in the books of every seller that it has to do with."""
    sums, items, postings = [], [], []
    for seller in sellers:
        today = await today_at(connection, seller, now=now)
        sums += [
            {"seller": seller, **each.to_dict()}
            for each in await balances(connection, seller, as_of=today, owner=id_)
            if each.account.kind in PERSONAL_KINDS
        ]
        items += [
            {"seller": seller, **each.to_dict(today)}
            for each in await open_items(connection, seller, as_of=today, owner=id_)
        ]
        rows = await LEDGER.postings_on.fetch(
            connection, seller=seller, kind=None, owner=id_, document=None, entry=None, first=None, last=None,
            limit=limit + 1,
        )  # fmt: skip
        postings += [{"seller": seller, **posting_row(dict(row))} for row in rows if row["kind"] in PERSONAL_KINDS]
    books = "".join(f" --seller {seller}" for seller in sellers[:1])
    return {
        "balance": Part([{name: each for name, each in row.items() if name != "owner"} for row in sums]),
        "open_items": _part(
            [{name: each for name, each in row.items() if name != "owner"} for row in items],
            limit, f"csms report open-items --owner {id_}{books}",
        ),
        "postings": _part(postings, limit, f"csms ledger postings --owner {id_}{books}"),
    }  # fmt: skip


def posting_row(row: Mapping[str, Any]) -> dict[str, object]:
    minor, currency = row["amount_minor"], row["currency"]
    return {
        "entry": row["entry"],
        "booked_on": row["booked_on"],
        "fact": row["fact"],
        "account": row["kind"],
        "document": row["document"],
        "debit": Money(minor, currency).text if minor > 0 else None,
        "credit": Money(-minor, currency).text if minor < 0 else None,
        "currency": currency,
    }


async def newest_changes(connection: Connection, account: str, *, limit: int) -> list[Entry]:
    """The newest changes of the account, its tokens, contracts, drafts, documents and mails, the oldest of them first."""
    about = await SQL.changed_with.fetch(connection, account=account)
    found = await audit.newest_about(connection, [(row["noun"], row["subject"]) for row in about], limit=limit)
    return [each for each in found if each.noun != "document" or (each.after or {}).get("account") == account]


def change_row(entry: Entry) -> dict[str, object]:
    return {
        "id": entry.id,
        "at": entry.at,
        "actor": entry.actor,
        "action": f"{entry.noun} {entry.action}",
        "subject": entry.subject,
        "reason": entry.reason,
    }


def held_row(held: HeldFor) -> dict[str, object]:
    return {
        "token": held.holding.token,
        "valid_from": held.holding.valid_from,
        "valid_to": held.valid_to,
        **{name.value: text for name, text in held.holding.labels.items()},
    }


def session_row(row: Mapping[str, Any], *, full: bool = False) -> dict[str, object]:
    """A session with the bill that counts; `full` with what identifies who charged."""
    minor, currency, energy = row["total_incl_minor"], row["currency"], row["energy_wh"]
    shown = {
        "session": row["session"],
        "charge_point": row["charge_point"],
        "ended_at": row["ended_at"],
        "energy_wh": whole_wh(energy) if isinstance(energy, Decimal) else None,
        "total_incl_tax": None if minor is None or currency is None else Money(minor, currency).text,
        "currency": currency,
    }
    return shown | ({name: row[name] for name in ("token", "started_at", "kind")} if full else {})
