"""csms archive as operators and scripts use it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import click
import pytest
from click.testing import CliRunner, Result

from billing import CommandGroup, ExitCode
from billing.archive.cli import archive_group
from tests.billing.archive.conftest import Room, deposit

Run = Callable[..., Awaitable[Result]]
WHY = ("--reason", "because")


@pytest.fixture
def run(database: str, room: Room) -> Run:
    """Runs a command line against the test's database, in a thread since commands bring their own loop."""

    @asynccontextmanager
    async def connect(_context: click.Context) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(database)
        try:
            yield connection
        finally:
            await connection.close()

    group = archive_group(connect, directory=lambda _context: room.archive.contents.directory, actor=lambda: "ada")
    root = CommandGroup("csms", commands=[group])

    async def run(*arguments: object) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, root, ["archive", *(str(each) for each in arguments)])

    return run


def read(result: Result, code: int = 0) -> Any:
    assert result.exit_code == code, (result.stderr, result.exception)
    return json.loads(result.stdout)


def message(result: Result) -> str:
    return str(json.loads(result.stderr)["message"])


async def test_the_documents_of_a_customer_are_listed_shown_and_exported(run: Run, room: Room, tmp_path: Path) -> None:
    await room.store(deposit("one"), deposit("two", account="K-2"), deposit("three"))
    out = tmp_path / "one.pdf"

    listed = read(await run("list", "--account", "K-1", "-o", "json"))
    of_number = read(await run("list", "--subject", "RE-two", "--kind", "invoice_pdf", "-o", "json"))
    shown = read(await run("show", 1, "-o", "json"))
    exported = await run("export", 1, "--out", out)
    again = await run("export", 1, "--out", out)

    assert [each["subject"] for each in listed] == ["RE-three", "RE-one"]
    assert (listed[0]["retain_until"], listed[0]["held"], listed[0]["deleted_at"]) == ("2034-12-31", False, None)
    assert [each["id"] for each in of_number] == [2]
    assert (shown["action"], shown["size_bytes"], shown["held"]) == ("stored", 3, False)
    assert (exported.exit_code, out.read_bytes()) == (0, b"one")
    assert (again.exit_code, message(again)) == (ExitCode.CONFLICT, f"{out} is there already")
    assert (await run("export", 1, "--out", out, "--force")).exit_code == 0
    assert (await run("export", 1, "--out", "-")).stdout == "one"
    assert (await run("show", 9)).exit_code == (await run("export", 9, "--out", tmp_path / "x")).exit_code == 3
    assert {name for name in os.listdir(tmp_path) if name != "archive"} == {"one.pdf"}  # noqa: PTH208 - one look


async def test_verify_is_silent_when_right_and_says_what_is_wrong_and_what_to_do(run: Run, room: Room) -> None:
    stored = await room.store(deposit("one"), deposit("two"))
    right = await run("verify")
    head = read(await run("verify", "-o", "json"))["head"]
    kept = await run("verify", "--noted", head)
    cut = await run("verify", "--noted", f"9:{'ab' * 32}", "-o", "json")
    path = room.file(stored[0])
    path.chmod(0o600)
    path.write_bytes(b"onE")
    wrong = await run("verify", "-o", "json")
    for_people = await run("verify")

    assert right.exit_code == kept.exit_code == 0
    assert right.stdout.splitlines()[:3] == ["entries\t2", "contents\t2", "bytes\t6"]
    assert right.stderr == ""
    assert read(cut, ExitCode.FINDINGS)["findings"][0]["what"] == "cut"
    report = read(wrong, ExitCode.FINDINGS)
    assert (report["entries"], report["contents"], report["found"]) == (2, 2, 1)
    assert report["findings"] == [
        {
            "what": "changed", "entry": 1, "file": str(path),
            "detail": f"has the sum {hashlib.sha256(b'onE').hexdigest()}",
            "next": "bring the file back from a backup of the archive's directory",
        }
    ]  # fmt: skip
    assert for_people.exit_code == ExitCode.FINDINGS
    assert "1 finding(s): see next in each row" in for_people.stderr
    assert f"changed\t1\t{path}" in for_people.stdout
    assert (await run("verify", "--noted", "nonsense")).exit_code == ExitCode.USAGE
    assert (await run("export", 1, "--out", "-")).exit_code == ExitCode.FAILED


async def test_a_hold_is_set_with_a_reason_listed_and_lifted(run: Run, room: Room) -> None:
    await room.store(deposit("one"))
    tried = read(await run("hold", "set", "--account", "K-1", *WHY, "--dry-run", "-o", "json"))
    nothing = read(await run("hold", "list", "-o", "json"))
    hold = read(await run("hold", "set", "--account", "K-1", *WHY, "-o", "json"))["hold"]
    held = read(await run("list", "-o", "json"))
    opened = read(await run("hold", "list", "--open", "-o", "json"))
    lifted = await run("hold", "lift", hold, *WHY)
    twice = await run("hold", "lift", hold, *WHY)

    assert (tried["dry_run"], nothing) == (True, [])
    assert [each["held"] for each in held] == [True]
    assert [(each["account"], each["reason"], each["actor"]) for each in opened] == [("K-1", "because", "ada")]
    assert (lifted.exit_code, twice.exit_code) == (0, ExitCode.CONFLICT)
    assert read(await run("hold", "list", "--open", "-o", "json")) == []
    assert read(await run("hold", "list", "-o", "json"))[0]["lifted_by"] == "ada"
    assert (await run("hold", "set", "--account", "K-1")).exit_code == ExitCode.USAGE
    assert (await run("hold", "set", *WHY)).exit_code == ExitCode.USAGE
    assert (await run("hold", "set", "--entry", 1, "--account", "K-1", *WHY)).exit_code == ExitCode.USAGE
    assert (await run("hold", "set", "--subject", "RE-9", *WHY)).exit_code == ExitCode.NOT_FOUND
    assert read(await run("verify", "-o", "json"))["found"] == 0


async def test_expire_says_beforehand_what_it_would_delete_and_needs_a_reason(run: Run, room: Room) -> None:
    await room.store(deposit("one"), deposit("two", country="XX"))
    tried = await run("expire", "--dry-run", "--on", "2035-01-01", "-o", "json")
    now = await run("expire", *WHY, "-o", "json")

    assert [each["id"] for each in read(tried)] == [1]
    assert "1 entries would be deleted" in tried.stderr
    assert read(now) == []
    assert (await run("expire")).exit_code == ExitCode.USAGE
    assert (await run("expire", "--on", "2035-01-01", *WHY)).exit_code == ExitCode.USAGE
    assert len(room.files()) == 2


async def test_years_are_listed_and_set(run: Run, room: Room) -> None:
    before = read(await run("retention", "list", "-o", "json"))
    tried = read(
        await run("retention", "set", "voucher", "--country", "de", "--years", 11, *WHY, "--dry-run", "-o", "json")
    )
    done = await run("retention", "set", "voucher", "--country", "de", "--years", 11, *WHY)
    after = read(await run("retention", "list", "-o", "json"))
    [entry] = await room.store(deposit("one"))

    def german(rows: list[dict[str, Any]]) -> list[tuple[object, ...]]:
        picked = [each for each in rows if (each["retention_class"], each["country"]) == ("voucher", "DE")]
        return [(each["years"], each["own"], each["actor"]) for each in picked]

    assert (german(before), tried["dry_run"], done.exit_code) == ([(8, False, None)], True, 0)
    assert german(after) == [(11, True, "ada")]
    assert entry.retain_until is not None
    assert entry.retain_until.year == 2037
    assert (await run("retention", "set", "voucher", "--country", "Germany", "--years", 8, *WHY)).exit_code == 5
    assert (await run("retention", "set", "secret", "--years", 8, *WHY)).exit_code == ExitCode.USAGE
