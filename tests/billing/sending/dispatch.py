"""A business whose documents leave the house: books, customers with addresses, an archive, and mails read back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import asyncpg

from billing.accounts import brands, sellers
from billing.accounts import service as accounts
from billing.accounts.account import Account, AccountKind
from billing.accounts.brand import BrandDetails, SellersBrand
from billing.accounts.brands import Wanted as WantedBrand
from billing.archive.service import Archive
from billing.archive.verification import Report, verify
from billing.invoices import service as invoices
from billing.sending.attachments import ArchivedAttachments
from billing.sending.run import SendRun
from billing.sending.service import Sending
from billing.sending.told import Days, LeftOut, SendTally, Sent, Told, Wanted
from tests.billing.bills.world import BEFORE
from tests.billing.invoices.books import APRIL_1, MARCH, Books
from tests.billing.mail.mail_room import Got, Inbox, PostOffice, serving

ALL = Days(seller="north", since=MARCH, until=APRIL_1)
WHY = {"actor": "ada", "reason": "test"}


@dataclass
class Dispatch:
    pool: asyncpg.Pool
    directory: Path
    books: Books = field(init=False)

    def __post_init__(self) -> None:
        self.books = Books(self.pool)
        self.archive = Archive(self.directory)

    async def customer(
        self, id_: str, *tokens: str, email: str | None = None, kind: AccountKind = AccountKind.PRIVATE, **more: Any
    ) -> Account:
        account = await self.books.customer(id_, *tokens, kind=kind, **more)
        if email is None:
            return account
        return await self.changed(id_, invoice_email=email)

    async def changed(self, id_: str, *, invoice_email: str | None = None, **terms: Any) -> Account:
        def change(account: Account) -> Account:
            details = (
                account.details if invoice_email is None else replace(account.details, invoice_email=invoice_email)
            )
            return replace(account, details=details, **terms)

        async with self.pool.acquire() as connection:
            return await accounts.change(connection, id_, change, now=self.books.clock.now, **WHY)

    async def seller_with(self, **party: Any) -> None:
        async with self.pool.acquire() as connection:
            self.books.seller = await sellers.change(
                connection, "north", lambda details: replace(details, party=replace(details.party, **party)),
                now=self.books.clock.now, **WHY,
            )  # fmt: skip

    async def brand(self, id_: str, *, files: dict[str, bytes] | None = None, **details: Any) -> None:
        made = SellersBrand(id=id_, seller="north", details=BrandDetails(**{"name": id_.title(), **details}))
        async with self.pool.acquire() as connection:
            await brands.create(connection, WantedBrand(brand=made, files=files or {}), now=BEFORE, **WHY)

    async def credited(self, number: str) -> str:
        async with self.pool.acquire() as connection:
            note = await invoices.credit_invoice(
                connection, number, issued_on=APRIL_1, now=self.books.clock.now, actor="ada", reason="broken display"
            )
        return note.document.number

    def sending(self, **wanted: Any) -> Sending:
        return Sending(self.pool, self.archive, Wanted(**{"actor": "ada", **wanted}), clock=self.books.clock)

    async def send(self, *numbers: str, workers: int = 2, **wanted: Any) -> tuple[list[Told], SendTally]:
        """Those of these numbers, or all; what was told of each, by number."""
        which: Days | Sequence[int] = ALL
        if numbers:
            async with self.pool.acquire() as connection:
                which = [(await invoices.get(connection, each)).id for each in numbers]
        told: list[Told] = []
        run = SendRun(self.pool, self.sending(**wanted), which, on_told=told.append, workers=workers)
        tally = await run.run()
        return sorted(told, key=lambda each: each.number), tally

    async def delivered(self, inbox: Inbox) -> list[Got]:
        """What comes when all that is queued goes out, each with what the archive has."""
        office = PostOffice(self.pool)
        async with serving(inbox) as port:
            service = office.service(port, fetch=ArchivedAttachments(self.directory))
            while await service.sweep():
                pass
        return sorted(inbox.got, key=lambda each: str(each.mail["Subject"]))

    async def findings(self) -> list[dict[str, object]]:
        """What is wrong in the archive."""
        report = Report()
        async with self.pool.acquire() as connection:
            await verify(connection, self.archive, report, lambda _: None)
        return [each.to_dict() for each in report.findings]


def sent(told: Sequence[Told]) -> dict[str, str]:
    """Which number went to which address."""
    return {each.number: each.address for each in told if isinstance(each, Sent)}


def left_out(told: Sequence[Told]) -> dict[str, str]:
    """Which number was left out, and why."""
    return {each.number: each.why for each in told if isinstance(each, LeftOut)}


def attached(got: Got) -> dict[str, bytes]:
    """The files of a mail by name."""
    return {str(part.get_filename()): part.get_payload(decode=True) for part in got.mail.iter_attachments()}


def body(got: Got) -> str:
    part = got.mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


@asynccontextmanager
async def cut_off(pool: asyncpg.Pool, *, after: int) -> AsyncIterator[None]:
    """Every connection of the pool breaks with its `after`-th statement, counted over all of them."""
    seen = 0
    held: list[Any] = [await pool.acquire() for _ in range(pool.get_size())]
    inner = [each._con for each in held]

    def count(_record: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == after:
            for each in inner:
                each.terminate()

    for each, connection in zip(held, inner, strict=True):
        connection.add_query_logger(count)
        await pool.release(each)
    try:
        yield
    finally:
        for connection in inner:
            connection.remove_query_logger(count)
