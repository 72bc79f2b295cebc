"""Documents after they were issued: found, credited, corrected, verified; and drafts. Callers hold the connection."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final, TypeAlias

from billing.accounts import sellers
from billing.accounts import service as accounts
from billing.accounts.seller import Seller
from billing.audit import service as audit
from billing.audit.entry import Change
from billing.bills.bill import canonical_json
from billing.bills.transaction import one_act
from billing.errors import AlreadyDone, NotFound, Refused
from billing.invoices import store
from billing.invoices.bill_charge import charge_of, source_of
from billing.invoices.comparison import Kept, differences
from billing.invoices.composition import CannotBeInvoiced, base_of
from billing.invoices.credit import CannotBeCredited, credit, remaining
from billing.invoices.document import DocumentForm, DocumentKind
from billing.invoices.document_json import Texts, document_from_json
from billing.invoices.drafting import CannotBeIssued, Terms, credit_note_of, invoice_of, receipt_of
from billing.invoices.issuing import Prepared, issue
from billing.invoices.numbering import DEFAULTS, could_meet, mistake_in_pattern, of_year, year_of
from billing.invoices.self_billing import require_agreement, require_rules
from billing.invoices.store import SQL, Issued, Series
from billing.sql import Connection

LOCK_KEY: Final = 0x696E76
"""Of the advisory locks of documents that are credited, with their ids ("inv" in ASCII)."""
SESSION_LOCK_KEY: Final = 0x636F72
"""Of the advisory locks of sessions that are corrected, with their ids ("cor" in ASCII)."""
_PAGE: Final = 500
WhichSeries: TypeAlias = tuple[DocumentKind, DocumentForm]


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    """What a correction made: either may be missing where nothing was left to credit, or nothing is to pay.

    `given_before_minor`: what had been credited of it by hand, in the terms of the document's lines; it is not in the new one.
    `no_longer_owed`: the credit note on the new one, of what had been taken back of fees and borne parts before.
    """

    credit_note: Issued | None
    invoice: Issued | None
    given_before_minor: int = 0
    no_longer_owed: Issued | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Where a document is not what was issued."""

    number: str
    problem: str


async def get(connection: Connection, number: str, *, seller: str | None = None) -> Issued:
    """A document by its number.

    Raises:
        NotFound: there is none.
        Refused: two sellers have one of that number.
    """
    rows = await SQL.find_invoices.fetch(connection, number=number, seller=seller)
    if not rows:
        raise NotFound(f"no document {number}", "list them with csms invoice list")
    if len(rows) > 1:
        raise Refused(f"several sellers have a document {number}", f"say which: --seller {rows[0]['seller']}")
    [found] = await store.read_documents(connection, rows)
    return found


async def remaining_of(connection: Connection, issued: Issued) -> dict[int, int]:
    """What of each line can still be credited, in the terms of the document's tax mode."""
    return remaining(issued.document, await store.credited(connection, issued.id, issued.document))


@one_act
async def credit_invoice(
    connection: Connection,
    number: str,
    *,
    seller: str | None = None,
    wanted: Mapping[int, int] | None = None,
    issued_on: date,
    now: datetime,
    actor: str,
    reason: str,
) -> Issued:
    """Take an invoice back: all that remains of it, or what is wanted of single lines in the terms of its tax mode.

    Raises:
        NotFound: no such document.
        Refused: more than remains, there is no such line, or the invoice is of a later day.
        AlreadyDone: nothing remains.
    """
    why = audit.require_reason(reason)
    async with connection.transaction():
        invoice = await get(connection, number, seller=seller)
        note = await credit_in(connection, invoice, wanted, issued_on=issued_on, now=now, actor=actor, reason=why)
        change = _change(invoice, "credit", credit_note=note.document.number, gross_minor=note.document.gross_minor)
        await audit.record(connection, [change], now=now, actor=actor, reason=why)
    return note


def _change(about: Issued, action: str, **what: object) -> Change:
    said = {"seller": about.seller, "account": about.document.account, **what}
    return Change(noun="document", subject=about.document.number, action=action, after=said)


async def lock(connection: Connection, invoice: Issued) -> None:
    """Nobody else credits this document until the transaction ends."""
    await SQL.lock_document.execute(connection, key=LOCK_KEY, id=invoice.id)


async def credit_in(
    connection: Connection,
    invoice: Issued,
    wanted: Mapping[int, int] | None,
    *,
    orders: tuple[str, ...] = (),
    issued_on: date,
    now: datetime,
    actor: str,
    reason: str,
) -> Issued:
    """As `credit_invoice`, in a transaction that the caller has begun and enters in the log. `orders`: charges below zero
    that are settled with it.
    """
    number, of = invoice.document.number, invoice.document.issued_on
    if issued_on < of:
        raise Refused(
            f"{number} was issued on {of}: nothing takes it back on {issued_on}, a day before",
            f"credit it on {of} or later",
        )
    await lock(connection, invoice)
    before = await store.credited(connection, invoice.id, invoice.document)
    left = remaining(invoice.document, before)
    if invoice.document.kind is DocumentKind.INVOICE and not any(left.values()):
        raise AlreadyDone(f"all of {invoice.document.number} is credited", "see csms invoice show of it")
    try:
        note = credit(invoice.document, before, wanted)
    except CannotBeCredited as refused:
        raise Refused(str(refused), f"see csms invoice show {invoice.document.number}") from refused
    document = credit_note_of(invoice.document, note, issued_on=issued_on, reason=reason)
    if document.form is DocumentForm.SELF_BILLED:
        partner = await accounts.get(connection, document.account or "")
        require_agreement(partner, issued_on)
        require_rules(document, partner)
    prepared = Prepared(seller=invoice.seller, document=document, corrects=invoice.id, credit=note, orders=orders)
    return await issue(connection, prepared, now=now, actor=actor, reason=reason)


@one_act
async def correct_session(
    connection: Connection, session: int, *, issued_on: date, now: datetime, actor: str, reason: str
) -> Corrected:
    """Credit what a session was invoiced for, and invoice the bill that counts now: one act, or nothing (RULES.md 22).

    Raises:
        NotFound: the session is on no document; the next run invoices what counts then.
        AlreadyDone: what was invoiced is what counts.
        Refused: the session is held, or its bill cannot be invoiced.
    """
    why = audit.require_reason(reason)
    async with connection.transaction():
        await SQL.lock_session.execute(connection, key=SESSION_LOCK_KEY, session=session)
        on = await _places_of(connection, session)
        newest = await SQL.newest_bill_of.fetchrow(connection, session=session)
        assert newest is not None, "what was invoiced is a final bill"
        last = on[-1]
        if last["source"] == source_of(session, newest["seq"]):
            raise AlreadyDone(
                f"session {session} is on {last['number']} by the bill that counts",
                "csms session rerate makes another bill; csms credit reissue makes the document anew",
            )
        rows = await SQL.invoice_of_id.fetch(connection, id=last["id"])
        [invoice] = await store.read_documents(connection, rows)
        await lock(connection, invoice)
        if (await _places_of(connection, session))[-1]["id"] != last["id"]:
            raise Refused(f"{last['number']} was issued anew just now", "do it again: the new one is corrected then")
        given = await _given(connection, invoice, last["source"])
        note = await _credit_session(
            connection, invoice, last["source"], issued_on=issued_on, now=now, actor=actor, reason=why
        )
        made = await _invoice_anew(
            connection, invoice, session, newest["seq"], after=last["source"], issued_on=issued_on, now=now, actor=actor,
            reason=why,
        )  # fmt: skip
        numbers = [None if each is None else each.document.number for each in (note, made)]
        change = _change(invoice, "correct", session=session, credit_note=numbers[0], invoice=numbers[1])
        await audit.record(connection, [change] if any(numbers) else [], now=now, actor=actor, reason=why)
    return Corrected(credit_note=note, invoice=made, given_before_minor=given)


async def _given(connection: Connection, invoice: Issued, source: str) -> int:
    left = await remaining_of(connection, invoice)
    mine = [line for line in invoice.document.lines if line.source == source]
    return sum(base_of(line, invoice.document.tax_mode) - left[line.position] for line in mine)


async def seller_of_session(connection: Connection, session: int) -> Seller:
    """Whose documents a session is on.

    Raises:
        NotFound: it is on none.
    """
    places = await _places_of(connection, session)
    return await sellers.get(connection, places[-1]["seller"])


async def _places_of(connection: Connection, session: int) -> list[Any]:
    on = await SQL.invoices_of_session.fetch(connection, session=session)
    if not on:
        raise NotFound(f"session {session} is on no document", "the next csms invoice run takes the bill that counts")
    return list(on)


async def _credit_session(
    connection: Connection, invoice: Issued, source: str, *, issued_on: date, now: datetime, actor: str, reason: str
) -> Issued | None:
    left = await remaining_of(connection, invoice)
    mine = {line.position for line in invoice.document.lines if line.source == source}
    wanted = {position: minor for position, minor in left.items() if position in mine and minor}
    if not wanted:
        return None
    return await credit_in(connection, invoice, wanted, issued_on=issued_on, now=now, actor=actor, reason=reason)


async def _invoice_anew(
    connection: Connection,
    before: Issued,
    session: int,
    seq: int,
    *,
    after: str,
    issued_on: date,
    now: datetime,
    actor: str,
    reason: str,
) -> Issued | None:
    [row] = await SQL.billed_sessions_named.fetch(connection, sessions=[session], seqs=[seq])
    old = before.document
    charge = charge_of(store.read_session(row), language=old.language)
    told = next(line.labels for line in old.lines if line.session is not None and line.session.session == session)
    charge = replace(charge, labels={**charge.labels, **told})  # who drove on whose cost is not what was wrong
    seller = await sellers.get(connection, before.seller)
    terms = Terms(issued_on=issued_on, until=old.days[1])
    document = None
    try:
        if old.account is None:
            document = replace(receipt_of(seller, charge, terms, language=old.language), brand=old.brand)
        else:
            document = invoice_of(seller, await accounts.get(connection, old.account), [charge], terms)
    except CannotBeInvoiced as why:
        raise Refused(str(why), f"see csms session explain {session}") from why
    except CannotBeIssued as why:
        if any(part.gross_minor for part in charge.parts):
            raise Refused(str(why), why.next_step) from why
    if document is None:
        return None
    prepared = Prepared(seller=before.seller, document=document, after=after)
    return await issue(connection, prepared, now=now, actor=actor, reason=reason)


async def set_pattern(
    connection: Connection,
    seller: str,
    kind: DocumentKind,
    form: DocumentForm,
    pattern: str,
    *,
    now: datetime,
    actor: str,
    reason: str,
) -> None:
    """Give the numbers of a seller's documents a shape, for series that begin from now on.

    Raises:
        NotFound: no such seller.
        Refused: no numbers can have that shape, or it could give a number that another series gives.
    """
    wrong = mistake_in_pattern(pattern)
    if wrong is not None:
        raise Refused(f"{pattern!r} is no shape for numbers: {wrong}", "correct it, such as R{year}-{n:6}")
    async with connection.transaction():
        await sellers.lock(connection, seller)
        await _require_own_shape(connection, seller, (kind, form), pattern)
        before = await SQL.pattern_of.fetchval(connection, seller=seller, kind=kind, form=form)
        await SQL.save_pattern.execute(connection, seller=seller, kind=kind, form=form, pattern=pattern)
        which = {"kind": kind.value, "form": form.value}
        change = Change(
            noun="series",
            subject=seller,
            action="set",
            before=which | {"pattern": before},
            after=which | {"pattern": pattern},
        )
        await audit.record(connection, [change], now=now, actor=actor, reason=reason)


async def _require_own_shape(connection: Connection, seller: str, mine: WhichSeries, pattern: str) -> None:
    """Raises:
    Refused: a series that is to begin, or one that has begun, could give the same number.
    """
    said = {(row["kind"], row["form"]): row["pattern"] for row in await SQL.patterns.fetch(connection, seller=seller)}
    others = [(which, said.get(which, usual)) for which, usual in DEFAULTS.items() if which != mine]
    for begun in await store.series(connection, seller):
        which = (begun.kind, begun.form)
        if which != mine or not _goes_on(begun, pattern):
            others.append((which, of_year(begun.pattern, begun.year)))
    for (kind, form), other in others:
        if could_meet(pattern, other):
            raise Refused(
                f"{pattern} could give a number of the series {form.value} {kind.value} of {seller}, whose shape is {other}",
                "give each series a shape of its own, by other letters at its begin",
            )


def _goes_on(begun: Series, pattern: str) -> bool:
    """Whether numbers of this shape, in the same series, cannot meet those that were given: they are of other years."""
    if begun.year == 0:
        return year_of(pattern, date.min) == 0  # it keeps its look
    return begun.pattern.partition("{year}")[0] == pattern.partition("{year}")[0]


async def verify(
    connection: Connection, seller: str | None = None, *, days: tuple[date, date] = (date.min, date.max)
) -> AsyncIterator[Finding | int]:
    """Follow every series from its first document to its last: numbers from 1 without a gap, nothing changed or added.

    Yields what is found to be wrong, and how many documents were looked at since. Who issues meanwhile goes on. Of `days`,
    only what was issued from the first to the last of them: in a series nothing is issued on a day before the last.
    """
    for series in await store.series(connection, seller):
        async for each in _verify_series(connection, series, days):
            yield each


async def _verify_series(
    connection: Connection, series: Series, days: tuple[date, date]
) -> AsyncIterator[Finding | int]:
    which = {"seller": series.seller, "kind": series.kind, "form": series.form, "year": series.year}
    part = await SQL.part_of_series.fetchrow(connection, **which, first=days[0], last=days[1])
    assert part is not None, "no series is ever deleted"
    after, chain = part["after"] or 0, part["chain"] or bytes(32)
    while True:
        rows = await SQL.next_of_series.fetch(connection, **which, after=after, up_to=part["up_to"], limit=_PAGE)
        for kept in await _kept(connection, rows):
            row = kept.row
            after += 1
            if row["n"] != after:
                yield Finding(number=row["number"], problem=f"number {after} of its series is missing before it")
                after = row["n"]
            for problem in _changed(kept):
                yield Finding(number=row["number"], problem=problem)
            chain = store.chain_after(chain, row["hash"])
            if chain != row["chain"]:
                yield Finding(number=row["number"], problem="it does not follow from the document before it")
                chain = row["chain"]
        yield len(rows)
        if rows:
            continue
        if part["up_to"] is not None:
            return
        now = await SQL.how_far.fetchrow(connection, **which)
        assert now is not None, "no series is ever deleted"
        if (after, chain) == (now["last"], now["chain"]):
            return
        if now["last"] == series.last:  # nobody has issued since it was looked at before
            name = f"{series.seller} {series.form.value} {series.kind.value} {series.year or ''}".strip()
            yield Finding(number=name, problem=f"the series counts {series.last} documents, and {after} are there")
            return
        series = replace(series, last=now["last"], chain=now["chain"])


async def _kept(connection: Connection, rows: Sequence[Any]) -> list[Kept]:
    """All rows of documents, of each of them."""
    ids = [row["id"] for row in rows]
    lines = _by("invoice", await SQL.kept_lines.fetch(connection, invoices=ids))
    taxes = _by("invoice", await SQL.kept_taxes.fetch(connection, invoices=ids))
    claims = _by("invoice", await SQL.kept_claims.fetch(connection, invoices=ids))
    allocations = _by("credit_note", await SQL.kept_allocations.fetch(connection, credit_notes=ids))
    return [
        Kept(
            row=row,
            lines=tuple(lines.get(row["id"], ())),
            taxes=tuple(taxes.get(row["id"], ())),
            claims=tuple(claims.get(row["id"], ())),
            allocations=tuple(allocations.get(row["id"], ())),
        )
        for row in rows
    ]


def _by(document: str, rows: Sequence[Any]) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    for row in rows:
        found.setdefault(row[document], []).append(row)
    return found


def _changed(kept: Kept) -> Iterator[str]:
    """What of a document was changed since it was issued; where its body is another, no row is compared with that."""
    body, lines = json.loads(kept.row["body"]), [json.loads(line["body"]) for line in kept.lines]
    if Texts(head=canonical_json(body), lines=tuple(map(canonical_json, lines))).hash != kept.row["hash"]:
        yield "it was changed: its hash is of something else"
        return
    for difference in differences(document_from_json({**body, "lines": lines}), kept):
        yield f"it was changed: {difference}"


async def series_of(connection: Connection, seller: str | None = None) -> list[Series]:
    return await store.series(connection, seller)


async def list_documents(
    connection: Connection,
    *,
    seller: str | None,
    account: str | None,
    kind: str | None,
    since: date | None,
    until: date | None,
    limit: int,
) -> list[dict[str, Any]]:
    """The newest documents that fit, the oldest of them first."""
    rows = await SQL.invoices.fetch(
        connection, seller=seller, account=account, kind=kind, since=since, until=until, limit=limit
    )
    return [dict(row) for row in reversed(rows)]
