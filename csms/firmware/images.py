"""Firmware that is here to be handed out."""

from __future__ import annotations

from typing import IO, Any

from billing import AlreadyDone, NotFound, Refused
from csms.files import service as files
from csms.firmware.store import SQL


async def add(
    connection: Any, content: IO[bytes], *, name: str, version: str, vendor: str | None, model: str | None,
    signature: str | None, certificate: str | None, actor: str,
) -> dict[str, Any]:  # fmt: skip
    """Store firmware; all of it or nothing.

    Raises:
        AlreadyDone: this version for these charge points is here.
        Refused: the file is empty or too large.
    """
    async with connection.transaction():
        file = await files.add(connection, content, name=name, kind="image", actor=actor)
        image = await SQL.insert_image.fetchval(
            connection, file=file, version=version, vendor=vendor, model=model, signature=signature,
            certificate=certificate, actor=actor,
        )  # fmt: skip
        if image is None:
            raise AlreadyDone(
                f"firmware {version} for these charge points is here already",
                "see csms firmware list; delete it first if it was the wrong file",
            )
    return await get(connection, image)


async def list_images(connection: Any) -> list[dict[str, Any]]:
    """Firmware that is offered, newest first."""
    return [_shown(row) for row in await SQL.images.fetch(connection, id=None, even_withdrawn=False)]


async def get(connection: Any, image: int) -> dict[str, Any]:
    """One, even if it is offered no longer.

    Raises:
        NotFound: there is none with this number.
    """
    row = await SQL.images.fetchrow(connection, id=image, even_withdrawn=True)
    if row is None:
        raise NotFound(f"no firmware {image}", "see csms firmware list")
    return _shown(row)


async def withdraw(connection: Any, image: int, *, actor: str) -> dict[str, Any]:
    """Offer it no longer, and let go of its file.

    Raises:
        NotFound: there is none with this number.
        Refused: a roll-out is handing it out.
    """
    await get(connection, image)
    async with connection.transaction():
        under_way = [row["id"] for row in await SQL.open_rollouts_of_image.fetch(connection, image=image)]
        if under_way:
            raise Refused(
                f"firmware {image} is being rolled out: {', '.join(map(str, under_way))}",
                f"end that first: csms firmware rollout abort {under_way[0]}",
            )
        file = await SQL.withdraw_image.fetchval(connection, id=image)
        if file is not None:
            await files.delete(connection, file, actor=actor)
    return await get(connection, image)


def _shown(row: Any) -> dict[str, Any]:
    names = (
        "id", "version", "vendor", "model", "file", "name", "size_bytes", "sha256", "signed", "rollouts", "added_at",
        "actor", "withdrawn_at",
    )  # fmt: skip
    return {name: row[name] for name in names}


async def signature_of(connection: Any, image: int) -> tuple[str | None, str | None]:
    """Certificate and signature, as they go along on the wire."""
    row = await SQL.images.fetchrow(connection, id=image, even_withdrawn=True)
    assert row is not None, "images are withdrawn, never deleted"
    return row["certificate"], row["signature"]
