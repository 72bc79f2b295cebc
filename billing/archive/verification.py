"""Whether the archive is what it was: the chain, and the sum of every file. Changes nothing but what settles by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from billing.archive import store
from billing.archive.contents import PREFIXES, ContentChanged, Contents, Stranger
from billing.archive.entry import NO_ENTRY, Break, Head, breaks
from billing.archive.service import Archive
from billing.archive.store import SQL
from billing.sql import Connection

SHOWN_MAX = 10_000


class What(StrEnum):
    """What is found."""

    CHAIN = "chain"
    """A row was changed, taken out or put in."""
    CUT = "cut"
    """The chain does not have the entry that was noted elsewhere."""
    CHANGED = "changed"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    NOT_DELETED = "not_deleted"
    """The content of entries that say that it is gone."""
    SURPLUS = "surplus"
    """A file that no entry knows."""


_NEXT = {
    What.CHAIN: "compare with a backup of the database: somebody went past the application",
    What.CUT: "compare with a backup of the database: its end was cut off, or an older one was restored",
    What.CHANGED: "bring the file back from a backup of the archive's directory",
    What.MISSING: "bring the file back from a backup of the archive's directory",
    What.UNREADABLE: "see its permissions and the disk",
    What.NOT_DELETED: "run csms archive expire again",
    What.SURPLUS: "find out whose it is before it is moved away: an older database may have been restored",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as it was."""

    what: What
    entry: int | None
    file: str | None
    detail: str

    def to_dict(self) -> dict[str, object]:
        return {
            "what": self.what,
            "entry": self.entry,
            "file": self.file,
            "detail": self.detail,
            "next": _NEXT[self.what],
        }


@dataclass(slots=True)
class Report:
    """What was looked at, and what was found; only the first so many findings are kept, all are counted."""

    entries: int = 0
    contents: int = 0
    bytes_read: int = 0
    head: Head = NO_ENTRY
    found: int = 0
    findings: list[Finding] = field(default_factory=list)

    def add(self, finding: Finding) -> None:
        self.found += 1
        if len(self.findings) < SHOWN_MAX:
            self.findings.append(finding)


@dataclass(frozen=True, slots=True)
class Expected:
    """How much there is to look at."""

    entries: int
    contents: int


Advance = Callable[[int], None]


async def size_of(connection: Connection) -> Expected:
    head = await store.head(connection)
    row = await SQL.count_contents.fetchrow(connection, last=head.id)
    assert row is not None, "counting gives a row"
    return Expected(row["entries"], row["contents"])


async def verify(
    connection: Connection, archive: Archive, report: Report, advance: Advance, *, noted: Head | None = None
) -> None:
    """Look at everything; who deposits or deletes meanwhile goes on. `noted`: an entry that was written down elsewhere."""
    await archive.settle(connection)
    await _verify_chain(connection, report, advance, noted)
    for stranger in await asyncio.to_thread(lambda: list(archive.contents.strangers())):
        report.add(_surplus(stranger))
    for prefix in PREFIXES:
        await _verify_prefix(connection, archive.contents, prefix, report, advance)


async def _verify_chain(connection: Connection, report: Report, advance: Advance, noted: Head | None) -> None:
    report.head = await store.head(connection)
    before, seen = NO_ENTRY, noted is None or noted == NO_ENTRY
    async for page in store.chain(connection, report.head.id):
        for each in breaks(page, before):
            report.add(_broken(each))
        seen = seen or any(Head(each.id, each.hash) == noted for each in page)
        before = Head(page[-1].id, page[-1].hash)
        report.entries += len(page)
        advance(len(page))
    if not seen:
        assert noted is not None, "nothing to see was noted"
        report.add(Finding(what=What.CUT, entry=noted.id, file=None, detail=f"there is no entry {noted}"))


def _broken(each: Break) -> Finding:
    return Finding(what=What.CHAIN, entry=each.id, file=None, detail=f"entry {each.id} {each.what}")


async def _verify_prefix(
    connection: Connection, contents: Contents, prefix: str, report: Report, advance: Advance
) -> None:
    """One of 256 parts: its files against its rows. Rows are read after files, so that what came between is no surplus."""
    listed = await asyncio.to_thread(lambda: list(contents.listed(prefix)))
    rows = await store.contents_of(connection, prefix)
    for each in listed:
        if isinstance(each, Stranger):
            report.add(_surplus(each))
        elif each not in rows:
            report.add(_surplus(Stranger(contents.path(each))))
        elif not rows[each][1] and not await store.living(connection, [each]):
            path = str(contents.path(each))
            if contents.has(each):
                report.add(Finding(what=What.NOT_DELETED, entry=rows[each][0], file=path, detail="is still there"))
    for sha256, (entry, living) in rows.items():
        if living:
            finding = await asyncio.to_thread(_looked_at, contents, sha256, entry, report)
            if finding is not None and (
                finding.what is not What.MISSING or await _still_missing(connection, contents, sha256)
            ):
                report.add(finding)
            report.contents += 1
            advance(1)


def _surplus(stranger: Stranger) -> Finding:
    return Finding(what=What.SURPLUS, entry=None, file=str(stranger.path), detail="no entry knows it")


def _looked_at(contents: Contents, sha256: bytes, entry: int, report: Report) -> Finding | None:
    path = contents.path(sha256)
    try:
        sum_ = contents.sum_of(sha256)
        report.bytes_read += path.stat().st_size
    except FileNotFoundError:
        what, detail = What.MISSING, "is not there"
    except ContentChanged as changed:
        what, detail = What.CHANGED, str(changed)
    except OSError as trouble:
        what, detail = What.UNREADABLE, trouble.strerror or str(trouble)
    else:
        if sum_ == sha256:
            return None
        what, detail = What.CHANGED, f"has the sum {sum_.hex()}"
    return Finding(what=what, entry=entry, file=str(path), detail=detail)


async def _still_missing(connection: Connection, contents: Contents, sha256: bytes) -> bool:
    """It may have come and not moved yet, or have been deleted since the rows were read."""
    if not await store.living(connection, [sha256]):
        return False
    return not await asyncio.to_thread(_arrived, contents, sha256)


def _arrived(contents: Contents, sha256: bytes) -> bool:
    try:
        contents.read(sha256)
    except (FileNotFoundError, ContentChanged):
        return False
    return True
