"""csms cp doctor: what is wrong with charge points, with the frame that shows it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.progress import Progress
from rich.rule import Rule
from rich.text import Text

from billing import CliError, ExitCode, Format, Output, async_command, output_options, printable
from csms.charge_points import service as charge_points
from csms.charge_points.charge_point import ChargePoint
from csms.cli.context import connect, settings_of
from csms.doctor import service
from csms.doctor.examination import Finding, How

COLUMNS = ("severity", "name", "count", "last_at", "says", "evidence", "billing", "move", "next", "frame")
SUMMARY_COLUMNS = ("charge_point", "site", "vendor", "model", "error", "warning", "info", "gravest")
FRAME_SHOWN_MAX = 300
COLOURS = {"error": "bold red", "warning": "yellow", "info": "cyan"}


@click.command()
@click.argument("id_", metavar="[CP]", required=False)
@click.option("--site", help="A summary of this site's charge points.")
@click.option("--all", "everything", is_flag=True, help="A summary of all charge points.")
@click.option("--name", "names", multiple=True, metavar="NAME", help="Only findings of this name; may be repeated.")
@click.option("--known/--seen", "known", default=True, help="With what its make is known for, or only what was seen.")
@click.option(
    "--eichrecht/--no-eichrecht", "eichrecht", default=None,
    help="Whether signed meter data is wanted; by the country of the site unless said.",
)  # fmt: skip
@output_options
@click.pass_context
@async_command
async def doctor(
    context: click.Context, /, id_: str | None, site: str | None, everything: bool, names: tuple[str, ...],
    known: bool, eichrecht: bool | None, output: Output,
) -> None:  # fmt: skip
    """Say what is wrong with a charge point: each finding with what it means for billing, whose move it is, and its proof.

    It reads what is kept - counted deviations, the newest frames, sessions, settings - and asks the charge point nothing.

    \b
    Examples:
      csms cp doctor CP-001
      csms cp doctor CP-001 --seen -o json
      csms cp doctor --site harbour
    """
    if sum((id_ is not None, site is not None, everything)) != 1:
        raise click.UsageError("name one charge point, or --site, or --all")
    interval_s = settings_of(context).heartbeat_interval_s
    wanted: dict[str, Any] = {"heartbeat_interval_s": interval_s, "eichrecht": eichrecht}
    async with connect(context) as connection:
        if id_ is None:
            await _summary(connection, site, _Choice(names, known=True), output, wanted)
            return
        charge_point = await charge_points.get(connection, id_)
        found = await service.findings(connection, charge_point, **wanted)
    chosen = _Choice(names, known=known).of(found)
    if output.format is Format.TABLE and sys.stdout.isatty() and not output.fields:
        Console().print(_sheet(charge_point, chosen))
        return
    output.rows([service.shown(charge_point, each) for each in chosen], columns=COLUMNS)


class _Choice:
    def __init__(self, names: Sequence[str], *, known: bool) -> None:
        self._names = frozenset(names)
        self._known = known

    def of(self, found: Sequence[Finding]) -> list[Finding]:
        return [
            each
            for each in found
            if (not self._names or each.entry.name in self._names) and (self._known or each.how == "seen")
        ]


async def _summary(connection: Any, site: str | None, choice: _Choice, output: Output, wanted: dict[str, Any]) -> None:
    looked_at = await service.of_site(connection, site)
    if not looked_at:
        where = "" if site is None else f" at {site}"
        raise CliError(f"no charge point{where}", "see csms cp list", ExitCode.NOT_FOUND)
    rows = []
    with _progress(len(looked_at)) as advance:
        for each in looked_at:
            found = await service.findings(connection, each, messages_max=service.MESSAGES_MAX_OF_MANY, **wanted)
            rows.append(service.summed(each, choice.of(found)))
            advance()
    rows.sort(key=lambda row: (-row["error"], -row["warning"], row["charge_point"]))
    output.rows(rows, columns=SUMMARY_COLUMNS)


@contextmanager
def _progress(total: int) -> Iterator[Any]:
    """A bar on stderr, where that is a terminal."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("charge points", total=total)
        yield lambda: progress.advance(task)


# --- for people ------------------------------------------------------------------------------------------------------


def _sheet(charge_point: ChargePoint, found: Sequence[Finding]) -> Group:
    make = " ".join(word for word in (charge_point.vendor, charge_point.model, charge_point.firmware) if word)
    seen = [each for each in found if each.how is How.SEEN]
    counts = [f"{n} {word}" for word in COLOURS if (n := sum(1 for each in seen if each.severity == word))]
    mode = ", strict" if charge_point.strict else ""
    head = f"{charge_point.id}  {printable(make) or 'make unknown'}{mode}  {', '.join(counts) or 'nothing found'}"
    blocks = [_block(charge_point, each) for each in seen]
    return Group(Rule(Text(head, style="bold"), align="left"), *blocks, *_known(charge_point, found))


def _known(charge_point: ChargePoint, found: Sequence[Finding]) -> list[RenderableType]:
    """What the make is known for and did not show: one line each."""
    known = [each for each in found if each.how is How.KNOWN]
    if not known:
        return []
    lines = [
        Text.assemble(
            (f"  {each.entry.name:<26}", "bold"), f"{each.entry.says}{_switched(service.shown(charge_point, each))}"
        )
        for each in known
    ]
    return [Text("known of its make, not seen here", style="dim"), *lines]


def _block(charge_point: ChargePoint, finding: Finding) -> Group:
    row = service.shown(charge_point, finding)
    seen = "once" if finding.count == 1 else f"{finding.count}x"
    last = "" if finding.last_at is None else f", last {finding.last_at:%Y-%m-%d %H:%M}Z"
    title = Text.assemble(
        (f"{finding.severity:<8}", COLOURS[finding.severity]), (finding.entry.name, "bold"), f"  {seen}{last}"
    )
    lines = [
        ("it", f"{row['says']} ({finding.evidence})"),
        ("bills", row["billing"]),
        ("here", f"{row['ours']}{_switched(row)}"),
        ("next", None if row["next"] is None else f"{row['move']}: {row['next']}"),
        ("frame", _cut(finding.frame)),
    ]
    told = [Padding(_line(name, str(text)), (0, 0, 0, 8)) for name, text in lines if text]
    return Group(title, *told)


def _line(name: str, text: str) -> Text:
    return Text.assemble((f"{name:<6}", "dim"), printable(text))


def _switched(row: dict[str, Any]) -> str:
    if row["active"] is None:
        return ""
    state = "on" if row["active"] else "off"
    return f" [{state}]" if row["choice"] == "auto" else f" [{state}: said by the operator]"


def _cut(frame: str | None) -> str | None:
    if frame is None or len(frame) <= FRAME_SHOWN_MAX:
        return frame
    return f"{frame[:FRAME_SHOWN_MAX]} ... ({len(frame)} characters; -o json shows them)"
