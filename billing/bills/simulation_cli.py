"""csms tariff simulate: what a draft would have changed, by the sessions that there were."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO, Self

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from billing.bills.simulation import GroupBy, Selection, Simulated, Sum, count, key_of, simulate
from billing.cli_output import Format, Output, async_command, output_options
from billing.cli_parameters import INSTANT, Connect
from billing.sql import Connection
from billing.tariffs.service import read_tariff, require_site
from billing.tariffs.tariff import Tariff

_SPANS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_LAST_MAX = timedelta(days=3660)
SUM_COLUMNS = (
    "group", "sessions", "before_incl_tax", "after_incl_tax", "difference_incl_tax", "currency", "dearer", "cheaper",
    "not_rated",
)  # fmt: skip
SESSION_COLUMNS = (
    "session", "site", "token_group", "user_class", "tariff", "before_incl_tax", "after_incl_tax",
    "difference_incl_tax", "currency", "why_not",
)  # fmt: skip


class _Span(click.ParamType[timedelta]):
    name = "span"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        found = re.fullmatch(r"([1-9][0-9]{0,4})([hdw])", str(value))
        span = None if found is None else int(found[1]) * _SPANS[found[2]]
        if span is None or span > _LAST_MAX:
            self.fail(f"{value!r} is no span such as 12h, 30d or 8w, at most ten years", param, ctx)
        return span


_OPTIONS = (
    click.option("--last", type=_Span(), help="Sessions that ended so long ago at most, such as 30d."),
    click.option("--since", type=INSTANT, help="Sessions that ended at or after."),
    click.option("--until", type=INSTANT, help="Sessions that ended before; now unless said."),
    click.option("--site", help="Only of this site."),
    click.option("--tariff", metavar="ID", help="Only those that were billed by this tariff."),
    click.option(
        "--by", type=click.Choice([each.value for each in GroupBy]), default=GroupBy.TARIFF.value, show_default=True,
        help="What differences are added up by.",
    ),
)  # fmt: skip


def _with_options(command: Any) -> Any:
    for each in reversed(_OPTIONS):
        command = each(command)
    return command


def simulate_command(connect: Connect) -> click.Command:
    """The command; `connect` gives it a connection."""

    @click.command("simulate")
    @click.argument("file", type=click.File("rb"))
    @_with_options
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, /, file: BinaryIO, by: str, output: Output, **chosen: Any) -> None:
        """Say what sessions of the past would have cost by a draft. Nothing is stored, no bill changes.

        Each bill is rated again from the inputs that it keeps; corrections count in place of what they correct.

        \b
        Examples:
          csms tariff simulate draft.json --last 30d
          csms tariff simulate draft.json --since 2026-05-01 --until 2026-06-01 --site harbour --by session -o csv
        """
        selection = _selection(**chosen)
        draft = read_tariff(file.read())
        async with connect(context) as connection, connection.transaction(readonly=True):
            if selection.site is not None:
                await require_site(connection, selection.site)
            total = await _print(connection, draft, selection, GroupBy(by), output)
        if output.format is Format.TABLE:
            told = total.to_dict(draft.currency)
            output.note(
                f"{total.sessions} sessions: {told['before_incl_tax']} before, {told['after_incl_tax']} after,"
                f" {told['difference_incl_tax']} {draft.currency} difference; {total.not_rated} not rated"
            )

    return command


def _selection(
    *, last: timedelta | None, since: datetime | None, until: datetime | None, site: str | None, tariff: str | None
) -> Selection:
    if (last is None) == (since is None):
        raise click.UsageError("give either --last or --since")
    end = until or datetime.now(UTC)
    return Selection(since=since or end - (last or timedelta()), until=end, site=site, tariff=tariff)


async def _print(connection: Connection, draft: Tariff, chosen: Selection, by: GroupBy, output: Output) -> Sum:
    """Each session as it comes, or one row per group at the end; the sum of all."""
    total, sums, listed = Sum(), dict[str | int | None, Sum](), list[dict[str, object]]()
    singly = by is GroupBy.SESSION
    stream = output.stream(SESSION_COLUMNS) if singly and output.format is not Format.JSON else None
    with _Bar(await count(connection, chosen, currency=draft.currency), shown=stream is None) as advance:
        async for each in simulate(connection, draft, chosen):
            advance()
            total.add(each)
            if stream is not None:
                stream.send(_row(each))
            elif singly:
                listed.append(_row(each))
            else:
                sums.setdefault(key_of(each, by), Sum()).add(each)
    if singly and stream is None:
        output.rows(listed, columns=SESSION_COLUMNS)
    elif stream is None:
        ordered = sorted(sums.items(), key=lambda item: (item[0] is None, str(item[0])))
        output.rows([{"group": key, **found.to_dict(draft.currency)} for key, found in ordered], columns=SUM_COLUMNS)
    return total


def _row(each: Simulated) -> dict[str, object]:
    after = each.after
    return {
        "session": each.session,
        "site": each.site,
        "token_group": each.token_group,
        "user_class": each.user_class,
        "tariff": each.tariff,
        "before_incl_tax": each.before.text,
        "after_incl_tax": None if after is None else after.text,
        "difference_incl_tax": None if after is None else (after - each.before).text,
        "currency": each.before.currency,
        "why_not": each.why_not,
    }


class _Bar:
    """A bar on stderr where that is a terminal and rows do not go there too."""

    def __init__(self, total: int, *, shown: bool) -> None:
        console = Console(stderr=True)
        hidden = not (shown and console.is_terminal) or not sys.stderr.isatty()
        self._progress = Progress(
            BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console, transient=True, disable=hidden
        )
        self._task = self._progress.add_task("sessions", total=total)

    def __call__(self) -> None:
        self._progress.advance(self._task)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
