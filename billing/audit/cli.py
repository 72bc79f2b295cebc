"""csms audit: who changed what, when and why, and that nobody touched the log since."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

import click

from billing.audit import service
from billing.audit.entry import ChainCheck, Entry, Finding, PersonalValues
from billing.cli_output import Format, Output, async_command, output_options
from billing.cli_parameters import INSTANT, Connect
from billing.errors import ExitCode

COLUMNS = ("id", "at", "actor", "noun", "subject", "action", "reason")
EXPORT_COLUMNS = (*COLUMNS, "before", "after", "hash_prev", "hash")
FINDING_COLUMNS = ("entry", "problem")
LIMIT_MAX = 100_000
_HEAD = re.compile(r"(\d{1,18}):([0-9a-f]{64})")


def audit_group(connect: Connect) -> click.Group:
    """The command group on connections of whoever mounts it."""

    @click.group("audit")
    def audit() -> None:
        """The log of every change to sellers, customers and their contracts: append-only, chained by hashes.

        \b
        Examples:
          csms audit log --subject C-1001
          csms audit verify
          csms audit export -o csv > audit.csv
        """

    _add_log(audit, connect)
    _add_verify(audit, connect)
    _add_export(audit, connect)
    return audit


def _add_log(group: click.Group, connect: Connect) -> None:
    @group.command("log")
    @click.option("--noun", help="Only changes to such things: account, seller, token ...")
    @click.option("--subject", metavar="ID", help="Only changes to the thing of this id.")
    @click.option("--since", type=INSTANT, help="Only what was done then or later.")
    @click.option("--limit", type=click.IntRange(1, LIMIT_MAX), default=100, show_default=True)
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context,
        noun: str | None,
        subject: str | None,
        since: datetime | None,
        limit: int,
        output: Output,
    ) -> None:
        """Show the newest changes, the latest at the end; -o json with what was before and after.

        \b
        Examples:
          csms audit log --noun account --subject C-1001 -o json
          csms audit log --since 2026-03-01 --limit 1000
        """
        async with connect(context) as connection:
            found = await service.newest(connection, noun=noun, subject=subject, since=since, limit=limit)
            personal = await service.personal_of(connection, [each.id for each in found])
        rows = [_row(each, personal.get(each.id, ())) for each in found]
        if output.format is Format.TABLE and not output.fields:
            rows = [{name: row[name] for name in COLUMNS} for row in rows]
        output.rows(rows, columns=COLUMNS)


def _add_verify(group: click.Group, connect: Connect) -> None:
    @group.command("verify")
    @click.option(
        "--expect",
        metavar="ID:HASH",
        callback=_head,
        help="Where the log ended once: as verify or a closed month told.",
    )
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, expect: tuple[int, str] | None, output: Output) -> None:
        """Follow the chain of hashes from the first entry to the last. Silent where it holds; exit status 6 where not.

        What was cut off at the end leaves no trace in what remains: keep what it prints as the end, and give it to --expect.

        \b
        Examples:
          csms audit verify
          csms audit verify --expect 4711:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
        """
        check = ChainCheck()
        expected_hash: str | None = None
        async with connect(context) as connection:
            async for entry, personal in service.entries(connection):
                check.see(entry, personal)
                if expect is not None and entry.id == expect[0]:
                    expected_hash = entry.hash.hex()
        findings = list(check.findings)
        if expect is not None and expected_hash != expect[1]:
            gone = "is gone" if expected_hash is None else "is another one"
            findings.append(Finding(entry=expect[0], problem=f"the entry that once was the end of the log {gone}"))
        if findings:
            output.rows([{"entry": each.entry, "problem": each.problem} for each in findings], columns=FINDING_COLUMNS)
            context.exit(ExitCode.FINDINGS)
        output.note(f"{check.last} entries, end {check.last}:{check.hash.hex()}")


def _head(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[int, str] | None:
    if value is None:
        return None
    match = _HEAD.fullmatch(value.strip().lower())
    if match is None:
        raise click.BadParameter("write it as csms audit verify prints it: the entry's id, a colon, 64 digits")
    return int(match[1]), match[2]


def _add_export(group: click.Group, connect: Connect) -> None:
    @group.command("export")
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, output: Output) -> None:
        """Hand over the whole log with its hashes, as it stands: a stream, whatever its length.

        Each hash is SHA-256 of canonical JSON of all other columns (names sorted, no blanks, ASCII), hash_prev among them.
        It covers each column as it stands here; in csv id is a number, before and after are JSON, and null where empty.

        \b
        Examples:
          csms audit export -o jsonl > audit.jsonl
          csms audit export -o csv > audit.csv
        """
        stream = output.stream(EXPORT_COLUMNS)
        async with connect(context) as connection:
            async for entry, _ in service.entries(connection):
                stream.send(_row(entry) | {"at": entry.at_hashed})


def _row(entry: Entry, personal: Sequence[PersonalValues] = ()) -> dict[str, object]:
    kept = {values.side: {"personal_values": values.body} for values in personal}
    return {
        "id": entry.id,
        "at": entry.at,
        "actor": entry.actor,
        "noun": entry.noun,
        "subject": entry.subject,
        "action": entry.action,
        "reason": entry.reason,
        "before": None if entry.before is None else {**entry.before, **kept.get("before", {})},
        "after": None if entry.after is None else {**entry.after, **kept.get("after", {})},
        "hash_prev": entry.hash_prev,
        "hash": entry.hash,
    }
