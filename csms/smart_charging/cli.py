"""csms profile: how much a charge point may draw when."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import IO, Any

import click

from billing import SESSION_ID, CliError, ExitCode, Output, Refused, async_command, output_options
from csms.charge_points import service as charge_points
from csms.charge_points.asking import finish, require_online, said, send, timeout_option
from csms.charge_points.charge_point import ChargePoint
from csms.charge_points.device_settings import remember
from csms.charge_points.device_settings import settings_of as settings_in
from csms.cli.context import connect, default_actor, settings_of
from csms.protocol.blocks.charging_profile import ChargingProfile, Purpose, RateUnit
from csms.protocol.blocks.charging_profile_rules import Abilities, Problem, problems
from csms.protocol.blocks.smart_charging import (
    ClearChargingProfile,
    GetChargingProfiles,
    GetCompositeSchedule,
    SetChargingProfile,
)
from csms.protocol.repair import INTEGER_MAX
from csms.protocol.schedules import schedule_to_json
from csms.protocol.vocabulary import Command, GetSettings, Outcome, Protocol
from csms.sessions import listing
from csms.site_limits import service as site_limits
from csms.site_limits.planner import timing_of
from csms.smart_charging import service
from csms.smart_charging.abilities import NAMES, abilities_of
from csms.smart_charging.installed import Installed
from csms.smart_charging.profile_file import ProfileFileInvalid, read_profile

LIST_COLUMNS = ("id", "evse", "purpose", "kind", "stack_level", "source", "transaction", "limits")
PERIOD_COLUMNS = ("at", "start_s", "limit", "unit", "phases")
FILE_LENGTH_MAX = 1_000_000
NUMBER = click.IntRange(0, INTEGER_MAX)
EVSE = click.option("--evse", type=NUMBER, help="Which one; 0 is the charge point as a whole.")


@click.group()
def profile() -> None:
    """Charging profiles: how much a charge point may draw when.

    \b
    Examples:
      csms profile set CP-001 night.json
      csms profile list CP-001
      csms profile composite CP-001 --evse 1 --duration 86400
    """


@profile.command("set")
@click.argument("id_", metavar="CP")
@click.argument("file", type=click.File(encoding="utf-8"))
@EVSE
@click.option("--session", "session", type=SESSION_ID, help="The session that a profile of purpose tx is for.")
@timeout_option
@output_options
@click.pass_context
@async_command
async def set_(
    context: click.Context, /, id_: str, file: IO[str], evse: int | None, session: int | None, timeout_s: float,
    output: Output,
) -> None:  # fmt: skip
    """Give a charge point a charging profile, in place of the one with its id or with its purpose and level.

    \b
    FILE (- for stdin) is JSON:
      {"id": 7, "purpose": "tx_default", "kind": "recurring", "recurrency": "daily", "stack_level": 1,
       "schedule": {"unit": "A", "start": "2026-03-01T00:00:00Z", "duration_s": 86400,
                    "periods": [{"start_s": 0, "limit": 16, "phases": 3}, {"start_s": 64800, "limit": 8.5}]}}
    purpose: charge_point_max, tx_default, tx; kind: absolute, recurring (daily, weekly), relative; unit: A each
    phase, W in all. Optional: valid_from, valid_to, schedule.duration_s, schedule.rate_min, phases, phase_to_use.

    \b
    Examples:
      csms profile set CP-001 night.json
      csms profile set CP-001 slow.json --session 42
    """
    text = _text(file)
    async with connect(context) as connection:
        known = await charge_points.get(connection, id_)
        transaction, place = await _place(connection, known, session, evse)
        try:
            wanted = read_profile(text, transaction=transaction)
        except ProfileFileInvalid as invalid:
            raise _wrong(file.name, invalid.problems) from None
        _require_sound(file.name, problems(wanted, evse=place))
        abilities = await _abilities(connection, known, timeout_s=timeout_s)
        _require_sound(file.name, problems(wanted, evse=place, abilities=abilities))
        command = SetChargingProfile(evse=place, profile=wanted, stack_level_max=abilities.stack_level_max)
        outcome = await _ask(connection, known, command, timeout_s=timeout_s)
    output.one({**said(outcome), "profile": wanted.id, "evse": place})
    finish(context, outcome)


def _text(file: IO[str]) -> str:
    try:
        text = file.read(FILE_LENGTH_MAX + 1)
    except UnicodeDecodeError:
        raise CliError(f"{file.name} is no UTF-8 text", "save it as UTF-8", ExitCode.USAGE) from None
    if len(text) > FILE_LENGTH_MAX:
        raise CliError(f"{file.name} is longer than any profile", "name the file of one profile", ExitCode.USAGE)
    return text


async def _place(
    connection: Any, charge_point: ChargePoint, session: int | None, evse: int | None
) -> tuple[str | None, int]:
    """The transaction and the EVSE that are meant; a session brings its own."""
    if session is None:
        return None, evse or 0
    row = await listing.running(connection, session, charge_point=charge_point.id, what="a profile of purpose tx")
    if evse is not None and row["evse"] not in {None, evse}:
        raise click.BadParameter(f"session {session} is on EVSE {row['evse']}, not {evse}", param_hint="--evse")
    place = row["evse"] if evse is None else evse
    if place is None:
        raise click.BadParameter(f"nobody knows on which EVSE session {session} is; say it", param_hint="--evse")
    return str(row["transaction_id"]), place


def _require_sound(name: str, found: list[Problem]) -> None:
    if found:
        raise _wrong(name, found)


def _wrong(name: str, found: list[Problem]) -> CliError:
    listed = [{"path": each.path, "rule": each.rule} for each in found]
    return CliError(
        f"{name} is no profile for this: {'; '.join(map(str, found))}",
        "correct what is named; csms profile set --help shows the shape",
        ExitCode.USAGE,
        details={"problems": listed},
    )


async def _abilities(connection: Any, charge_point: ChargePoint, *, timeout_s: float) -> Abilities:
    """What the charge point says it can; asked for once after each boot, where it is not known from a report."""
    protocol = await require_online(connection, charge_point)
    names = NAMES[protocol]
    settings = await service.known_settings(connection, charge_point.id, names)
    if not settings:
        read = settings_in(await send(connection, charge_point, GetSettings(names=names), timeout_s=timeout_s))
        await remember(connection, charge_point.id, read)
        settings = {name: value for name, (value, _) in read.items()}
    abilities = abilities_of(protocol, settings)
    if abilities.announced is False:
        raise Refused(
            f"{charge_point.id} does not announce smart charging ({names[-1]})",
            f"see csms cp config get {charge_point.id}; some have to be switched to it",
        )
    return abilities


async def _ask(connection: Any, charge_point: ChargePoint, command: Command, *, timeout_s: float) -> Outcome:
    """Send, with the request and its answer in the books, whatever the answer is."""
    await require_online(connection, charge_point)
    request = await service.record_request(connection, charge_point.id, command, actor=default_actor())
    try:
        outcome = await send(connection, charge_point, command, timeout_s=timeout_s)
    except CliError as failed:
        unanswered = Outcome(accepted=False, status=failed.code, detail=failed.message)
        await service.record_answer(connection, request, unanswered)
        raise
    await service.record_answer(connection, request, outcome)
    return outcome


@profile.command()
@click.argument("id_", metavar="CP")
@click.option("--id", "number", type=NUMBER, help="The profile with this id.")
@EVSE
@click.option(
    "--purpose", type=click.Choice([str(each) for each in Purpose if each is not Purpose.EXTERNAL_CONSTRAINTS])
)
@click.option("--stack-level", type=NUMBER)
@timeout_option
@output_options
@click.pass_context
@async_command
async def clear(
    context: click.Context, /, id_: str, number: int | None, evse: int | None, purpose: str | None,
    stack_level: int | None, timeout_s: float, output: Output,
) -> None:  # fmt: skip
    """Take charging profiles from a charge point: the one of an id, or all that match. 1.6: all where nothing is said.

    \b
    Examples:
      csms profile clear CP-001 --id 7
      csms profile clear CP-001 --evse 1 --purpose tx_default
    """
    if number is not None and (evse, purpose, stack_level) != (None, None, None):
        raise click.UsageError("--id names one profile; leave out --evse, --purpose and --stack-level")
    chosen = None if purpose is None else Purpose(purpose)
    command = ClearChargingProfile(profile=number, evse=evse, purpose=chosen, stack_level=stack_level)
    async with connect(context) as connection:
        known = await charge_points.get(connection, id_)
        protocol = await require_online(connection, known)
        if protocol is not Protocol.V16 and command == ClearChargingProfile():
            raise click.UsageError(f"{protocol} clears by --id, --evse, --purpose or --stack-level; name at least one")
        if stack_level is not None:
            abilities = await _abilities(connection, known, timeout_s=timeout_s)
            command = replace(command, stack_level_max=abilities.stack_level_max)
        outcome = await _ask(connection, known, command, timeout_s=timeout_s)
    output.one(said(outcome))
    finish(context, outcome)


@profile.command()
@click.argument("id_", metavar="CP")
@click.option("--evse", type=NUMBER, required=True, help="Which one; 0 is the charge point's connection.")
@click.option("--duration", "duration_s", type=click.IntRange(1, INTEGER_MAX), required=True, metavar="SECONDS")
@click.option(
    "--unit", type=click.Choice([str(each) for each in RateUnit]), help="The charge point chooses if left out."
)
@timeout_option
@output_options
@click.pass_context
@async_command
async def composite(
    context: click.Context, /, id_: str, evse: int, duration_s: int, unit: str | None, timeout_s: float, output: Output
) -> None:
    """Ask what an EVSE may draw from now on, all its profiles taken together.

    \b
    Examples:
      csms profile composite CP-001 --evse 1 --duration 86400
      csms profile composite CP-001 --evse 1 --duration 3600 --unit W -o json
    """
    chosen = None if unit is None else RateUnit(unit)
    async with connect(context) as connection:
        known = await charge_points.get(connection, id_)
        command = GetCompositeSchedule(evse=evse, duration_s=duration_s, unit=chosen)
        outcome = await _ask(connection, known, command, timeout_s=timeout_s)
    if not outcome.accepted:
        detail = "" if outcome.detail is None else f" ({outcome.detail})"
        output.note(f"{known.id} gives no composite schedule of EVSE {evse}: {outcome.status}{detail}")
    elif outcome.data["schedule"] is None:
        output.note(f"{known.id} has no limit on EVSE {evse} in this time")
    output.rows(_period_rows(outcome), columns=PERIOD_COLUMNS)
    finish(context, outcome)


def _period_rows(outcome: Outcome) -> list[dict[str, object]]:
    schedule = outcome.data.get("schedule")
    if not outcome.accepted or schedule is None:
        return []
    start = outcome.data["start"]
    since = None if start is None else datetime.fromisoformat(start)
    return [
        {
            "at": None if since is None else since + timedelta(seconds=period["start_s"]),
            "start_s": period["start_s"],
            "limit": Decimal(period["limit"]),
            "unit": schedule["unit"],
            "phases": period["phases"],
        }
        for period in schedule["periods"]
    ]


@profile.command("list")
@click.argument("id_", metavar="CP")
@timeout_option
@output_options
@click.pass_context
@async_command
async def list_(context: click.Context, id_: str, timeout_s: float, output: Output) -> None:
    """List the profiles of a charge point. 2.0.1 is asked; 1.6 has no such question: what it has accepted from us,
    for a site's limit as well.

    \b
    Examples:
      csms profile list CP-001
      csms profile list CP-002 -o json
    """
    async with connect(context) as connection:
        known = await charge_points.get(connection, id_)
        (listed,) = await charge_points.list_charge_points(connection, identity=known.id)
        if listed["protocol"] in {None, Protocol.V16}:
            timing = timing_of(settings_of(context))
            held = await service.accepted_profiles(connection, known.id)
            held += await site_limits.profiles_of(connection, known.site, known.id, timing)
            output.rows([_shown(each) for each in held], columns=LIST_COLUMNS)
            return
        await _report(context, connection, known, timeout_s, output)


async def _report(
    context: click.Context, connection: Any, charge_point: ChargePoint, timeout_s: float, output: Output
) -> None:
    """GetChargingProfiles, then the ReportChargingProfiles parts that follow its answer (OCPP 2.0.1 K09)."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    command = GetChargingProfiles(request=secrets.randbelow(INTEGER_MAX) + 1)
    outcome = await _ask(connection, charge_point, command, timeout_s=timeout_s)
    if not outcome.accepted:
        output.rows([], columns=LIST_COLUMNS)
        if outcome.status != "NoProfiles":
            detail = "" if outcome.detail is None else f" ({outcome.detail})"
            output.note(f"{charge_point.id} reports no profiles: {outcome.status}{detail}")
            finish(context, outcome)
        return
    left_s = deadline - asyncio.get_running_loop().time()
    report = await service.collect(connection, charge_point.id, request=command.request, timeout_s=left_s)
    rows = [_shown(each) for _, each in sorted(report.profiles.items())]
    if report.parts:
        output.rows(rows, columns=LIST_COLUMNS)
    if not report.complete:
        raise CliError(
            f"{report.parts} part(s) of the report of {charge_point.id} arrived within {timeout_s:g} s, "
            f"{len(rows)} profiles in all; the last one is not among them",
            f"try again with a longer --timeout, or look at csms cp trace {charge_point.id}",
            ExitCode.PARTIAL if report.parts else ExitCode.TIMEOUT,
        )


def _shown(held: Installed) -> dict[str, object]:
    profile = held.profile
    return {
        "id": profile.id,
        "evse": held.evse,
        "purpose": str(profile.purpose),
        "kind": str(profile.kind),
        "recurrency": None if profile.recurrency is None else str(profile.recurrency),
        "stack_level": profile.stack_level,
        "source": held.source,
        "transaction": profile.transaction,
        "valid_from": profile.valid_from,
        "valid_to": profile.valid_to,
        "accepted_at": held.at,
        "limits": _limits(profile),
        "schedules": [schedule_to_json(schedule) for schedule in profile.schedules],
    }


def _limits(profile: ChargingProfile) -> str:
    """The periods in a line: 0 s: 16 A, 64800 s: 8.5 A."""
    return " | ".join(
        ", ".join(f"{period.start_s} s: {period.limit.normalize():f} {schedule.unit}" for period in schedule.periods)
        for schedule in profile.schedules
    )


@profile.command()
@click.argument("id_", metavar="CP")
@output_options
@click.pass_context
@async_command
async def show(context: click.Context, id_: str, output: Output) -> None:
    """Show what others limit, what vehicles asked for, and what we asked and were answered last.

    \b
    Example:
      csms profile show CP-002 -o json
    """
    async with connect(context) as connection:
        known = await charge_points.get(connection, id_)
        output.one(await service.show(connection, known.id))
