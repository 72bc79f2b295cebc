"""A small business with books: sessions become bills by the real service, and documents by the real run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg

from billing.accounts import sellers
from billing.accounts import service as accounts
from billing.accounts.account import Account, AccountDetails, AccountKind, Rhythm
from billing.accounts.seller import Seller, SellerDetails
from billing.bills.rerating import rerate
from billing.bills.service import BillingService, BillingSettings
from billing.invoices import service
from billing.invoices.document import Address, BankAccount, Document, GroupBy, Party
from billing.invoices.run import InvoiceRun, Made, RunWanted, Tally
from billing.invoices.store import Issued
from tests.billing.bills.conftest import Clock
from tests.billing.bills.world import BEFORE, NOON, TableSource, World, tariff_file

MARCH = date(2026, 3, 31)
APRIL_1 = date(2026, 4, 1)
NORTH = Seller(
    id="north",
    details=SellerDetails(
        party=Party(
            name="Northern Example Energy GmbH",
            address=Address(street="Kai 1", postal_code="20457", city="Hamburg", country="DE"),
            vat_id="DE136695976",
        ),
        bank=BankAccount(iban="DE89370400440532013000", holder="Northern Example Energy GmbH"),
    ),
)
DOK = Address(street="Dok 2", city="Utrecht", country="NL")


@dataclass
class Books:
    pool: asyncpg.Pool
    clock: Clock = field(default_factory=lambda: Clock(datetime(2026, 4, 1, 8, tzinfo=UTC)))
    source: TableSource = field(default_factory=TableSource)
    seller: Seller = NORTH

    def __post_init__(self) -> None:
        self.world = World(self.pool)
        settings = BillingSettings(sweep_interval_s=0.01, batch_size=200)
        self.billing = BillingService(self.pool, self.source, settings, on_bill=lambda _: None, clock=self.clock)

    async def open(self) -> None:
        await self.world.site()
        await self.world.charge_point()
        await self.world.tariff(tariff_file(price="0.50"))
        async with self.pool.acquire() as connection:
            await sellers.create(connection, NORTH, now=BEFORE, actor="ada", reason="first")
            await sellers.sell_at(
                connection, "depot", "north", valid_from=BEFORE, now=BEFORE, actor="ada", reason="first"
            )

    async def customer(
        self,
        id_: str,
        *tokens: str,
        kind: AccountKind = AccountKind.PRIVATE,
        labels: dict[GroupBy, str] | None = None,
        **more: Any,
    ) -> Account:
        """A private customer, or a business in Utrecht; its tokens are its since long ago."""
        address = None if kind is AccountKind.PRIVATE else DOK
        details = AccountDetails(party=Party(name=f"Example {id_}", address=address))
        account = Account(id=id_, seller="north", kind=kind, details=details, **{"rhythm": Rhythm.MONTH, **more})
        async with self.pool.acquire() as connection:
            await accounts.create(connection, account, now=BEFORE, actor="ada", reason="new")
        for token in tokens:
            await self.world.token(token)
            async with self.pool.acquire() as connection:
                await accounts.give_token(
                    connection,
                    id_,
                    token,
                    labels=labels or {},
                    valid_from=BEFORE,
                    now=BEFORE,
                    actor="ada",
                    reason="new",
                )
        return account

    async def charged(self, token: str | None, *, kwh: int | str = 10, day: int = 2, month: int = 3) -> int:
        """A session of an hour at noon with its final bill."""
        start = NOON.replace(day=day, month=month)
        end = start + timedelta(hours=1)
        self.clock.now = max(self.clock.now, end + timedelta(hours=1))
        session = await self.world.session(
            token=token, started_at=start, ended_at=end, complete_at=end, energy_wh=Decimal(kwh) * 1000
        )
        await self.billing.drain()
        return session

    async def rerated(self, session: int, *, kwh: int | str) -> None:
        """Facts that came late, and the operator's word that they count."""
        await self.world.change(session, energy_wh=Decimal(kwh) * 1000)
        await self.billing.drain()
        async with self.pool.acquire() as connection, connection.transaction():
            await rerate(connection, self.source, session, now=self.clock.now, reason="late facts", actor="ada")

    async def run(
        self,
        *,
        until: date = MARCH,
        issued_on: date = APRIL_1,
        on_made: Callable[[Made], None] | None = None,
        workers: int = 2,
        **more: Any,
    ) -> tuple[list[Made], Tally]:
        made: list[Made] = []
        run = InvoiceRun(
            self.pool, RunWanted(seller=self.seller, until=until, issued_on=issued_on, **more), clock=self.clock, actor="ada",
            reason="month", on_made=on_made or made.append, workers=workers,
        )  # fmt: skip
        return made, await run.run()

    async def documents(self) -> list[Document]:
        """All that were issued, in the order of their ids."""
        return [each.document for each in await self.issued()]

    async def issued(self) -> list[Issued]:
        async with self.pool.acquire() as connection:
            rows = await connection.fetch("SELECT number, seller FROM invoice ORDER BY id")
            return [await service.get(connection, row["number"], seller=row["seller"]) for row in rows]

    async def problems(self) -> list[str]:
        async with self.pool.acquire() as connection:
            found = [each async for each in service.verify(connection)]
        return [f"{each.number}: {each.problem}" for each in found if isinstance(each, service.Finding)]
