"""Sending a document: its files into the archive, its mail into the queue, in one transaction and exactly once.

Files are made before the transaction, since that takes long; whatever is killed at whatever moment, either the archive, the
queue and the books know of the sending, or none of them does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from billing.accounts import service as accounts
from billing.accounts.account import Account
from billing.accounts.brands import Looks
from billing.archive.service import Archive
from billing.errors import NotDone
from billing.invoices import paper, store
from billing.invoices.filed import MadeFile, forms_for
from billing.invoices.store import Issued
from billing.mail.address import compared
from billing.mail.queueing import queue
from billing.mail.store import SQL as MAIL
from billing.sending.letter import CannotBeSent, address_of, letter_of
from billing.sending.told import LeftOut, Sent, SentBefore, Told, Wanted
from billing.sql import Connection, Queries

if TYPE_CHECKING:
    from billing.accounts.brand import BrandMail
    from billing.documents.brand import Brand
    from billing.documents.press import Press

SQL: Final = Queries.load("billing.sending")
LOCK_KEY: Final = 0x73656E64
"""Of the advisory locks of documents that are sent, with their ids ("send" in ASCII)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Envelope:
    """All that is known of a document before its files are made."""

    issued: Issued
    to: Account
    looks: Brand
    mail: BrandMail | None
    forms: tuple[str, ...]
    missing: tuple[str, ...]


class Sending:
    """Sends documents, one at each call; several calls may go beside each other, each with a press of its own."""

    def __init__(
        self, pool: asyncpg.Pool[Any], archive: Archive, wanted: Wanted, *, clock: Callable[[], datetime]
    ) -> None:
        self._pool = pool
        self._archive = archive
        self._wanted = wanted
        self._clock = clock
        self._looks = Looks()

    async def send(self, invoice: int, press: Press, *, beside: Callable[[Connection], Any] | None = None) -> Told:
        """Send the document with this id, or say why not. `beside` is done in the same transaction.

        Raises:
            Unavailable: the archive cannot be written; no other document could be sent either.
        """
        async with self._pool.acquire() as connection:
            envelope = await self._envelope(connection, invoice)
        if not isinstance(envelope, _Envelope):
            return envelope
        number, account = envelope.issued.document.number, envelope.to.id
        try:
            made = await asyncio.to_thread(paper.make, envelope.issued, envelope.looks, envelope.missing, press)
        except NotDone as wrong:
            return LeftOut(number=number, account=account, why=wrong.message, next_step=wrong.next_step)
        if self._wanted.dry_run:
            address = address_of(envelope.to).address
            return Sent(number=number, account=account, address=address, files=len(envelope.forms), message=None)
        async with self._pool.acquire() as connection, connection.transaction():
            told = await self._enter(connection, envelope, made)
            if beside is not None:
                await beside(connection)
        return told

    async def settle(self) -> None:
        """Tidy the archive up: to be called now and then, and at the end."""
        async with self._pool.acquire() as connection:
            await self._archive.settle(connection)

    async def _envelope(self, connection: Connection, invoice: int) -> _Envelope | SentBefore | LeftOut:
        rows = await store.SQL.invoice_of_id.fetch(connection, id=invoice)
        [issued] = await store.read_documents(connection, rows)
        document = issued.document
        last = await SQL.last_sending.fetchrow(connection, invoice=invoice)
        if last is not None and not self._wanted.again:
            return SentBefore(number=document.number, account=document.account, at=last["at"])
        if document.account is None:
            return LeftOut(
                number=document.number, account=None, why="it is a receipt, of nobody that we know",
                next_step=f"csms invoice render {document.number} writes its PDF",
            )  # fmt: skip
        to = await self._addressee(connection, document.account)
        try:
            await _require_reachable(connection, to)
        except CannotBeSent as why:
            return LeftOut(number=document.number, account=to.id, why=str(why), next_step=why.next_step)
        brand = None if document.brand is None else (await self._looks.of(connection, document.brand))[0]
        known = await paper.files_of(connection, issued)
        forms = forms_for(to.e_invoice)
        return _Envelope(
            issued=issued,
            to=to,
            looks=await paper.brand_of(connection, issued, self._looks),
            mail=None if brand is None else brand.details.mail,
            forms=forms,
            missing=tuple(form for form in forms if form not in known),
        )

    async def _addressee(self, connection: Connection, id_: str) -> Account:
        """Who receives an account's documents in its place, or itself."""
        account = await accounts.get(connection, id_)
        return account if account.payer is None else await accounts.get(connection, account.payer)

    async def _enter(self, connection: Connection, envelope: _Envelope, made: list[MadeFile]) -> Told:
        issued, to, wanted = envelope.issued, envelope.to, self._wanted
        number = issued.document.number
        await SQL.lock_sending.execute(connection, key=LOCK_KEY, invoice=issued.id)
        last = await SQL.last_sending.fetchrow(connection, invoice=issued.id)
        if last is not None and not wanted.again:  # somebody else was faster
            return SentBefore(number=number, account=to.id, at=last["at"])
        assert issued.document.account is not None, "receipts were left out"
        if await self._addressee(connection, issued.document.account) != to:
            return LeftOut(
                number=number, account=to.id, why=f"account {to.id} was changed while its document was made",
                next_step=f"csms invoice send {number}",
            )  # fmt: skip
        n = 1 if last is None else last["n"] + 1
        now = self._clock()
        filed = await paper.enter(connection, self._archive, issued, made, now=now, actor=wanted.actor)
        files = [filed[form] for form in envelope.forms]
        message = letter_of(
            issued.document, seller=issued.seller, n=n, to=to, looks=envelope.looks, mail=envelope.mail, files=files
        )
        [queued] = await queue(connection, [message])
        assert queued.is_new, f"nobody else queues a mail called {message.key}"
        await SQL.insert_sending.execute(
            connection, invoice=issued.id, n=n, message=queued.message, account=to.id,
            entries=[each.entry for each in files], actor=wanted.actor, reason=wanted.reason, now=now,
        )  # fmt: skip
        [box] = message.to
        return Sent(number=number, account=to.id, address=box.address, files=len(files), message=queued.message)


async def _require_reachable(connection: Connection, to: Account) -> None:
    """Raises:
    CannotBeSent: it has no address, or mail servers have said that there is nobody.
    """
    box = address_of(to)
    if await MAIL.is_suppressed.fetchval(connection, address=compared(box.address)):
        raise CannotBeSent(
            f"account {to.id}: mail servers have said that there is nobody at its address",
            f"csms account set {to.id} --invoice-email ADDRESS, or csms mail suppression lift",
        )
