"""What an operator says for exports: numbers of accounts, and what DATEV asks for. Each saying is a row; nothing changes."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from billing.audit import service as audit
from billing.audit.entry import Change
from billing.errors import AlreadyDone, NotFound, Refused
from billing.ledger.account_map import AccountMap, Mapped
from billing.ledger.datev import DatevSettings
from billing.ledger.entry import AccountKind, LedgerAccount
from billing.ledger.store import SQL
from billing.sql import Connection

_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_TAX_KEY: Final = re.compile(r"[0-9]{1,4}")


async def newest_map(connection: Connection, seller: str) -> int:
    """By which an export is written anew as it was: see mapped_as_of()."""
    found: int = await SQL.newest_map.fetchval(connection, seller=seller)
    return found


async def mapped_as_of(connection: Connection, seller: str, as_of: int) -> list[Mapped]:
    """What was mapped when this was the newest row."""
    return [_mapped(row) for row in await SQL.map_as_of.fetch(connection, seller=seller, as_of=as_of)]


def _mapped(row: Any) -> Mapped:
    return Mapped(kind=AccountKind(row["kind"]), pattern=row["pattern"], number=row["number"], tax_key=row["tax_key"])


async def map_account(
    connection: Connection, seller: str, mapped: Mapped, *, reason: str, actor: str, now: datetime
) -> None:
    """Know accounts by a number, in exports from now on.

    Raises:
        Refused: the number or the tax key can be none.
        AlreadyDone: it is so.
    """
    if _NUMBER.fullmatch(mapped.number) is None:
        raise Refused(f"{mapped.number!r} is no account number", "write it with up to 9 digits, such as 4400")
    if mapped.tax_key is not None and _TAX_KEY.fullmatch(mapped.tax_key) is None:
        raise Refused(f"{mapped.tax_key!r} is no tax key", "write it with up to 4 digits, such as 40")
    known = await mapped_as_of(connection, seller, await newest_map(connection, seller))
    if mapped in known:
        raise AlreadyDone(f"{_named(mapped.kind, mapped.pattern)} is {mapped.number} already", "nothing to do")
    before = [each for each in known if (each.kind, each.pattern) == (mapped.kind, mapped.pattern)]
    async with connection.transaction():
        await SQL.insert_map.execute(
            connection, seller=seller, kind=mapped.kind.value, pattern=mapped.pattern, number=mapped.number,
            tax_key=mapped.tax_key, reason=reason, actor=actor, at=now,
        )  # fmt: skip
        change = Change(
            noun="account_map", subject=seller, action="set", before=_line(before[0]) if before else None,
            after=_line(mapped),
        )  # fmt: skip
        await audit.record(connection, [change], now=now, actor=actor, reason=reason)


def _line(mapped: Mapped) -> dict[str, str | None]:
    return {
        "account": mapped.kind.value,
        "pattern": mapped.pattern,
        "number": mapped.number,
        "tax_key": mapped.tax_key,
    }


async def unmap_account(
    connection: Connection, seller: str, kind: AccountKind, pattern: str, *, reason: str, actor: str, now: datetime
) -> None:
    """No longer know accounts by this line of the map, in exports from now on.

    Raises:
        NotFound: there is no such line.
    """
    known = await mapped_as_of(connection, seller, await newest_map(connection, seller))
    before = [each for each in known if (each.kind, each.pattern) == (kind, pattern)]
    if not before:
        raise NotFound(f"{_named(kind, pattern)} is not mapped", "list the lines with csms ledger map list")
    async with connection.transaction():
        await SQL.insert_map.execute(
            connection, seller=seller, kind=kind.value, pattern=pattern, number=None, tax_key=None, reason=reason,
            actor=actor, at=now,
        )  # fmt: skip
        change = Change(noun="account_map", subject=seller, action="unset", before=_line(before[0]))
        await audit.record(connection, [change], now=now, actor=actor, reason=reason)


def _named(kind: AccountKind, pattern: str) -> str:
    return str(LedgerAccount(kind, pattern))


async def account_map(connection: Connection, seller: str, as_of: int) -> AccountMap:
    return AccountMap(await mapped_as_of(connection, seller, as_of))


async def datev_settings(
    connection: Connection, seller: str, id_: int | None = None
) -> tuple[int, DatevSettings] | None:
    """What counts now, or what a row said, with the id of that row."""
    row = await SQL.datev_as_of.fetchrow(connection, seller=seller, id=id_)
    if row is None:
        return None
    return row["id"], DatevSettings(
        consultant=row["consultant"],
        client=row["client"],
        account_digits=row["account_digits"],
        year_begins=row["year_begins"],
    )


async def set_datev(
    connection: Connection, seller: str, said: DatevSettings, *, reason: str, actor: str, now: datetime
) -> None:
    """Say what DATEV files of a seller bear from now on.

    Raises:
        AlreadyDone: they do.
    """
    known = await datev_settings(connection, seller)
    if known is not None and known[1] == said:
        raise AlreadyDone(f"DATEV files of {seller} say this already", "nothing to do")
    async with connection.transaction():
        await SQL.insert_datev.fetchval(
            connection, seller=seller, consultant=said.consultant, client=said.client,
            account_digits=said.account_digits, year_begins=said.year_begins, reason=reason, actor=actor, at=now,
        )  # fmt: skip
        before = None if known is None else asdict(known[1])
        change = Change(noun="datev", subject=seller, action="set", before=before, after=asdict(said))
        await audit.record(connection, [change], now=now, actor=actor, reason=reason)
