"""An invoice is issued anew: taken back, and the same lines on a new document with what is known of its parties by now."""

from __future__ import annotations

from datetime import date, datetime

from billing.accounts import sellers
from billing.accounts import service as accounts
from billing.accounts.account import Account, AccountState
from billing.audit import service as audit
from billing.audit.entry import Change
from billing.bills.transaction import one_act
from billing.errors import AlreadyDone, Refused
from billing.invoices import service, store
from billing.invoices.document import Document, DocumentForm, DocumentKind
from billing.invoices.drafting import CannotBeIssued, issued_anew
from billing.invoices.issuing import Prepared, issue, replacing
from billing.invoices.self_billing import require_agreement, require_rules
from billing.invoices.service import Corrected
from billing.invoices.store import SQL, Issued
from billing.sql import Connection


@one_act
async def reissue(
    connection: Connection,
    number: str,
    *,
    seller: str | None = None,
    issued_on: date,
    now: datetime,
    actor: str,
    reason: str,
) -> Corrected:
    """Take an invoice back if that was not done, and issue it anew: one act, or nothing. Once for each document.

    Lines, amounts and taxes are as they were; seller, customer, references, brand and bank account as they are by now. What
    is charged stays claimed all the time: no run takes it.

    Raises:
        NotFound: no such document.
        AlreadyDone: it was issued anew before.
        Refused: it is no invoice, a part of it was credited, a session on it was billed anew, or the new one would lack
            something.
    """
    why = audit.require_reason(reason)
    async with connection.transaction():
        old = await service.get(connection, number, seller=seller)
        await service.lock(connection, old)
        await _require_possible(connection, old)
        note = None
        if any((await service.remaining_of(connection, old)).values()):
            note = await service.credit_in(connection, old, None, issued_on=issued_on, now=now, actor=actor, reason=why)
        document = await _anew(connection, old, issued_on)
        prepared = Prepared(seller=old.seller, document=document, replaces=replacing(old.seller, number))
        made = await issue(connection, prepared, now=now, actor=actor, reason=why)
        said = {
            "seller": old.seller, "account": old.document.account, "invoice": made.document.number,
            "credit_note": None if note is None else note.document.number,
        }  # fmt: skip
        change = Change(noun="document", subject=number, action="reissue", after=said)
        await audit.record(connection, [change], now=now, actor=actor, reason=why)
    return Corrected(credit_note=note, invoice=made)


async def _require_possible(connection: Connection, old: Issued) -> None:
    number = old.document.number
    if old.document.kind is not DocumentKind.INVOICE:
        raise Refused(
            f"{number} is a credit note", "issue anew what it takes back: csms credit reissue of that invoice"
        )
    after = await SQL.replaced_by.fetchval(connection, invoice=old.id, replaces=replacing(old.seller, number))
    if after is not None:
        raise AlreadyDone(f"{number} was issued anew as {after}", f"csms credit reissue {after} does it once more")
    taken = await store.credited(connection, old.id, old.document)
    left = await service.remaining_of(connection, old)
    if any(left.values()) and any(taken.lines.values()):
        raise Refused(
            f"a part of {number} was credited",
            f"take back the rest with csms credit create {number}, issue it anew, and credit that part there",
        )


async def _anew(connection: Connection, old: Issued, issued_on: date) -> Document:
    seller = await sellers.get(connection, old.seller)
    account = None if old.document.account is None else await accounts.get(connection, old.document.account)
    _require_known(account)
    try:
        document = issued_anew(old.document, seller, account, issued_on)
    except CannotBeIssued as why:
        raise Refused(str(why), why.next_step) from why
    if document.form is DocumentForm.SELF_BILLED:
        assert account is not None, "partners have accounts"
        require_agreement(account, issued_on)
        require_rules(document, account)
    return document


def _require_known(account: Account | None) -> None:
    if account is not None and account.state is AccountState.PSEUDONYMISED:
        raise Refused(f"account {account.id} is pseudonymised: nobody knows any more who it was", "nothing can be done")
