"""What the command lines of firmware and logs share: ask, wait for the end, show what became of it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from billing import CliError, ExitCode, Output
from csms.charge_points import asking
from csms.charge_points import service as charge_points
from csms.charge_points.charge_point import ChargePoint
from csms.cli.context import default_actor
from csms.firmware import service
from csms.firmware.service import Attempt, Undelivered
from csms.firmware.transfer import ENDED, NEXT_STEPS, State, Step, Transfer, TransferKind
from csms.protocol.redaction import without_credentials
from csms.protocol.transfer_url import SCHEMES, problem_of
from csms.protocol.vocabulary import Command, Outcome

WAIT_POLL_S = 0.5
COLUMNS = ("request", "charge_point", "message", "state", "asked_at", "progress", "failed", "next")
T = TypeVar("T")


class TransferUrl(click.ParamType[str]):
    """A URL that charge points can fetch from or send to. What is wrong with one is said without repeating it."""

    name = "url"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        problem = problem_of(str(value))
        if problem is not None:
            self.fail(f"the URL {problem}", param, ctx)
        return str(value)


def url_option(purpose: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """`--url`, required."""
    return click.option(
        "--url", type=TransferUrl(), required=True, help=f"{purpose} ({', '.join(SCHEMES)}); user:password@ may stand in it."
    )  # fmt: skip


retries_option = click.option(
    "--retries", type=click.IntRange(0, 1000), help="How often it tries again; as it likes where left out."
)
interval_option = click.option(
    "--retry-interval", "retry_interval_s", type=click.IntRange(0, 2**31 - 1), metavar="SECONDS",
    help="Between two attempts; as it likes where left out.",
)  # fmt: skip
wait_option = click.option("--wait", is_flag=True, help="Until it is done or has failed.")
patience_option = click.option(
    "--patience", "patience_s", type=click.FloatRange(1, 7 * 86_400), default=3600, show_default=True,
    metavar="SECONDS", help="How long --wait waits.",
)  # fmt: skip
most_option = click.option(
    "--limit", "most", type=click.IntRange(1, 1000), default=20, show_default=True, help="The newest so many requests."
)


async def ask(
    connection: Any, charge_point: ChargePoint, kind: TransferKind, attempts: Sequence[Attempt], timeout_s: float
) -> tuple[int, Outcome]:
    """Ask, with what came of it in the books even where it could not be delivered."""
    failures: list[CliError] = []

    async def send(command: Command) -> Outcome:
        try:
            return await asking.send(connection, charge_point, command, timeout_s=timeout_s)
        except CliError as failed:
            failures.append(failed)
            raise Undelivered(failed.code) from failed

    try:
        return await service.carry_out(connection, charge_point, kind, attempts, actor=default_actor(), send=send)
    except Undelivered:
        raise failures[-1] from None


def asked(request: int | None, outcome: Outcome) -> dict[str, object]:
    """The answer to a request, and whose move it is."""
    row: dict[str, object] = {} if request is None else {"request": request}
    said = {name: without_credentials(str(value)) for name, value in asking.said(outcome).items()}
    row |= said
    if "file" in outcome.data:
        row["file"] = outcome.data["file"]
    if outcome.status in NEXT_STEPS:
        row["next"] = NEXT_STEPS[outcome.status]
    return row


async def finish(
    context: click.Context,
    connection: Any,
    output: Output,
    kind: TransferKind,
    charge_point: ChargePoint,
    request: int,
    outcome: Outcome,
    *,
    wait_s: float | None,
) -> None:
    """Print what came of it: at once, or with `wait_s` when it has ended."""
    row = asked(request, outcome)
    if wait_s is None or not outcome.accepted:
        output.one(row)
        asking.finish(context, outcome)
        return
    ended = await _await_end(connection, charge_point, kind, request, wait_s=wait_s, output=output)
    output.one({**row, **_shown(ended)})
    if ended.state is State.DONE:
        return
    if ended.state is State.SUPERSEDED:
        raise CliError(
            f"request {request} of {charge_point.id} gave way to a newer one",
            "nothing, or ask again",
            code="superseded",
        )
    raise CliError(
        f"request {request} of {charge_point.id} has failed: {ended.failed}",
        ended.next_step or "",
        code="transfer_failed",
    )


async def _await_end(
    connection: Any, charge_point: ChargePoint, kind: TransferKind, request: int, *, wait_s: float, output: Output
) -> Transfer:
    shown = 0
    deadline = asyncio.get_running_loop().time() + wait_s
    while True:
        now = await service.transfer(connection, charge_point.id, kind, request)
        if sys.stderr.isatty():
            for step in now.steps[shown:]:
                output.note(f"{step.at.astimezone(UTC):%H:%M:%SZ}  {step.status}")
            shown = len(now.steps)
        if now.state in ENDED:
            return now
        if asyncio.get_running_loop().time() >= deadline:
            last = now.steps[-1].status if now.steps else "nothing was told yet"
            raise CliError(
                f"request {request} of {charge_point.id} goes on after {wait_s:g} s: {last}",
                f"look again later: csms {'log' if kind is TransferKind.LOG else 'firmware'} status {charge_point.id}",
                ExitCode.TIMEOUT,
            )
        await asyncio.sleep(WAIT_POLL_S)


async def listed(connection: Any, kinds: Sequence[TransferKind], id_: str | None, most: int) -> list[dict[str, object]]:
    """The newest request of each charge point, or all of one: as `firmware status` and `log status` show them."""
    name = None if id_ is None else (await charge_points.get(connection, id_)).id
    known = await service.transfers(connection, kinds, charge_point=name, most=most)
    return rows(known, await service.firmware_of(connection, known))


def rows(known: Sequence[Transfer], firmware: Mapping[str, str | None]) -> list[dict[str, object]]:
    """Requests as they are listed."""
    return [_row(each, firmware.get(each.charge_point)) for each in known]


def _row(transfer: Transfer, firmware_now: str | None) -> dict[str, object]:
    request = transfer.request
    row: dict[str, object] = {
        "request": None if request is None else request.id,
        "charge_point": transfer.charge_point,
        "message": None if request is None else request.message,
        "asked_at": None if request is None else request.asked_at,
        "answered_at": None if request is None else request.answered_at,
        "answer": None if request is None else request.answer,
        "detail": None if request is None else request.detail,
        "url": None if request is None else request.url,
        "file": None if request is None else request.file,
        "actor": None if request is None else request.actor,
        "firmware_before": None if request is None else request.firmware,
        "firmware_now": firmware_now,
        "progress": ", ".join(_told(step) for step in transfer.steps) or None,
    }
    return row | _shown(transfer)


def _shown(transfer: Transfer) -> dict[str, object]:
    return {
        "state": str(transfer.state),
        "failed": transfer.failed,
        "next": transfer.next_step,
        "statuses": [
            {
                "status": step.status,
                "at": step.at,
                "last_at": step.last_at,
                "times": step.times,
                "request": step.request,
                "locations": list(step.locations),
            }
            for step in transfer.steps
        ],
    }


def _told(step: Step) -> str:
    times = f" ({step.times} times)" if step.times > 1 else ""
    return f"{step.status} {_clock(step.at)}{times}"


def _clock(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
