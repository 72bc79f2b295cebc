"""Entering brands: their looks, their files, their mails. Callers hold the connection; every edit is one transaction with its audit entry."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from pydantic import TypeAdapter

from billing.accounts import sellers
from billing.accounts.brand import BrandDetails, BrandFile, SellersBrand, mistakes_in_brand
from billing.accounts.store import SQL
from billing.audit import service as audit
from billing.audit.entry import Change
from billing.documents.brand import Brand, OwnTemplate
from billing.errors import AlreadyDone, NotFound, Refused
from billing.sql import Connection

SEE_BRANDS: Final = "list them with csms brand list"
_DETAILS: Final = TypeAdapter(BrandDetails)

Files = Mapping[str, bytes]
"""Contents by their SHA-256, in hexadecimal digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A brand as somebody wants it, with the contents of the files that come with it."""

    brand: SellersBrand
    files: Files = field(default_factory=dict)


def file_of(name: str, content: bytes) -> BrandFile:
    """How details name a file with this content."""
    return BrandFile(name=name, sha256=hashlib.sha256(content).hexdigest())


def values_of(details: BrandDetails) -> dict[str, Any]:
    """As JSON values."""
    values: dict[str, Any] = _DETAILS.dump_python(details, mode="json")
    return values


def looks(id_: str, details: BrandDetails, files: Files) -> Brand:
    """What documents are made with.

    Raises:
        Refused: a colour, a logo or a template is none, or there are too many lines.
    """
    plain = Brand(id=id_, name=details.name)
    logo, template = details.logo, details.template
    return Brand(
        id=id_,
        name=details.name,
        accent=details.accent or plain.accent,
        sender=details.sender,
        footer=details.footer,
        logo=None if logo is None else files[logo.sha256],
        own=None if template is None else OwnTemplate(name=template.name, content=files[template.sha256]),
    )


async def create(connection: Connection, wanted: Wanted, *, now: datetime, actor: str, reason: str) -> SellersBrand:
    """Make a brand known.

    Raises:
        NotFound: no such seller.
        Refused: something in it cannot be, or a logo or a template does not work.
        AlreadyDone: there is one of that id.
    """
    brand = wanted.brand
    async with connection.transaction():
        await sellers.get(connection, brand.seller)
        await _require(connection, wanted)
        values = values_of(brand.details)
        made = await SQL.insert_brand.fetchval(
            connection, id=brand.id, seller=brand.seller, details=json.dumps(values), now=now
        )
        if made is None:
            raise AlreadyDone(f"there is a brand {brand.id}", f"see csms brand show {brand.id}")
        await _keep(connection, wanted.files, now=now)
        change = Change(noun="brand", subject=brand.id, action="create", after={"seller": brand.seller, **values})
        await audit.record(connection, [change], now=now, actor=actor, reason=reason)
    return brand


async def change(
    connection: Connection,
    id_: str,
    changed: Callable[[BrandDetails], BrandDetails],
    *,
    files: Files,
    now: datetime,
    actor: str,
    reason: str,
) -> SellersBrand:
    """Change a brand from now on; documents that were typeset stay as they are.

    Raises:
        NotFound: no such brand.
        Refused: as for create().
    """
    async with connection.transaction():
        row = await SQL.lock_brand.fetchrow(connection, id=id_)
        if row is None:
            raise NotFound(f"no brand {id_}", SEE_BRANDS)
        before = read_brand(row)
        after = SellersBrand(id=id_, seller=before.seller, details=changed(before.details))
        await _require(connection, Wanted(brand=after, files=files))
        old, new = values_of(before.details), values_of(after.details)
        await SQL.update_brand.execute(connection, id=id_, details=json.dumps(new))
        await _keep(connection, files, now=now)
        entry = Change(noun="brand", subject=id_, action="set", before=old, after=new)
        await audit.record(connection, [entry], now=now, actor=actor, reason=reason)
    return after


async def _require(connection: Connection, wanted: Wanted) -> None:
    brand = wanted.brand
    wrong = mistakes_in_brand(brand)
    if wrong:
        raise Refused(f"brand {brand.id}: {wrong[0]}", "correct it", details={"problems": wrong})
    known = {**await _files(connection, brand.details), **wanted.files}
    made = looks(brand.id, brand.details, known)
    from billing.documents.press import Press  # noqa: PLC0415 - typst and Babel take long to load

    await asyncio.to_thread(lambda: Press().try_out(made))


async def _keep(connection: Connection, files: Files, *, now: datetime) -> None:
    for sha256, content in files.items():
        await SQL.insert_brand_file.execute(connection, sha256=bytes.fromhex(sha256), content=content, now=now)


async def _files(connection: Connection, details: BrandDetails) -> dict[str, bytes]:
    named = [bytes.fromhex(each.sha256) for each in (details.logo, details.template) if each is not None]
    rows = await SQL.brand_files.fetch(connection, sums=named) if named else []
    return {row["sha256"].hex(): row["content"] for row in rows}


def read_brand(row: Any) -> SellersBrand:
    return SellersBrand(id=row["id"], seller=row["seller"], details=_DETAILS.validate_json(row["details"]))


async def get(connection: Connection, id_: str) -> SellersBrand:
    """Raises:
    NotFound: no such brand.
    """
    found = await list_brands(connection, id_=id_)
    if not found:
        raise NotFound(f"no brand {id_}", SEE_BRANDS)
    return found[0]


async def list_brands(
    connection: Connection, *, id_: str | None = None, seller: str | None = None
) -> list[SellersBrand]:
    return [read_brand(row) for row in await SQL.brands.fetch(connection, id=id_, seller=seller)]


async def require_brand(connection: Connection, id_: str, *, seller: str) -> None:
    """Raises:
    Refused: there is no such brand of this seller.
    """
    found = await list_brands(connection, id_=id_)
    if not found:
        raise Refused(f"no brand {id_}", SEE_BRANDS)
    if found[0].seller != seller:
        raise Refused(f"brand {id_} is of seller {found[0].seller}", f"name one of {seller}: csms brand list")


class Looks:
    """The looks of brands, with their files: read again only where a brand has changed meanwhile."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[SellersBrand, Brand]] = {}

    async def of(self, connection: Connection, id_: str) -> tuple[SellersBrand, Brand]:
        """Raises:
        NotFound: no such brand.
        """
        found = await get(connection, id_)
        known = self._known.get(id_)
        if known is not None and known[0] == found:
            return known
        made = looks(id_, found.details, await _files(connection, found.details))
        self._known[id_] = found, made
        return found, made
