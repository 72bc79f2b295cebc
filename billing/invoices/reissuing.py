"""An invoice is issued anew: taken back, and the same lines on a new document with what is known of its parties by now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from billing.accounts import sellers
from billing.accounts import service as accounts
from billing.accounts.account import Account, AccountState
from billing.audit import service as audit
from billing.audit.entry import Change
from billing.bills.transaction import one_act
from billing.errors import AlreadyDone, Refused
from billing.invoices import service
from billing.invoices.bearing import no_longer_borne
from billing.invoices.composition import base_of
from billing.invoices.document import Document, DocumentForm, DocumentKind
from billing.invoices.drafting import CannotBeIssued, issued_anew
from billing.invoices.issuing import Prepared, issue, replacing
from billing.invoices.self_billing import require_agreement, require_rules
from billing.invoices.service import Corrected
from billing.invoices.store import SQL, Issued
from billing.invoices.taking_back import TakenBack, amounts, reason_of, taken_back_before
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
    is charged stays claimed all the time: no run takes it. What was taken back of fees that ended, or of parts that a third
    party bears no longer, is taken back of the new document with it.

    Raises:
        NotFound: no such document.
        AlreadyDone: it was issued anew before.
        Refused: it is no invoice, a part of it was credited by hand, nothing of it is owed any more, a session on it was billed
            anew, or the new one would lack something.
    """
    why = audit.require_reason(reason)
    async with connection.transaction():
        old = await service.get(connection, number, seller=seller)
        await service.lock(connection, old)
        taken = await _taken_back_before(connection, old)
        left = await service.remaining_of(connection, old)
        await _require_possible(connection, old, left, taken)
        note = None
        if any(left.values()):
            note = await service.credit_in(connection, old, None, issued_on=issued_on, now=now, actor=actor, reason=why)
        document = await _anew(connection, old, issued_on)
        prepared = Prepared(seller=old.seller, document=document, replaces=replacing(old.seller, number))
        made = await issue(connection, prepared, now=now, actor=actor, reason=why)
        again = await _take_back_again(connection, made, taken, issued_on=issued_on, now=now, actor=actor)
        numbers = [None if each is None else each.document.number for each in (note, again)]
        said = {
            "seller": old.seller, "account": old.document.account, "invoice": made.document.number, "credit_note": numbers[0],
            "no_longer_owed": numbers[1],
        }  # fmt: skip
        change = Change(noun="document", subject=number, action="reissue", after=said)
        await audit.record(connection, [change], now=now, actor=actor, reason=why)
    return Corrected(credit_note=note, invoice=made, no_longer_owed=again)


async def _taken_back_before(connection: Connection, old: Issued) -> list[TakenBack]:
    taken = await taken_back_before(connection, old.document)
    if old.document.account is not None:
        account = await accounts.get(connection, old.document.account)
        taken += await no_longer_borne(connection, old.seller, account, old.document)
    return taken


async def _take_back_again(
    connection: Connection, made: Issued, taken: Sequence[TakenBack], *, issued_on: date, now: datetime, actor: str
) -> Issued | None:
    wanted = amounts(made.document, taken, await service.remaining_of(connection, made))
    if not wanted:
        return None
    reason = reason_of(taken, made.document.language)
    return await service.credit_in(
        connection, made, wanted, issued_on=issued_on, now=now, actor=actor, reason=audit.require_reason(reason)
    )


async def _require_possible(
    connection: Connection, old: Issued, left: Mapping[int, int], taken: Sequence[TakenBack]
) -> None:
    number = old.document.number
    if old.document.kind is not DocumentKind.INVOICE:
        raise Refused(
            f"{number} is a credit note", "issue anew what it takes back: csms credit reissue of that invoice"
        )
    after = await SQL.replaced_by.fetchval(connection, invoice=old.id, replaces=replacing(old.seller, number))
    if after is not None:
        raise AlreadyDone(f"{number} was issued anew as {after}", f"csms credit reissue {after} does it once more")
    whole = {
        line.position: base_of(line, old.document.tax_mode) for line in old.document.lines if line.position in left
    }
    no_longer = amounts(old.document, taken, whole)
    if no_longer and {position: minor for position, minor in whole.items() if minor} == no_longer:
        raise Refused(f"nothing of {number} is owed any more", "there is nothing to charge: leave it as it is")
    by_hand = {position: whole[position] - minor - no_longer.get(position, 0) for position, minor in left.items()}
    if any(left.values()) and any(by_hand.values()):
        raise Refused(
            f"a part of {number} was credited by hand",
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
