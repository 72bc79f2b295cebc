"""Files as rows: added by operators, sent by charge points, handed out by address. Every node can hand out every file."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import IO, Any

from asyncpg import Record

from billing import NotFound, Queries, Refused, Unavailable
from csms.files.address import TOKEN_BYTES, address, clean_name, token_hash

SQL = Queries.load(__package__)
PART_BYTES = 256 * 1024
FILE_BYTES_MAX = 4 * 1024**3
MOST = 1000
TRANSFERS_MAX = 200
"""Kept of one address: those who fetch in many small parts are seen to do so, and fill no disk."""


class Direction(StrEnum):
    DOWNLOAD = "download"
    UPLOAD = "upload"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """An address that a charge point may use, and the file behind it. `file` None: nothing has been sent to it yet."""

    id: int
    direction: Direction
    charge_point: str
    request: int | None
    file: int | None
    name: str | None
    size_bytes: int | None
    sha256: bytes | None
    bytes_max: int | None
    expired: bool
    used: bool
    gone: bool


# --- by operators


async def add(connection: Any, content: IO[bytes], *, name: str, kind: str, actor: str) -> int:
    """Store a file; its id. Call it in a transaction: half a file is none.

    Raises:
        Refused: it is empty, or larger than any charge point could take.
    """
    file: int = await SQL.insert_file.fetchval(
        connection, kind=kind, name=clean_name(name), charge_point=None, actor=actor
    )
    sum_ = hashlib.sha256()
    size = 0
    for part in _parts(content):
        await SQL.insert_part.execute(connection, file=file, at_byte=size, content=part)
        sum_.update(part)
        size += len(part)
        if size > FILE_BYTES_MAX:
            raise Refused(
                f"{name} has more than {FILE_BYTES_MAX} bytes", "take the file that charge points are to have"
            )
    if not size:
        raise Refused(f"{name} is empty", "take the file that charge points are to have")
    await SQL.complete_file.execute(connection, id=file, size_bytes=size, sha256=sum_.digest())
    return file


def _parts(content: IO[bytes]) -> Iterator[bytes]:
    while part := content.read(PART_BYTES):
        yield part


async def list_files(
    connection: Any, *, kind: str | None = None, charge_point: str | None = None, most: int = MOST
) -> list[dict[str, Any]]:
    """Files that are whole and there, newest first."""
    rows = await SQL.files.fetch(connection, id=None, kind=kind, charge_point=charge_point, even_gone=False, most=most)
    return [_shown(row) for row in rows]


async def get(connection: Any, file: int) -> dict[str, Any]:
    """One file, even if its content is gone.

    Raises:
        NotFound: there is no such file.
    """
    row = await SQL.files.fetchrow(connection, id=file, kind=None, charge_point=None, even_gone=True, most=1)
    if row is None:
        raise NotFound(f"no file {file}", "see csms file list")
    return _shown(row)


def _shown(row: Record) -> dict[str, Any]:
    return {
        "id": row["id"],
        "kind": row["kind"],
        "name": row["name"],
        "charge_point": row["charge_point"],
        "size_bytes": row["size_bytes"],
        "sha256": row["sha256"],
        "created_at": row["created_at"],
        "completed_at": row["completed_at"],
        "actor": row["actor"],
        "fetched_by": row["fetched_by"],
        "deleted_at": row["deleted_at"],
        "deleted_by": row["deleted_by"],
    }


async def transfers_of(connection: Any, file: int) -> list[dict[str, Any]]:
    """What went over the wire, newest first."""
    return [dict(row) for row in await SQL.transfers_of_file.fetch(connection, file=file)]


async def part(connection: Any, file: int, *, first: int, end: int) -> bytes:
    """Bytes of a file from `first` on: as many as lie together, at most to before `end`.

    Raises:
        Unavailable: its content has been deleted meanwhile.
    """
    row = await SQL.part_at.fetchrow(connection, file=file, at_byte=first)
    found: bytes = b"" if row is None else row["content"][first - row["at_byte"] : end - row["at_byte"]]
    if not found:
        raise Unavailable(f"the content of file {file} is gone", f"see csms file show {file}")
    return found


async def write_to(connection: Any, file: int, target: IO[bytes]) -> None:
    """Write all of a file, and check that it is what was put in.

    Raises:
        NotFound: there is no such file.
        Refused: it is not whole, or its content was deleted.
        Unavailable: its content has been deleted meanwhile, or is damaged.
    """
    known = await get(connection, file)
    if known["completed_at"] is None or known["deleted_at"] is not None:
        why = "is not whole yet" if known["completed_at"] is None else f"was deleted by {known['deleted_by']}"
        raise Refused(f"file {file} {why}", "see csms file list")
    sum_ = hashlib.sha256()
    at = 0
    while at < known["size_bytes"]:
        found = await part(connection, file, first=at, end=known["size_bytes"])
        target.write(found)
        sum_.update(found)
        at += len(found)
    if sum_.digest() != known["sha256"]:
        raise Unavailable(f"the content of file {file} is damaged", "restore it from a backup of the database")


async def delete(connection: Any, file: int, *, actor: str) -> dict[str, Any]:
    """Let go of a file's content. That it was there stays.

    Raises:
        NotFound: there is no such file.
        Refused: it is firmware that is still offered.
    """
    await get(connection, file)
    async with connection.transaction():
        image = await SQL.image_of_file.fetchrow(connection, file=file)
        if image is not None:
            raise Refused(
                f"file {file} is firmware {image['version']}", f"withdraw it first: csms firmware delete {image['id']}"
            )
        if await SQL.mark_deleted.fetchval(connection, id=file, actor=actor) is not None:
            await SQL.delete_parts.execute(connection, file=file)
    return await get(connection, file)


async def forget_old(connection: Any, *, keep: timedelta) -> int:
    """Let go of logs older than `keep` and of uploads that never ended; how many."""
    rows = await SQL.old_logs.fetch(connection, keep=keep)
    for row in rows:
        async with connection.transaction():
            await SQL.mark_deleted.fetchval(connection, id=row["id"], actor="(kept long enough)")
            await SQL.delete_parts.execute(connection, file=row["id"])
    return len(rows)


# --- by address


def new_address(base: str, name: str = "") -> tuple[str, str]:
    """An address that nobody can guess, and the token in it. Nothing is behind it yet."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    return address(base, token, name), token


async def let_fetch(
    connection: Any, token: str, *, charge_point: str, file: int, request: int | None, lifetime: timedelta
) -> None:
    """Behind the token's address a charge point finds a file, for a while."""
    known = await get(connection, file)
    assert known["completed_at"] is not None, "half a file is handed out to nobody"
    await SQL.insert_grant.fetchval(
        connection, token_hash=token_hash(token), direction=str(Direction.DOWNLOAD), charge_point=charge_point,
        file=file, request=request, bytes_max=None, lifetime=lifetime,
    )  # fmt: skip


async def let_send(
    connection: Any, token: str, *, charge_point: str, request: int | None, bytes_max: int, lifetime: timedelta
) -> None:
    """To the token's address a charge point sends one file, within a while."""
    await SQL.insert_grant.fetchval(
        connection, token_hash=token_hash(token), direction=str(Direction.UPLOAD), charge_point=charge_point,
        file=None, request=request, bytes_max=bytes_max, lifetime=lifetime,
    )  # fmt: skip


async def grant_of(connection: Any, token: str) -> Grant | None:
    """What a token lets its holder do; None: nothing, and never has."""
    hashed = token_hash(token)
    row = await SQL.grant_of.fetchrow(connection, token_hash=hashed)
    if row is None or not secrets.compare_digest(row["token_hash"], hashed):
        return None
    return Grant(
        id=row["id"], direction=Direction(row["direction"]), charge_point=row["charge_point"], request=row["request"],
        file=row["file"], name=row["name"], size_bytes=row["size_bytes"], sha256=row["sha256"],
        bytes_max=row["bytes_max"], expired=row["expired"], used=row["used_at"] is not None, gone=bool(row["gone"]),
    )  # fmt: skip


async def note_transfer(
    connection: Any, grant: Grant, *, first: int, bytes_: int, whole: bool, outcome: str, remote: str | None,
    began_at: datetime,
) -> None:  # fmt: skip
    """Keep what went over the wire, while the address has not filled its share."""
    await SQL.insert_transfer.execute(
        connection, grant=grant.id, first_byte=first, bytes=bytes_, whole=whole, outcome=outcome, remote=remote,
        began_at=began_at, most=TRANSFERS_MAX,
    )  # fmt: skip


async def require_endpoint(connection: Any) -> str:
    """Where charge points reach files.

    Raises:
        Refused: no server that lives has a file endpoint.
    """
    url: str | None = await SQL.live_files_url.fetchval(connection)
    if url is None:
        raise Refused(
            "no csms server that runs hands out files to charge points",
            "start it with csms serve --files-url https://HOST:9444 and certificates, as charge points are to see it",
        )
    return url
