"""What is no longer owed of something that was invoiced, such as the rest of a period that was paid in advance.

It is credited on the line that charged it: under the tax of that line, and never above what remains of it, whatever else the
customer buys and whatever was credited by hand. Callers hold the connection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from itertools import groupby
from typing import Final

from billing.audit import service as audit
from billing.bills.transaction import one_act
from billing.contracts.handover import cancel, settled_takings_back, taken_back_of
from billing.errors import AlreadyDone
from billing.invoices import service, store, words
from billing.invoices.charge import PricedCharge
from billing.invoices.composition import base_of
from billing.invoices.document import Document, LineKind
from billing.invoices.store import SQL, Issued
from billing.money import round_units
from billing.sql import Connection

NAMED_MAX: Final = 5
"""Things that the reason of a credit note names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenBack:
    """A charge below zero, and the line on which what it takes back from was invoiced.

    `upto` is how much of that charge is taken back with it and all before it, `before` without it: parts of one.
    """

    source: str
    corrects: str
    account: str
    currency: str
    name: str
    days: tuple[date, date] | None
    invoice: int
    position: int
    before: Fraction
    upto: Fraction
    is_borne: bool = False
    """It is no charge of a contract, but a part that a third party bears."""

    def base_of(self, base_minor: int) -> int:
        """How much of a line that is it: parts that follow each other come to their sum, rounded."""
        return round_units(base_minor * self.upto) - round_units(base_minor * self.before)


async def invoiced_before(connection: Connection, charges: Sequence[PricedCharge]) -> dict[str, TakenBack]:
    """By source, those of charges below zero whose own charge is on a document; the others are on no document either."""
    wanted = {each.source: each for each in charges if each.corrects is not None}
    if not wanted:
        return {}
    lines = {
        row["source"]: row
        for row in await SQL.lines_by_source.fetch(
            connection, sources=sorted({str(each.corrects) for each in wanted.values()})
        )
    }
    parts = await taken_back_of(connection, sorted(wanted))
    found: dict[str, TakenBack] = {}
    for source, charge in wanted.items():
        line = lines.get(str(charge.corrects))
        if line is None or source not in parts:
            continue
        before, upto = parts[source]
        found[source] = TakenBack(
            source=source, corrects=str(charge.corrects), account=charge.account, currency=charge.currency, name=charge.name, days=charge.days,
            invoice=line["invoice"], position=line["position"], before=before, upto=upto,
        )  # fmt: skip
    return found


async def taken_back_before(connection: Connection, document: Document) -> list[TakenBack]:
    """What is no longer owed of the fees on a document and was credited there, or would have been if anything had remained."""
    fees = {line.source for line in document.lines if line.kind is not LineKind.SESSION}
    charges = await settled_takings_back(connection, fees)
    return list((await invoiced_before(connection, charges)).values())


def amounts(document: Document, taken: Sequence[TakenBack], left: Mapping[int, int]) -> dict[int, int]:
    """By position of the document's line what of these is to be credited there, where so much of each is left."""
    lines = {line.position: line for line in document.lines}
    wanted: dict[int, int] = {}
    for each in taken:
        base = each.base_of(base_of(lines[each.position], document.tax_mode))
        already = wanted.get(each.position, 0)
        wanted[each.position] = already + min(base, left[each.position] - already)
    return {position: minor for position, minor in wanted.items() if minor > 0}


def by_invoice(taken: Sequence[TakenBack]) -> list[tuple[TakenBack, ...]]:
    """What one credit note is for: all of one invoice."""
    ordered = sorted(taken, key=lambda each: (each.invoice, each.position, each.before, each.source))
    return [tuple(group) for _, group in groupby(ordered, key=lambda each: each.invoice)]


@one_act
async def take_back(
    connection: Connection, taken: Sequence[TakenBack], *, issued_on: date, now: datetime, actor: str
) -> Issued | None:
    """Issue the credit note on an invoice; None where nothing remains of its lines, as they were credited before.

    Raises:
        AlreadyDone: it was taken back meanwhile, or the invoice was issued anew.
        Refused: what remains under their tax is less than they come to.
    """
    async with connection.transaction():
        [invoice] = await store.read_documents(
            connection, await SQL.invoice_of_id.fetch(connection, id=taken[0].invoice)
        )
        await service.lock(connection, invoice)
        await _require_latest(connection, taken)
        wanted = amounts(invoice.document, taken, await service.remaining_of(connection, invoice))
        await _settle_borne(connection, taken)
        sources = tuple(each.source for each in taken if not each.is_borne)
        if not wanted:
            await cancel(connection, sources, actor=actor, now=now)
            return None
        reason = reason_of(taken, invoice.document.language)
        return await service.credit_in(
            connection, invoice, wanted, orders=sources, issued_on=max(issued_on, invoice.document.issued_on), now=now,
            actor=actor, reason=audit.require_reason(reason),
        )  # fmt: skip


async def _settle_borne(connection: Connection, taken: Sequence[TakenBack]) -> None:
    sources = [each.source for each in taken if each.is_borne]
    if sources and len(await SQL.settle_borne.fetch(connection, sources=sources)) < len(sources):
        raise AlreadyDone("a part of it was taken back just now", "do it again")


async def _require_latest(connection: Connection, taken: Sequence[TakenBack]) -> None:
    """The line that was found is still where it is charged: else that document has nothing to do with it any more."""
    rows = await SQL.lines_by_source.fetch(connection, sources=sorted({each.corrects for each in taken}))
    if {row["invoice"] for row in rows} != {taken[0].invoice}:
        raise AlreadyDone("what this is taken back of was invoiced anew just now", "do it again")


def reason_of(taken: Sequence[TakenBack], language: str) -> str:
    """Why these are credited, as the credit note says it."""
    names = [
        each.name
        if each.days is None
        else f"{each.name} {' - '.join(words.day_in(language, day) for day in each.days)}"
        for each in taken[:NAMED_MAX]
    ]
    rest = [] if len(taken) <= NAMED_MAX else ["..."]
    return words.NO_LONGER_OWED[language].format(what=", ".join(names + rest))
