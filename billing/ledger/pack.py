"""The pack of a locked month: everything that is handed over of it, in a directory, with a list of hashes.

Made again it is the same to the byte. A room that has something to hand over adds its part to PARTS.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from filecmp import cmp
from hashlib import file_digest
from pathlib import Path
from typing import Final, TypeAlias

from billing.cli_output import json_value
from billing.errors import Refused
from billing.ledger import export
from billing.ledger.balance import balances
from billing.ledger.close import Locked, find_lock
from billing.ledger.export import Form
from billing.ledger.layout import csv_bytes
from billing.ledger.month import last_day, month_text
from billing.ledger.open_items import open_items
from billing.sql import Connection

MANIFEST: Final = "manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """A locked month that is being packed into a directory; `forms` are those of the ledger that are wanted."""

    connection: Connection
    seller: str
    month: date
    directory: Path
    forms: Sequence[Form]
    now: datetime
    actor: str

    def write_rows(self, name: str, rows: Iterable[dict[str, object]], columns: Sequence[str]) -> None:
        """A file with a line for each row."""
        lines = ([json_value(row[column]) for column in columns] for row in rows)
        (self.directory / name).write_bytes(csv_bytes([columns]) + csv_bytes(lines))


Part: TypeAlias = Callable[[Packing], Awaitable[None]]
"""Writes its files."""


async def _ledger(packing: Packing) -> None:
    """Every file of the month that went to the general ledger, and one more with what had not gone there yet."""
    connection, seller, month = packing.connection, packing.seller, packing.month
    fresh = packing.directory / ".fresh"
    for form in packing.forms:
        made = export.export_pending(
            connection, seller, form, lambda: fresh.open("wb"), month=month, now=packing.now, actor=packing.actor,
            reason=f"in the pack of {month_text(month)}",
        )  # fmt: skip
        written = set()
        async for each, file in made:
            file.close()
            fresh.rename(packing.directory / each.file_name)
            written.add(each.id)
        for each in await export.exports_of(connection, seller, month=month, form=form):
            if each.id not in written:
                with (packing.directory / each.file_name).open("wb") as file:
                    await export.write_again(connection, each, file)


async def _trial_balance(packing: Packing) -> None:
    found = await balances(packing.connection, packing.seller, as_of=last_day(packing.month))
    packing.write_rows(
        "trial-balance.csv",
        (each.to_dict() for each in found),
        ("account", "owner", "debit", "credit", "balance", "currency"),
    )


async def _open_items(packing: Packing) -> None:
    as_of = last_day(packing.month)
    found = await open_items(packing.connection, packing.seller, as_of=as_of)
    packing.write_rows(
        "open-items.csv",
        (each.to_dict(as_of) for each in found),
        ("account", "owner", "document", "opened_on", "due_on", "days_overdue", "age", "open", "currency"),
    )


PARTS: Final = (_ledger, _trial_balance, _open_items)
"""What is in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedFile:
    """A file of the pack; `is_new` false: it was there, the same."""

    name: str
    size: int
    sha256: str
    is_new: bool

    def to_dict(self) -> dict[str, object]:
        return {"file": self.name, "bytes": self.size, "sha256": self.sha256, "new": self.is_new}


async def pack(
    connection: Connection,
    seller: str,
    month: date,
    directory: Path,
    *,
    forms: Sequence[Form],
    now: datetime,
    actor: str,
) -> list[PackedFile]:
    """Write the pack of a locked month; what is there already and the same stays.

    Raises:
        Refused: the month is not locked, accounts have no number, or a file is there and says otherwise.
    """
    locked = await find_lock(connection, seller, month)
    if locked is None:
        raise Refused(
            f"{month_text(month)} of {seller} is not locked",
            f"csms close lock --seller {seller} --month {month_text(month)} --reason ... first",
        )
    for form in forms:  # an export is for good: none is made where another of the same pack would be refused
        await export.require_exportable(connection, seller, form, month=month)
    with _workplace(directory) as place:
        packing = Packing(
            connection=connection, seller=seller, month=month, directory=Path(place), forms=forms, now=now, actor=actor
        )
        for part in PARTS:
            await part(packing)
        _write_manifest(packing.directory, locked)
        return _put(packing.directory, directory)


def _workplace(directory: Path) -> tempfile.TemporaryDirectory[str]:
    """Within the directory, so that files need only be renamed when they are done."""
    directory.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix=".pack-", dir=directory)


def _write_manifest(place: Path, locked: Locked) -> None:
    files = [
        {"file": path.name, "bytes": path.stat().st_size, "sha256": _sha256(path)} for path in sorted(place.iterdir())
    ]
    body = {str(name): json_value(value) for name, value in locked.to_dict().items()} | {"files": files}
    (place / MANIFEST).write_text(json.dumps(body, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _put(place: Path, directory: Path) -> list[PackedFile]:
    """Move files to where they belong, all or none; the manifest last, so that it is there only if all else is."""
    paths = sorted(place.iterdir(), key=lambda path: (path.name == MANIFEST, path.name))
    new = {path.name: not (directory / path.name).exists() for path in paths}
    other = [path.name for path in paths if not new[path.name] and not cmp(path, directory / path.name, shallow=False)]
    if other:
        raise Refused(
            f"{directory} has another {', '.join(other)}", "pack into an empty directory, and compare the two"
        )
    found = [
        PackedFile(name=path.name, size=path.stat().st_size, sha256=_sha256(path), is_new=new[path.name])
        for path in paths
    ]
    for path in paths:
        if new[path.name]:
            path.rename(directory / path.name)
    return found
