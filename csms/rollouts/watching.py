"""Watching a roll-out from a terminal: a bar for each wave on stderr, and an end that scripts can rely on."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from billing import CliError, ExitCode, Output
from csms.rollouts import service
from csms.rollouts.rollout import OVER, Kind, Standing, State

LOOK_AGAIN_S = 1.0
ENDS = frozenset({State.DONE, State.ABORTED, State.STOPPED})


async def watch(connection: Any, kind: Kind, rollout: int, *, patience_s: float, noun: str) -> dict[str, Any]:
    """Until it is over, has stopped, or waits for an operator; interrupting this stops nothing.

    Raises:
        CliError: it is not over within the patience.
    """
    console = Console(stderr=True)
    deadline = asyncio.get_running_loop().time() + patience_s
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("{task.fields[standing]}"),
    )  # fmt: skip
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        shown: dict[int, Any] = {}
        while True:
            known = await service.get(connection, kind, rollout)
            _draw(bars, shown, await service.members_of(connection, rollout), known["wave"])
            if State(known["state"]) in ENDS and not await _is_under_way(connection, rollout):
                return known
            if asyncio.get_running_loop().time() >= deadline:
                raise CliError(
                    f"{rollout} is not over after {patience_s:g} s: {known['open']} of {known['charge_points']} are open",
                    f"it goes on; look again: csms {noun} {rollout}",
                    ExitCode.TIMEOUT,
                )
            await asyncio.sleep(LOOK_AGAIN_S)


async def _is_under_way(connection: Any, rollout: int) -> bool:
    standings = {Standing(each["state"]) for each in await service.members_of(connection, rollout)}
    return bool(standings & {Standing.ASKED, Standing.RUNNING})


def _draw(bars: Progress, shown: dict[int, Any], members: list[dict[str, Any]], present: int) -> None:
    for wave in sorted({each["wave"] for each in members}):
        standings = Counter(Standing(each["state"]) for each in members if each["wave"] == wave)
        told = ", ".join(f"{standings[each]} {each}" for each in Standing if standings[each])
        if wave not in shown:
            shown[wave] = bars.add_task(f"wave {wave}", total=standings.total(), standing="")
        over = sum(standings[each] for each in OVER)
        bars.update(shown[wave], completed=over, standing=told if wave <= present else "not yet")


def finish(context: click.Context, output: Output, known: dict[str, Any], *, next_step: str) -> None:
    """The end as an exit status: 0 all done, 8 in part, 5 where it has stopped itself."""
    if known["state"] == State.STOPPED:
        output.note(f"stopped: {known['reason']}; {next_step}")
        context.exit(int(ExitCode.REFUSED))
    if known["failed"]:
        output.note(f"{known['failed']} of {known['charge_points']} have failed; {next_step}")
        context.exit(int(ExitCode.PARTIAL))
