"""csms reservation: an EVSE kept for a token."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from billing import INSTANT, CliError, ExitCode, Output, Refused, async_command, output_options
from csms.charge_points import service as charge_points
from csms.charge_points.asking import finish, require_online, said, send, timeout_option
from csms.charge_points.charge_point import ChargePoint
from csms.charge_points.device_settings import remember
from csms.charge_points.device_settings import settings_of as settings_in
from csms.cli.context import connect, default_actor
from csms.protocol.blocks.reservations import CancelReservation, ReserveNow
from csms.protocol.translator import CommandInvalid, translator
from csms.protocol.vocabulary import Command, GetSettings, Outcome, Protocol
from csms.reservations import service
from csms.reservations.abilities import obstacle, settings_for
from csms.reservations.reservation import Answered, Question, ReservationFact, State, Told, Used
from csms.reservations.service import Known

LIST_COLUMNS = ("id", "charge_point", "evse", "token", "group", "until", "state", "session", "next")
MINUTES_MAX = 366 * 24 * 60
RESERVATION_ID = click.IntRange(1, service.ID_MAX)


@click.group()
def reservation() -> None:
    """Reservations: an EVSE kept for a token until a set time.

    A reservation costs nothing so far: the RESERVATION elements of tariffs are not applied to it.

    \b
    Examples:
      csms reservation create CP-001 --token 04AB12CD --evse 1 --minutes 30
      csms reservation list --cp CP-001 --state accepted
      csms reservation cancel 17
    """


@reservation.command()
@click.argument("id_", metavar="CP")
@click.option("--token", required=True, help="For whom.")
@click.option("--evse", type=click.IntRange(1, service.ID_MAX), help="Which one; whichever is free where left out.")
@click.option("--until", type=INSTANT, help="How long it is kept.")
@click.option("--minutes", type=click.IntRange(1, MINUTES_MAX), help="The same, from now on.")
@click.option("--group", help="Tokens of this group may use it as well (OCPP parentIdTag, groupIdToken).")
@timeout_option
@output_options
@click.pass_context
@async_command
async def create(
    context: click.Context, /, id_: str, token: str, evse: int | None, until: datetime | None, minutes: int | None,
    group: str | None, timeout_s: float, output: Output,
) -> None:  # fmt: skip
    """Have a charge point keep an EVSE for a token.

    \b
    Examples:
      csms reservation create CP-001 --token 04AB12CD --evse 1 --minutes 30
      csms reservation create CP-001 --token 04AB12CD --until 2026-03-01T18:00:00Z --group FLEET-7
    """
    now = datetime.now(UTC)
    end = _end(now, until, minutes)
    async with connect(context) as connection:
        known = await charge_points.get(connection, id_)
        name = await service.require_token(connection, token, at=now)
        protocol = await require_online(connection, known)
        wish = ReserveNow(reservation=1, token=name, until=end, evse=evse, group=group)
        _require_writable(protocol, wish)
        await _require_offered(connection, known, protocol, evse, timeout_s=timeout_s)
        number = await service.open_reservation(
            connection, charge_point=known.id, evse=evse, token=name, group=group, until=end, actor=default_actor()
        )
        command = ReserveNow(reservation=number, token=name, until=end, evse=evse, group=group)
        outcome = await _ask(connection, known, number, Question.RESERVE, command, timeout_s=timeout_s)
        made = await service.get(connection, number)
    row = {"id": number, "charge_point": known.id, **said(outcome), "state": made.now.state, "until": end}
    output.one(row if made.next_step is None else {**row, "next": made.next_step})
    finish(context, outcome)


def _end(now: datetime, until: datetime | None, minutes: int | None) -> datetime:
    if (until is None) is (minutes is None):
        raise click.UsageError("say either --until or --minutes")
    end = now.replace(microsecond=0) + timedelta(minutes=minutes) if until is None and minutes else until
    assert end is not None, "one of the two was given"
    if end <= now:
        raise click.BadParameter("this instant is past", param_hint="--until")
    if end > now + timedelta(minutes=MINUTES_MAX):
        raise click.BadParameter("a reservation lasts a year at most", param_hint="--until")
    return end


def _require_writable(protocol: Protocol, command: Command) -> None:
    """What cannot be sent in the charge point's version gets no reservation."""
    try:
        translator(protocol).command(command)
    except CommandInvalid as invalid:
        raise CliError(str(invalid), "correct it", ExitCode.USAGE) from None


async def _require_offered(
    connection: Any, charge_point: ChargePoint, protocol: Protocol, evse: int | None, *, timeout_s: float
) -> None:
    """Refuse what the charge point says it cannot keep. It is asked once after each boot, and again before a refusal."""
    names = settings_for(protocol, evse=evse)
    settings = await service.known_settings(connection, charge_point.id, names)
    found = obstacle(protocol, settings, charge_point=charge_point.id, evse=evse)
    if found is None and settings.keys() == {name.lower() for name in names}:
        return
    read = settings_in(await send(connection, charge_point, GetSettings(names=names), timeout_s=timeout_s))
    await remember(connection, charge_point.id, read)
    settings = {name.lower(): value for name, (value, _) in read.items()}
    found = obstacle(protocol, settings, charge_point=charge_point.id, evse=evse)
    if found is not None:
        raise Refused(*found)


async def _ask(
    connection: Any, charge_point: ChargePoint, number: int, question: Question, command: Command, *, timeout_s: float
) -> Outcome:
    """Send, with the answer in the books, whatever it is."""
    try:
        outcome = await send(connection, charge_point, command, timeout_s=timeout_s)
    except CliError as failed:
        lost = Outcome(accepted=False, status=failed.code, detail=failed.message)
        await service.record_answer(connection, number, question, lost, actor=default_actor())
        left = await service.get(connection, number)
        failed.details = {**failed.details, "reservation": number}
        failed.next_step = left.next_step or failed.next_step
        raise
    await service.record_answer(connection, number, question, outcome, actor=default_actor())
    return outcome


@reservation.command()
@click.argument("number", metavar="ID", type=RESERVATION_ID)
@timeout_option
@output_options
@click.pass_context
@async_command
async def cancel(context: click.Context, /, number: int, timeout_s: float, output: Output) -> None:
    """Have the charge point keep the EVSE no longer.

    \b
    Example:
      csms reservation cancel 17
    """
    async with connect(context) as connection:
        known = await service.get(connection, number)
        service.require_open(known)
        charge_point = await charge_points.get(connection, known.reservation.charge_point)
        await require_online(connection, charge_point)
        command = CancelReservation(reservation=number)
        outcome = await _ask(connection, charge_point, number, Question.CANCEL, command, timeout_s=timeout_s)
        left = await service.get(connection, number)
    row = {"id": number, "charge_point": charge_point.id, **said(outcome), "state": left.now.state}
    output.one(row if left.next_step is None else {**row, "next": left.next_step})
    finish(context, outcome)


@reservation.command("list")
@click.option("--cp", "charge_point", help="Only of this charge point.")
@click.option("--state", type=click.Choice([str(each) for each in State]), help="Only in this state.")
@click.option("--limit", "most", type=click.IntRange(1, 10_000), default=100, show_default=True)
@output_options
@click.pass_context
@async_command
async def list_(
    context: click.Context, /, charge_point: str | None, state: str | None, most: int, output: Output
) -> None:
    """List reservations as they stand now, the newest first.

    \b
    Examples:
      csms reservation list --state accepted
      csms reservation list --cp CP-001 -o json
    """
    async with connect(context) as connection:
        where = None if charge_point is None else (await charge_points.get(connection, charge_point)).id
        wanted = None if state is None else State(state)
        found = await service.newest(connection, charge_point=where, state=wanted, most=most)
    output.rows([_row(each) for each in found], columns=LIST_COLUMNS)


@reservation.command()
@click.argument("number", metavar="ID", type=RESERVATION_ID)
@output_options
@click.pass_context
@async_command
async def show(context: click.Context, /, number: int, output: Output) -> None:
    """Show a reservation and what has become of it, step by step.

    \b
    Example:
      csms reservation show 17
    """
    async with connect(context) as connection:
        known = await service.get(connection, number)
    asked = {"at": known.reservation.asked_at, "what": "requested", "by": known.reservation.actor}
    steps = [_step(each) for each in sorted(known.facts, key=_heard_at)]
    output.one({**_row(known), "history": [asked, *steps]})


def _row(known: Known) -> dict[str, object]:
    wish, now = known.reservation, known.now
    return {
        "id": wish.id,
        "charge_point": wish.charge_point,
        "evse": wish.evse,
        "token": wish.token,
        "group": wish.group,
        "until": wish.until,
        "state": str(now.state),
        "since": now.since,
        "answer": now.answer,
        "detail": now.detail,
        "session": now.session,
        "requested_at": wish.asked_at,
        "requested_by": wish.actor,
        "next": known.next_step,
    }


def _step(fact: ReservationFact) -> dict[str, object]:
    if isinstance(fact, Answered):
        row = {"at": fact.at, "what": f"{fact.question}: {fact.status}", "by": fact.actor}
        return row if fact.detail is None else {**row, "detail": fact.detail}
    if isinstance(fact, Told):
        return {"at": fact.at, "what": f"the charge point said {fact.status}"}
    used = f"used by {fact.token or 'nobody named'}"
    return {"at": fact.heard_at, "what": used, "session": fact.session, "charge_point_time": fact.at}


def _heard_at(fact: ReservationFact) -> datetime:
    return fact.heard_at if isinstance(fact, Used) else fact.at
