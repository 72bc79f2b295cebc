"""csms mail: what is queued, sent and doubtful, and what operators decide of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, BinaryIO, TypeAlias

import click

from billing.cli_output import Output, async_command, output_options
from billing.cli_parameters import DRY_RUN, INSTANT, Connect, transaction
from billing.errors import AlreadyDone, ExitCode, NotFound, Refused
from billing.mail import operating, reporting
from billing.mail.delivery import State
from billing.mail.operating import SHOWN_MAX, Filter
from billing.mail.report import FILE_BYTES_MAX
from billing.mail.suppression_cli import suppression_group
from billing.mail.trial_cli import SettingsOf, add_test

Actor: TypeAlias = Callable[[], str]
"""Who gives a command."""

COLUMNS = (
    "id", "key", "kind", "address", "state", "tries", "queued_at", "tried_at", "next_at", "event", "code", "words",
)  # fmt: skip
REPORT_COLUMNS = ("file", "delivery", "event", "status", "bounced", "suppressed", "words")
DELIVERY_ID = click.IntRange(1, 2**63 - 1)
REASON = click.option("--reason", required=True, help="Why; kept for ever.")
HELP = """Mail to customers: a line for each recipient of each message, and what became of it.

A mail is sent until the mail server has accepted it, and then never again. Where the server was told that the mail is at its
end, and no answer came, nobody knows: such a mail is doubtful, and waits to be settled (or is sent again with the same
Message-ID: csms policy set mail when_doubtful=resend).

\b
Examples:
  csms mail list --state doubtful
  csms mail settle 17 --delivered --reason "in the log of the mail server, 4Bq2x1"
  csms mail test --to me@operator.example
"""
BOUNCE_HELP = """Reports of mail servers that came back by mail: the address does not exist, the mailbox is full.

\b
Example:
  csms mail bounce import returned/*.eml
"""


def mail_group(connect: Connect, *, settings_of: SettingsOf, actor: Actor) -> click.Group:
    """The command group; `settings_of` knows how mail is sent, where it is set at all, `actor` who gives a command."""
    bounce = click.Group("bounce", help=BOUNCE_HELP)
    _add_import(bounce, connect, actor)
    group = click.Group("mail", help=HELP, commands=[bounce, suppression_group(connect, actor)])
    for add_looking in (_add_list, _add_show):
        add_looking(group, connect)
    for add_deciding in (_add_settle, _add_retry, _add_cancel):
        add_deciding(group, connect, actor)
    add_test(group, settings_of)
    return group


def _add_list(group: click.Group, connect: Connect) -> None:
    @group.command("list")
    @click.option("--state", type=click.Choice([each.value for each in State]))
    @click.option("--kind", metavar="KIND", help="What it is, such as invoice.")
    @click.option("--account", metavar="ACCOUNT", help="Whom it concerns.")
    @click.option("--key", metavar="KEY", help="What it tells of, in full.")
    @click.option("--since", type=INSTANT, help="Queued since then.")
    @click.option("--limit", type=click.IntRange(1, 100_000), default=SHOWN_MAX, show_default=True)
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, /, state: str | None, output: Output, **filters: Any) -> None:
        """List mails, the newest first, with what was last said of each.

        \b
        Examples:
          csms mail list --state failed --since 2026-03-01
          csms mail list --account A-1001 -o json
        """
        wanted = Filter(state=None if state is None else State(state), **filters)
        async with connect(context) as connection:
            found = await operating.list_deliveries(connection, wanted)
        output.rows(found, columns=COLUMNS)


def _add_show(group: click.Group, connect: Connect) -> None:
    @group.command("show")
    @click.argument("id_", metavar="ID", type=DELIVERY_ID)
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, id_: int, output: Output) -> None:
        """Show a mail: what it says, to whom it goes, and all that became of it.

        \b
        Example:
          csms mail show 17
        """
        async with connect(context) as connection:
            found = await operating.show(connection, id_)
        output.one(found)


def _add_settle(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command("settle")
    @click.argument("id_", metavar="ID", type=DELIVERY_ID)
    @click.option("--delivered", is_flag=True, help="The mail server has it.")
    @click.option("--resend", is_flag=True, help="It has not: send it again, with the same Message-ID.")
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context, id_: int, delivered: bool, resend: bool, reason: str, dry_run: bool, output: Output
    ) -> None:
        """Say what became of a doubtful mail. The log of the mail server knows it by its Message-ID.

        \b
        Examples:
          csms mail settle 17 --delivered --reason "in the log of the mail server, 4Bq2x1"
          csms mail settle 17 --resend --reason "not in the log of the mail server"
        """
        if delivered is resend:
            raise click.UsageError("give either --delivered or --resend")
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            state = await operating.settle(connection, id_, delivered=delivered, actor=actor(), reason=reason)
        output.one({"id": id_, "state": state} | ({"dry_run": True} if dry_run else {}))


def _add_retry(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command("retry")
    @click.argument("ids", metavar="[ID]...", type=DELIVERY_ID, nargs=-1)
    @click.option("--failed-since", type=INSTANT, help="All that have failed since then.")
    @click.option("--kind", metavar="KIND", help="Of those, only such.")
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context,
        ids: tuple[int, ...],
        failed_since: datetime | None,
        kind: str | None,
        reason: str,
        dry_run: bool,
        output: Output,
    ) -> None:
        """Send mails as soon as may be that wait for their next try, have failed, bounced or were cancelled.

        What a server has accepted, or may have, is not sent again by this.

        \b
        Examples:
          csms mail retry 17 18 --reason "the customer has emptied the mailbox"
          csms mail retry --failed-since 2026-03-01T08:00:00Z --reason "the sender was not allowed" --dry-run
        """
        if bool(ids) is (failed_since is not None) or (kind is not None and failed_since is None):
            raise click.UsageError("give either ids or --failed-since, and --kind only with the latter")
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            found = list(ids)
            if failed_since is not None:
                found = await operating.failed_since(connection, failed_since, kind=kind)
            await operating.retry(connection, found, actor=actor(), reason=reason)
        rows = [{"id": each, "state": State.RETRY} for each in sorted(set(found))]
        output.rows([row | ({"dry_run": True} if dry_run else {}) for row in rows], columns=("id", "state"))


def _add_cancel(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command("cancel")
    @click.argument("id_", metavar="ID", type=DELIVERY_ID)
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, id_: int, reason: str, dry_run: bool, output: Output) -> None:
        """Do not send a mail that waits, or do not send a doubtful one again.

        \b
        Example:
          csms mail cancel 17 --reason "the invoice was credited meanwhile"
        """
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            await operating.cancel(connection, id_, actor=actor(), reason=reason)
        output.one({"id": id_, "state": State.CANCELLED} | ({"dry_run": True} if dry_run else {}))


def _add_import(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command("import")
    @click.argument("files", metavar="FILE...", type=click.File("rb"), nargs=-1, required=True)
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, files: tuple[BinaryIO, ...], dry_run: bool, output: Output) -> None:
        """Take in delivery status notifications (RFC 3464), one .eml file each, as they came.

        Each counts once, so it may be repeated. Where a server says that nobody is there, the address is not written to any
        more. Exit status 8 if a file was not taken in.

        \b
        Examples:
          csms mail bounce import returned/*.eml
          csms mail bounce import - --dry-run < returned.eml
        """
        rows: list[dict[str, object]] = []
        left = False
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            for file in files:
                taken, problem = await _take(connection, file, actor())
                rows += [{"file": file.name, **row} for row in taken]
                left = left or problem is not None
                if problem is not None:
                    output.note(f"{file.name}: {problem}")
        output.rows([row | ({"dry_run": True} if dry_run else {}) for row in rows], columns=REPORT_COLUMNS)
        if left:
            context.exit(ExitCode.PARTIAL)


async def _take(connection: Any, file: BinaryIO, actor: str) -> tuple[list[dict[str, object]], str | None]:
    """What a file reports, or why it was not taken in; one that was taken in before is no problem."""
    try:
        noted = await reporting.take_report(connection, file.read(FILE_BYTES_MAX + 1), actor=actor)
    except AlreadyDone:
        return [], None
    except (Refused, NotFound) as wrong:
        return [], wrong.message
    return [
        {
            "delivery": each.delivery,
            "event": each.event,
            "status": each.status,
            "bounced": each.bounced,
            "suppressed": each.suppressed,
            "words": each.words,
        }
        for each in noted
    ], None
