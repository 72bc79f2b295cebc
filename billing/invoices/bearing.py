"""What third parties bear of documents to others, and whose account that is on. Callers hold the connection.

A customer's document shows what a third party bears of it and leaves it out of what is due. The account that the party is -
by its own id, or by a name that was said for it - gets a document of its own on these parts in its rhythm: one line for each
document that it bears a part of, less for each credit note. A line is claimed by what it is for, like any other: once. What
nobody was asked for yet is a row of its own, written with the document and deleted with the claim. What is taken back of a
part that the party was asked for is credited on the line that asked.

No tax is in it: the tax of the whole price is on the documents of those who were supplied (Art. 73 of the VAT directive).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from billing.accounts import service as accounts
from billing.accounts.account import Account
from billing.invoices import words
from billing.invoices.charge import PricedCharge
from billing.invoices.composition import TaxedCharge
from billing.invoices.document import Document, LineKind, Tax, borne_item, borne_source
from billing.invoices.gathering import Owed
from billing.invoices.store import SQL
from billing.invoices.taking_back import TakenBack
from billing.money import Money
from billing.sql import Connection
from billing.taxes.tax_rule import Category

AT_ONCE_MAX: Final = 2_000
"""Parts on one document: more are on several."""
PIECE: Final = "C62"


@dataclass(frozen=True, slots=True)
class Bearer:
    """An account that is to be asked for what it bears in a currency."""

    account: Account
    currency: str


async def bearers(
    connection: Connection, *, seller: str, rhythms: Sequence[str] | None, account: str | None, until: date
) -> list[Bearer]:
    """Whose turn it is: accounts of a seller that bear parts of documents for days up to one, and were not asked for them."""
    rows = await SQL.bearers.fetch(connection, seller=seller, rhythms=rhythms, account=account, until=until)
    known = {each.id: each for each in await accounts.find(connection, ids=sorted({row["account"] for row in rows}))}
    return [Bearer(known[row["account"]], row["currency"]) for row in rows]


async def borne_by(connection: Connection, bearer: Bearer, *, until: date, after: int) -> tuple[Owed, int] | None:
    """The next parts that it bears, behind the document with the id `after`, and the id of the last of these documents."""
    account = bearer.account
    rows = await SQL.borne_parts.fetch(
        connection, account=account.id, currency=bearer.currency, until=until, after=after, limit=AT_ONCE_MAX
    )
    if not rows:
        return None
    taken_back = await _taken_back(connection, rows, account)
    charges = tuple(_charge(row, account) for row in rows if row["source"] not in taken_back)
    owed = Owed(
        account=account, currency=bearer.currency, charges=charges, taken_back=tuple(taken_back.values())
    )  # fmt: skip
    return owed, rows[-1]["id"]


async def no_longer_borne(connection: Connection, seller: str, account: Account, document: Document) -> list[TakenBack]:
    """What an account was told that it bears no longer, of the parts that a document asks it for."""
    parts = [borne_item(line.source) for line in document.lines if line.kind is LineKind.BORNE]
    rows = await SQL.no_longer_borne.fetch(
        connection, seller=seller, items=[item for item, _ in parts], parties=[party for _, party in parts]
    )
    return list((await _taken_back(connection, rows, account)).values())


async def _taken_back(connection: Connection, rows: Sequence[Any], account: Account) -> dict[str, TakenBack]:
    """By source, those parts below zero of what the account was asked for: they are credited where it was."""
    corrects = {
        row["source"]: borne_source(row["seller"], item, item, row["party"])
        for row in rows
        if row["minor"] < 0
        for item in [borne_item(row["source"])[0]]
    }
    lines = {
        line["source"]: line
        for line in await SQL.lines_by_source.fetch(connection, sources=sorted(set(corrects.values())))
    }
    return {
        row["source"]: TakenBack(
            source=row["source"], corrects=line["source"], account=account.id, currency=row["currency"],
            name=_name(row, account.language), days=None, invoice=line["invoice"], position=line["position"],
            before=Fraction(0), upto=Fraction(-row["minor"], line["gross_minor"]), is_borne=True,
        )
        for row in rows
        if (line := lines.get(corrects.get(row["source"], "")))
    }  # fmt: skip


def _name(row: Any, language: str) -> str:
    return words.BORNE[language].format(number=row["number"], day=words.day_in(language, row["issued_on"]))


def _charge(row: Any, account: Account) -> TaxedCharge:
    first, last = map(date.fromisoformat, json.loads(row["days"]))
    language = account.language
    tax = Tax(Category.OUT_OF_SCOPE.value, Decimal(0), words.BORNE_TAX[language], row["country"])
    return TaxedCharge(
        charge=PricedCharge(
            source=row["source"], kind=LineKind.BORNE, account=account.id,
            currency=row["currency"],
            name=_name(row, language), description=row["labels"], quantity=Decimal(1 if row["minor"] > 0 else -1), unit=PIECE,
            unit_price=Money(abs(row["minor"]), row["currency"]).decimal, price_with_tax=False, supply=LineKind.BORNE.value,
            country=row["country"], tax_point=last, due_on=row["issued_on"], days=(first, last),
        ),
        tax=tax,
    )  # fmt: skip
