"""The books of `csms demo`: a fictitious seller with two customers, and the end of their month as an operator makes it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import asyncpg

from billing.accounts import sellers
from billing.accounts import service as accounts
from billing.accounts.account import Account, AccountDetails, AccountKind
from billing.accounts.seller import Seller, SellerDetails
from billing.archive.service import Archive
from billing.documents.press import Press
from billing.invoices import service as invoices
from billing.invoices.document import Address, BankAccount, Party
from billing.invoices.paper import archived
from billing.invoices.rows import short_row
from billing.invoices.run import InvoiceRun, Made, RunWanted
from billing.invoices.store import Issued
from billing.ledger import close
from billing.ledger.balance import balances
from billing.ledger.check import check
from billing.ledger.close import Closing
from billing.ledger.month import is_over, last_day, month_of
from billing.sql import Connection

ACTOR: Final = "csms demo"
REASON: Final = "demo"
MAY_WAIT: Final = frozenset({"sessions_held"})
"""What the demo holds for a person stays held."""
ZONE: Final = "Europe/Berlin"
ONE_EURO: Final = 100
_DAY: Final = timedelta(days=1)

SELLER: Final = Seller(
    id="example",
    details=SellerDetails(
        party=Party(
            name="Example Charging GmbH",
            address=Address(street="Musterkai 1", postal_code="20457", city="Hamburg", country="DE"),
            vat_id="DE136695976",
            email="billing@charging.example",
        ),
        bank=BankAccount(iban="DE89370400440532013000", holder="Example Charging GmbH"),
        footer="A demonstration: nobody sold anything, nothing is to be paid",
    ),
)
PRIVATE, FLEET = "C-1001", "C-2001"
_CUSTOMERS: Final = (
    Account(
        id=PRIVATE,
        seller=SELLER.id,
        kind=AccountKind.PRIVATE,
        details=AccountDetails(party=Party(name="Erika Example", address=None)),
        time_zone=ZONE,
    ),
    Account(
        id=FLEET,
        seller=SELLER.id,
        kind=AccountKind.FLEET,
        details=AccountDetails(
            party=Party(
                name="Example Parcels GmbH",
                address=Address(street="Probeweg 2", postal_code="28195", city="Bremen", country="DE"),
            )
        ),
        language="de",
        time_zone=ZONE,
    ),
)


def last_day_over(now: datetime) -> date:
    """The last day of the newest month that has ended everywhere on earth."""
    day = month_of(now.date()) - _DAY
    return day if is_over(month_of(day), now) else month_of(day) - _DAY


async def open_books(
    connection: Connection, *, sites: Collection[str], cards: Mapping[str, str], since: datetime, now: datetime
) -> None:
    """A seller that sells at these sites, and customers who pay for these cards: card -> account; all from `since` on."""
    said: dict[str, Any] = {"now": now, "actor": ACTOR, "reason": REASON}
    await sellers.create(connection, SELLER, **said)
    for site in sites:
        await sellers.sell_at(connection, site, SELLER.id, valid_from=since, **said)
    for each in _CUSTOMERS:
        await accounts.create(connection, each, **said)
    for card, account in cards.items():
        await accounts.give_token(connection, account, card, labels={}, valid_from=since, **said)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedMonth:
    """A month behind its lock. Rows are as the commands print them; `left_out` and `findings` are empty where all is well."""

    month: date
    documents: Sequence[Mapping[str, object]]
    papers: Sequence[Path]
    """The PDF of each document."""
    checks: Sequence[Mapping[str, object]]
    balances: Sequence[Mapping[str, object]]
    left_out: Sequence[str]
    findings: Sequence[str]


async def close_month(pool: asyncpg.Pool[Any], day: date, *, archive: Path, papers: Path, now: datetime) -> ClosedMonth:
    """Invoice the month in which a day lies, give one euro back, put all on paper, and lock the month.

    Raises:
        Refused: something stands in the way of the lock.
    """
    month = month_of(day)
    made = await _invoiced(pool, month, now=now)
    async with pool.acquire() as connection:
        await _credited(connection, on=last_day(month), now=now)
        issued = await _issued(connection)
        paths = await _on_paper(connection, issued, Archive(archive), papers, now=now)
        closing = Closing(connection=connection, seller=SELLER.id, month=month, now=now, actor=ACTOR)
        checks = await close.checklist(closing, accepted=MAY_WAIT)
        await close.lock(closing, reason=REASON, accepted=MAY_WAIT)
        booked = await balances(connection, SELLER.id, as_of=last_day(month))
        wrong = [f"{each.check} {each.subject}" for each in await check(connection, SELLER.id)]
    return ClosedMonth(
        month=month,
        documents=[short_row(each.document) for each in issued],
        papers=paths,
        checks=[each.to_dict() for each in checks],
        balances=[each.to_dict() for each in booked],
        left_out=[each.left_out for each in made if each.left_out is not None],
        findings=wrong,
    )


async def _invoiced(pool: asyncpg.Pool[Any], month: date, *, now: datetime) -> list[Made]:
    made: list[Made] = []
    wanted = RunWanted(seller=SELLER, until=last_day(month), issued_on=last_day(month), time_zone=ZONE)
    run = InvoiceRun(
        pool, wanted, clock=lambda: now, actor=ACTOR, reason=REASON, on_made=made.append,
        workers=1,  # numbers go by account, each time alike
    )  # fmt: skip
    await run.run()
    return made


async def _credited(connection: Connection, *, on: date, now: datetime) -> None:
    """One euro of the first session that the private customer was charged for."""
    for each in await _issued(connection):
        if each.document.account == PRIVATE:
            line = next(line for line in each.document.lines if line.gross_minor >= ONE_EURO)
            await invoices.credit_invoice(
                connection, each.document.number, wanted={line.position: ONE_EURO}, issued_on=on, now=now, actor=ACTOR,
                reason="The display was broken",
            )  # fmt: skip


async def _issued(connection: Connection) -> list[Issued]:
    rows = await invoices.list_documents(
        connection, seller=SELLER.id, account=None, kind=None, since=None, until=None, limit=1000
    )
    return [await invoices.get(connection, row["number"], seller=SELLER.id) for row in rows]


async def _on_paper(
    connection: Connection, issued: Sequence[Issued], archive: Archive, place: Path, *, now: datetime
) -> list[Path]:
    press, paths = Press(), []
    for each in issued:
        pdf, _ = await archived(connection, archive, each, press, now=now, actor=ACTOR)
        paths.append(await asyncio.to_thread(_written, pdf, place, f"{each.document.number}.pdf"))
    return paths


def _written(pdf: bytes, place: Path, name: str) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    path = place / name
    with path.open("xb") as file:
        file.write(pdf)
    return path
