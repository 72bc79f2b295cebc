"""Files for the general ledger: of a month, each entry in exactly one of them, and the same bytes whenever asked again.

A file is of a month, a form and, for DATEV, a currency. The first takes all entries of the month there are, the next those
that came since; of a locked month there is one that is the last. What is in a file is remembered as a span of entries:
who makes one has waited for everybody who was posting, so that no entry with a smaller id can come later.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import PurePath
from typing import Any, BinaryIO, Final, TypeAlias

from billing.audit import service as audit
from billing.audit.entry import Change
from billing.errors import AlreadyDone, NotFound, Refused
from billing.ledger import export_settings as settings
from billing.ledger import store
from billing.ledger.account_map import AccountMap
from billing.ledger.beancount import BeancountLayout
from billing.ledger.datev import AMOUNT_DIGITS_MAX, DatevLayout, DatevSettings, unwritable
from billing.ledger.entry import AccountKind, LedgerAccount
from billing.ledger.layout import CsvLayout, Layout
from billing.ledger.month import last_day, month_text
from billing.ledger.store import SQL
from billing.money import minor_digits
from billing.sql import Connection

NAMED_MAX: Final = 20
"""Accounts that a message names."""
HANDED_OVER: Final = "for the general ledger"
"""Why files are made, unless somebody says more."""


class Form(StrEnum):
    """The forms in which the ledger is exported."""

    CSV = "csv"
    DATEV = "datev"
    BEANCOUNT = "beancount"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Entries of a month with an id above `after` and up to `up_to`. `currency` is None where a file has all of them."""

    seller: str
    form: Form
    currency: str | None
    month: date
    after: int
    up_to: int

    def __str__(self) -> str:
        currency = f" in {self.currency}" if self.currency else ""
        return f"{month_text(self.month)} of {self.seller} as {self.form}{currency}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A file that was made, of so many bytes. `map_as_of` and `datev_as_of` are the settings that it was written by."""

    id: int
    span: Span
    map_as_of: int
    datev_as_of: int | None
    entries: int
    size: int
    sha256: bytes
    actor: str
    at: datetime

    @property
    def file_name(self) -> str:
        """As DATEV wants it: EXTF_ in front."""
        span = self.span
        prefix, suffix = {Form.CSV: ("ledger", "csv"), Form.DATEV: ("EXTF", "csv")}.get(
            span.form, ("ledger", "beancount")
        )
        parts = (prefix, span.seller, month_text(span.month), *([span.currency] if span.currency else []), str(self.id))
        return PurePath("_".join(parts)).name + f".{suffix}"

    def to_dict(self) -> dict[str, object]:
        return {
            "export": self.id,
            "format": self.span.form,
            "month": month_text(self.span.month),
            "currency": self.span.currency,
            "after_entry": self.span.after,
            "up_to_entry": self.span.up_to,
            "entries": self.entries,
            "bytes": self.size,
            "sha256": self.sha256,
            "file": self.file_name,
            "actor": self.actor,
            "at": self.at,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Manner:
    """What a file is of, and by what it is written."""

    span: Span
    map_as_of: int
    datev_as_of: int | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    entries: int
    size: int
    sha256: bytes


OpenFile: TypeAlias = Callable[[], BinaryIO]
"""A new, empty file to write to."""


async def export_month(
    connection: Connection,
    seller: str,
    form: Form,
    month: date,
    file: BinaryIO,
    *,
    currency: str | None = None,
    now: datetime,
    actor: str,
    reason: str = HANDED_OVER,
) -> Export:
    """Write the whole of a locked month, now or as it was written first.

    Raises:
        Refused: the month is open, was exported in parts, or has accounts without a number.
        NotFound: nothing is booked in it.
    """
    locked = await store.locked_up_to(connection, seller)
    if locked is None or month > locked:
        raise Refused(
            f"{month_text(month)} is not locked, it may still change",
            f"csms close lock --seller {seller} --month {month_text(month)} --reason ..., or export what there is so far: --next",
        )
    currency = await _the_currency(connection, seller, form, currency)
    up_to = await SQL.newest_entry.fetchval(connection, seller=seller, month=month)
    if not up_to:
        raise NotFound(f"nothing is booked in {month_text(month)} for {seller}", "see csms close status")
    before = await exports_of(connection, seller, month=month, form=form, currency=currency)
    if not before:
        span = Span(seller=seller, form=form, currency=currency, month=month, after=0, up_to=up_to)
        return await _export(connection, span, file, now=now, actor=actor, reason=reason)
    [whole, *rest] = before
    if rest or whole.span.up_to < up_to:
        raise Refused(
            f"{whole.span} was exported in parts: {', '.join(str(each.id) for each in before)}",
            "make what is missing with --next; --run N writes a part again",
        )
    await write_again(connection, whole, file)
    return whole


async def export_pending(
    connection: Connection,
    seller: str,
    form: Form,
    open_file: OpenFile,
    *,
    month: date | None = None,
    currency: str | None = None,
    now: datetime,
    actor: str,
    reason: str = HANDED_OVER,
) -> AsyncIterator[tuple[Export, BinaryIO]]:
    """A file for each month, of all or of one, in which entries were booked since its last file; each with its bytes.

    Raises:
        Refused: accounts have no number.
    """
    for span in await pending(connection, seller, form, month=month, currency=currency):
        file = open_file()
        try:
            made = await _export(connection, span, file, now=now, actor=actor, reason=reason)
        except BaseException:
            file.close()
            raise
        yield made, file


async def pending(
    connection: Connection, seller: str, form: Form, *, month: date | None = None, currency: str | None = None
) -> list[Span]:
    """What was booked since the last file of each month."""
    async with connection.transaction():
        await SQL.lock_for_locking.execute(connection, seller=seller)
        horizon = await SQL.newest_entry.fetchval(connection, seller=seller, month=None)
    spans = []
    for each in await _named_currencies(connection, seller, form, currency):
        rows = await SQL.pending_months.fetch(
            connection, seller=seller, format=form.value, currency=each, horizon=horizon, month=month
        )
        spans += [
            Span(seller=seller, form=form, currency=each, month=row["month"], after=row["after"], up_to=row["up_to"])
            for row in rows
        ]
    return [each for each in spans if each.currency is None or await _accounts(connection, each)]


async def require_exportable(connection: Connection, seller: str, form: Form, *, month: date) -> None:
    """Refuse what export_pending would refuse of a month, before anything is written or remembered.

    Raises:
        Refused: DATEV cannot be told of it, or accounts have no number.
    """
    if form is not Form.DATEV:
        return
    for span in await pending(connection, seller, form, month=month):
        datev = await settings.datev_settings(connection, seller)
        numbers = await settings.account_map(connection, seller, await settings.newest_map(connection, seller))
        await _require_writable(connection, span, None if datev is None else datev[1], numbers)


async def _the_currency(connection: Connection, seller: str, form: Form, named: str | None) -> str | None:
    """That of a DATEV file: the one named, or the only one there is."""
    known = await _named_currencies(connection, seller, form, named)
    if len(known) > 1:
        raise Refused(
            f"{seller} has accounts in {', '.join(map(str, known))}, a DATEV file is in one of them",
            "say which: --currency",
        )
    return known[0] if known else None


async def _named_currencies(connection: Connection, seller: str, form: Form, named: str | None) -> list[str | None]:
    """Those that files are made in, one each: the one named, or all there are; None: all of them in one file."""
    if form is not Form.DATEV:
        if named is not None:
            raise Refused(f"a {form} file has all currencies in it", "leave --currency away")
        return [None]
    known: list[str | None] = [row["currency"] for row in await SQL.currencies_of.fetch(connection, seller=seller)]
    if named is not None and named not in known:
        raise NotFound(f"{seller} has no account in {named}", f"it has some in {', '.join(map(str, known)) or 'none'}")
    return known if named is None else [named]


async def exports_of(
    connection: Connection,
    seller: str,
    *,
    month: date | None = None,
    form: Form | None = None,
    currency: str | None = None,
) -> list[Export]:
    """The files that were made, as they follow each other."""
    rows = await SQL.exports_of.fetch(
        connection, seller=seller, month=month, format=None if form is None else form.value, currency=currency
    )
    return [_export_of(row) for row in rows]


async def find_export(connection: Connection, id_: int) -> Export:
    """One file.

    Raises:
        NotFound: there is none.
    """
    row = await SQL.find_export.fetchrow(connection, id=id_)
    if row is None:
        raise NotFound(f"no export {id_}", "list them with csms ledger exports")
    return _export_of(row)


def _export_of(row: Any) -> Export:
    return Export(
        id=row["id"],
        span=Span(
            seller=row["seller"],
            form=Form(row["format"]),
            currency=row["currency"],
            month=row["month"],
            after=row["after_entry"],
            up_to=row["up_to_entry"],
        ),
        map_as_of=row["map_as_of"],
        datev_as_of=row["datev_as_of"],
        entries=row["entries"],
        size=row["bytes"],
        sha256=row["sha256"],
        actor=row["actor"],
        at=row["at"],
    )


async def write_again(connection: Connection, export: Export, file: BinaryIO) -> None:
    """The same bytes as when it was made.

    Raises:
        Refused: this csms writes them otherwise.
    """
    manner = _Manner(span=export.span, map_as_of=export.map_as_of, datev_as_of=export.datev_as_of, at=export.at)
    written = await _write(connection, manner, file)
    if written.sha256 != export.sha256:
        raise Refused(
            f"export {export.id} had the hash {export.sha256.hex()}, what is written now has {written.sha256.hex()}",
            "take the file from the pack of its month; csms ledger check tells whether the books are as they were",
        )


async def _export(
    connection: Connection, span: Span, file: BinaryIO, *, now: datetime, actor: str, reason: str
) -> Export:
    """Write a new file and remember it."""
    datev = await settings.datev_settings(connection, span.seller) if span.form is Form.DATEV else None
    at = now.replace(microsecond=now.microsecond // 1000 * 1000)  # what the file shows of it
    manner = _Manner(
        span=span,
        map_as_of=await settings.newest_map(connection, span.seller),
        datev_as_of=None if datev is None else datev[0],
        at=at,
    )
    if span.form is Form.DATEV:
        numbers = await settings.account_map(connection, span.seller, manner.map_as_of)
        await _require_writable(connection, span, None if datev is None else datev[1], numbers)
    written = await _write(connection, manner, file)
    async with connection.transaction():
        id_ = await SQL.insert_export.fetchval(
            connection, seller=span.seller, format=span.form.value, currency=span.currency, month=span.month,
            after_entry=span.after, up_to_entry=span.up_to, map_as_of=manner.map_as_of, datev_as_of=manner.datev_as_of,
            entries=written.entries, bytes=written.size, sha256=written.sha256, actor=actor, at=at,
        )  # fmt: skip
        if id_ is None:
            raise AlreadyDone(f"{span} was exported by somebody else meanwhile", "list the files: csms ledger exports")
        made = await find_export(connection, id_)
        said = {
            "form": span.form.value, "month": month_text(span.month), "currency": span.currency, "after": span.after,
            "up_to": span.up_to, "entries": made.entries, "sha256": made.sha256.hex(),
        }  # fmt: skip
        change = Change(noun="export", subject=span.seller, action="make", after={"export": id_, **said})
        await audit.record(connection, [change], now=now, actor=actor, reason=reason)
    return made


async def _accounts(connection: Connection, span: Span) -> dict[LedgerAccount, int]:
    """The accounts that a file is about, and the greatest amount on each."""
    rows = await SQL.accounts_between.fetch(
        connection, seller=span.seller, month=span.month, after=span.after, up_to=span.up_to, currency=span.currency
    )
    return {LedgerAccount(AccountKind(row["kind"]), row["owner"]): row["most_minor"] for row in rows}


async def _require_writable(
    connection: Connection, span: Span, datev: DatevSettings | None, numbers: AccountMap
) -> None:
    """Refuse what DATEV cannot be told."""
    if datev is None:
        raise Refused(f"what DATEV files of {span.seller} bear is not said yet", "say it: csms ledger datev set")
    why = unwritable(span.currency or "")
    if why is not None:
        raise Refused(f"{span}: {why}", "export it as csv")
    accounts = await _accounts(connection, span)
    unmapped = numbers.unmapped(accounts)
    if unmapped:
        raise Refused(
            f"{len(unmapped)} accounts have no number in the general ledger: "
            + ", ".join(map(str, unmapped[:NAMED_MAX]))
            + (" ..." if len(unmapped) > NAMED_MAX else ""),
            "give them one: csms ledger map set KIND [OWNER-PATTERN] NUMBER",
            details={"unmapped": [str(each) for each in unmapped]},
        )
    long = sorted({numbers.number(each) for each in accounts if len(numbers.number(each)) > datev.number_digits_max})
    if long:
        raise Refused(
            f"account numbers {', '.join(long)} are longer than {datev.number_digits_max} digits",
            "give them other numbers, or csms ledger datev set --account-digits",
        )
    if any(most >= 10 ** (AMOUNT_DIGITS_MAX + minor_digits(span.currency or "")) for most in accounts.values()):
        raise Refused(f"{span} has amounts of more than {AMOUNT_DIGITS_MAX} digits", "export it as csv")


async def _write(connection: Connection, manner: _Manner, file: BinaryIO) -> _Written:
    layout = await _layout(connection, manner)
    span, digest, count = manner.span, sha256(), 0

    def put(body: bytes) -> int:
        digest.update(body)
        return file.write(body)

    size = put(layout.head())
    async for booked in store.entries_between(
        connection, span.seller, after=span.after, up_to=span.up_to, first=span.month, last=last_day(span.month),
        currency=span.currency,
    ):  # fmt: skip
        body = layout.entry(booked)
        count += bool(body)
        size += put(body)
    return _Written(entries=count, size=size, sha256=digest.digest())


async def _layout(connection: Connection, manner: _Manner) -> Layout:
    span = manner.span
    numbers = await settings.account_map(connection, span.seller, manner.map_as_of)
    match span.form:
        case Form.CSV:
            return CsvLayout(numbers)
        case Form.BEANCOUNT:
            return BeancountLayout(
                f"Ledger of {span.seller}, {month_text(span.month)}, entries {span.after + 1} to {span.up_to}"
            )
        case Form.DATEV:
            found = await settings.datev_settings(connection, span.seller, manner.datev_as_of)
            assert found is not None, "it was refused without"
            assert span.currency is not None, "a DATEV file has a currency"
            return DatevLayout(found[1], numbers, month=span.month, currency=span.currency, made_at=manner.at)
