"""What the archive has goes with the backup of its database, and comes back with it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from billing.archive.entry import Deposit
from billing.archive.service import Archive, Order
from csms.cli.backups import back_up, copy_beside
from csms.cli.main import csms
from csms.database.cluster import open_cluster
from csms.database.migrate import migrate
from csms.database.pool import connect_once

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)


def run(data_dir: Path, *arguments: object) -> Result:
    return CliRunner().invoke(csms, ["--data-dir", str(data_dir), *map(str, arguments)])


def done(data_dir: Path, *arguments: object) -> dict[str, object]:
    said = run(data_dir, *arguments, "-o", "json")
    assert said.exit_code == 0, (said.stdout, said.stderr)
    found: dict[str, object] = json.loads(said.stdout)
    return found


def files(place: Path) -> list[str]:
    return sorted(str(each.relative_to(place)) for each in place.rglob("*") if each.is_file())


async def store(dsn: str, archive: Archive, contents: Sequence[str], *, settle: bool = True) -> None:
    deposits = [
        Deposit(
            content=each.encode(), media_type="application/pdf", kind="invoice_pdf", subject=f"RE-{each}", day=NOW.date(),
            account="K-1", country="DE",
        )
        for each in contents
    ]  # fmt: skip
    async with connect_once(dsn) as connection:
        async with connection.transaction():
            await archive.deposit(connection, deposits, actor="ada", now=NOW)
        if settle:
            await archive.settle(connection)


@pytest.fixture
def first(data_home: Path) -> Path:
    """An installation whose archive has two contents that arrived and one that has not moved yet."""
    data_dir = data_home / "first"

    async def work() -> None:
        archive = Archive(data_dir / "archive")
        async with open_cluster(data_dir, "own", fast=True) as dsn:
            await migrate(dsn)
            await store(dsn, archive, ["one", "two"])
            await store(dsn, archive, ["three"], settle=False)

    asyncio.run(work())
    return data_dir


def test_a_backup_has_every_content_and_its_restore_an_archive_that_is_whole(first: Path, data_home: Path) -> None:
    dump, second = data_home / "csms.dump", data_home / "second"
    killed = copy_beside(dump).with_name(f"{copy_beside(dump).name}.part")
    killed.mkdir()
    (killed / "SHA256SUMS").write_text(f"{'0' * 64}  objects/00/{'0' * 64}\n")
    made = done(first, "db", "backup", dump)
    proven = done(data_home / "nowhere", "db", "verify", dump)
    back = done(second, "db", "restore", dump)
    whole = done(second, "archive", "verify")

    copy = copy_beside(dump)
    assert (made["archive"], made["contents"], made["contents_bytes"]) == (str(copy), 3, len("onetwothree"))
    assert proven["differences"] == []
    assert (back["archive"], back["contents"]) == (str(second / "archive"), 3)
    assert (whole["contents"], whole["found"]) == (3, 0)
    assert [each for each in files(copy) if not each.startswith("objects/")] == ["SHA256SUMS"]
    assert files(second / "archive") == sorted(each for each in files(copy) if each.startswith("objects/"))


def test_one_changed_byte_of_a_copy_is_found_and_is_not_restored_in_silence(first: Path, data_home: Path) -> None:
    dump = data_home / "csms.dump"
    done(first, "db", "backup", dump)
    victim = min((copy_beside(dump) / "objects").rglob("*/*"))
    victim.chmod(0o600)
    victim.write_bytes(b"xne")

    proven = run(data_home / "nowhere", "db", "verify", dump, "-o", "json")
    back = run(data_home / "second", "db", "restore", dump)

    [row] = json.loads(proven.stdout)["differences"]
    assert (proven.exit_code, row["stored"], row["what"].startswith("archive entry")) == (6, "changed", True)
    assert str(victim) in row["next"]
    assert back.exit_code == 6
    assert "1 contents are missing or have changed" in back.stderr


def test_a_restore_never_touches_an_archive_that_has_something(first: Path, data_home: Path) -> None:
    dump, second = data_home / "csms.dump", data_home / "second"
    done(first, "db", "backup", dump)
    (second / "archive").mkdir(parents=True)
    (second / "archive" / "mine").write_text("mine")

    refused = run(second, "db", "restore", dump)

    assert refused.exit_code == 5
    assert "never mixes with what is there" in refused.stderr
    assert files(second) == ["archive/mine"]


def test_a_backup_does_not_overwrite_the_contents_of_another(data_home: Path) -> None:
    dump = data_home / "csms.dump"
    copy_beside(dump).mkdir()

    refused = run(data_home / "first", "db", "backup", dump)

    assert (refused.exit_code, dump.exists()) == (7, False)


def test_what_is_missing_when_it_is_backed_up_is_told(first: Path, data_home: Path) -> None:
    min((first / "archive" / "objects").rglob("*/*")).unlink()

    made = run(first, "db", "backup", data_home / "csms.dump", "-o", "json")

    assert (made.exit_code, json.loads(made.stdout)["contents"]) == (6, 2)
    assert "1 contents are missing" in made.stderr


async def test_what_is_deposited_or_expires_meanwhile_is_none_of_the_backups_business(data_home: Path) -> None:
    data_dir, dump = data_home / "busy", data_home / "csms.dump"
    archive = Archive(data_dir / "archive")
    async with open_cluster(data_dir, "own", fast=True) as dsn:
        await migrate(dsn)
        await store(dsn, archive, [f"before {n}" for n in range(40)])

        async def deposits() -> None:
            for n in range(40):
                await store(dsn, archive, [f"meanwhile {n}"])

        async def expires() -> None:
            async with connect_once(dsn) as connection:
                order = Order(today=date(2090, 1, 1), now=NOW, actor="ada", reason="clearance")
                await archive.expire(connection, order)

        backing = asyncio.create_task(back_up(dsn, archive.contents.directory, dump))
        await asyncio.sleep(0.1)
        await asyncio.gather(deposits(), expires())
        _, copied = await backing

    assert copied is not None
    assert copied.lost == ()
    assert copied.contents >= 40
