"""csms cp password: passwords of charge points, changed over OCPP."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from billing import CliError, ExitCode, Output, Refused, async_command, output_options
from csms.charge_points import service as charge_points
from csms.charge_points.asking import require_online, require_server, timeout_option
from csms.charge_points.fleet import for_each, progress_bar
from csms.charge_points.password_option import ask_for_password, takes_password
from csms.charge_points.service import Choices
from csms.cli.context import connect, default_actor, open_pool_of, settings_of
from csms.credentials import service
from csms.credentials.change import ChangeState
from csms.credentials.service import new_password
from csms.nodes.routing import ask
from csms.sites import service as sites

COLUMNS = ("id", "outcome", "state", "password", "detail")
LIST_COLUMNS = ("charge_point", "made_at", "state", "outcome", "settled_at", "actor")
OFFLINE, YOUNG, CERTIFICATE, WOULD = "offline", "up_to_date", "uses_a_certificate", "would_change"
WELL = frozenset({YOUNG, CERTIFICATE, WOULD})
HAS_CERTIFICATE = 3
SET_HELP = "16 to 40 characters; `-` reads it from stdin, and without a value it is asked for, as where it is left out."


@click.group()
def password() -> None:
    """Passwords of charge points, changed in the charge point and here as one.

    The new one counts beside the former until the charge point has shown which it holds, so that nobody is locked out.

    \b
    Examples:
      csms cp password rotate CP-001
      csms cp password rotate --all --dry-run
      csms cp password list CP-001
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choice:
    """How passwords are changed; `younger_than` None: whatever their age."""

    key: bytes
    actor: str
    timeout_s: float
    now: datetime
    younger_than: timedelta | None = None
    dry_run: bool = False


@password.command()
@click.argument("id_", metavar="[CP]", required=False)
@click.option("--site", help="Of all charge points of a site.")
@click.option("--all", "everywhere", is_flag=True, help="Of all charge points.")
@click.option(
    "--max-age", "age_days", type=click.FloatRange(0), default=1, show_default=True, metavar="DAYS",
    help="Of a fleet, only those whose password is older; 0: all.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say whose would be changed, and change nothing.")
@click.option("--parallel", type=click.IntRange(1, 50), default=8, show_default=True, help="So many at a time.")
@timeout_option
@output_options
@click.pass_context
@async_command
async def rotate(
    context: click.Context, /, id_: str | None, site: str | None, everywhere: bool, age_days: float, dry_run: bool,
    parallel: int, timeout_s: float, output: Output,
) -> None:  # fmt: skip
    """Give charge points new random passwords (OCPP 2.0.1 A01; 1.6: AuthorizationKey). Each is shown once, here.

    Charge points that are offline keep theirs. After an interruption the same command goes on where it stopped, as it
    leaves passwords that are younger than --max-age. What became of each is in csms cp password list.

    Exit status 8: some were changed and some were not.

    \b
    Examples:
      csms cp password rotate CP-001
      csms cp password rotate --site harbour --max-age 90
      csms cp password rotate --all -o jsonl > passwords.jsonl
    """
    if [id_ is not None, site is not None, everywhere].count(True) != 1:
        raise click.UsageError("name one charge point, or --site SITE, or --all")
    async with open_pool_of(context, size=parallel) as pool:
        async with pool.acquire() as connection:
            choice = _Choice(
                key=await _key(context, connection), actor=default_actor(), timeout_s=timeout_s, dry_run=dry_run,
                now=datetime.now(UTC), younger_than=None if id_ is not None else timedelta(days=age_days),
            )  # fmt: skip
            chosen = await _chosen(connection, id_, site, dry_run=dry_run)
        stream = output.stream(COLUMNS)
        results: list[Mapping[str, Any]] = []
        # On a terminal the lines that come are the progress, and a bar would run into them.
        bar = nullcontext(_no_bar) if sys.stdout.isatty() else progress_bar("passwords", len(chosen))
        with bar as advance:

            async def work(connection: Any, row: Mapping[str, Any]) -> None:
                result = await _rotated(connection, row, choice)
                stream.send(result)  # at once: an interruption must not lose a password that is in use already
                results.append(result)

            await for_each(pool, chosen, work, parallel=min(parallel, len(chosen)), advance=advance)
    _finish(context, output, results, single=id_ is not None)


def _no_bar() -> None:
    pass


async def _key(context: click.Context, connection: Any) -> bytes:
    settings = settings_of(context)
    key = charge_points.load_password_key(settings.data_dir, settings.password_key)
    await charge_points.require_password_key(connection, key)
    return key


async def _chosen(connection: Any, id_: str | None, site: str | None, *, dry_run: bool) -> list[Mapping[str, Any]]:
    """One charge point must be online and use a password; of a fleet, those that do not are in the result."""
    if id_ is not None:
        known = await charge_points.get(connection, id_)
        _require_password_use(known.id, known.security_profile)
        if not dry_run:
            await require_online(connection, known)
        return await service.fleet(connection, id_=known.id)
    if site is not None:
        await sites.get(connection, site)
    if not dry_run:
        await require_server(connection)
    found = await service.fleet(connection, site=site)
    if not found:
        raise CliError("no charge point to give a password to", "see csms cp list", ExitCode.NOT_FOUND)
    return found


def _require_password_use(id_: str, profile: int) -> None:
    if profile == HAS_CERTIFICATE:
        raise CliError(
            f"{id_} has security profile 3: its certificate is its credential, no password opens its door",
            "renew the certificate instead: csms certificate --help", ExitCode.REFUSED,
        )  # fmt: skip


async def _rotated(connection: Any, row: Mapping[str, Any], choice: _Choice) -> Mapping[str, Any]:
    [now] = await service.fleet(connection, id_=row["id"])
    left = _left_alone(now, choice)
    if left is not None:
        return _row(row["id"], left)
    try:
        return await _changed(connection, row["id"], new_password(), choice)
    except Refused as refused:
        return _row(row["id"], "refused", detail=refused.message)


def _left_alone(row: Mapping[str, Any], choice: _Choice) -> str | None:
    changed_at, limit = row["password_changed_at"], choice.younger_than
    if row["security_profile"] == HAS_CERTIFICATE:
        return CERTIFICATE
    if limit is not None and changed_at is not None and choice.now - changed_at < limit:
        return YOUNG
    if row["protocol"] is None:
        return OFFLINE
    return WOULD if choice.dry_run else None


async def _changed(connection: Any, id_: str, text: str, choice: _Choice) -> Mapping[str, Any]:
    """Change one, and say what is known of it then; the password is told unless the charge point refused it."""
    command = await service.begin(connection, id_, text, key=choice.key, actor=choice.actor, timeout_s=choice.timeout_s)
    outcome = await ask(connection, id_, command, actor=choice.actor, timeout_s=choice.timeout_s)
    state = await service.state_of(connection, command.change)
    if state is ChangeState.SENT and outcome.status == OFFLINE:  # no node took it, and none can any more
        state = await service.withdraw(connection, command.change)
    told = None if state in {ChangeState.REFUSED, ChangeState.NOT_TAKEN, ChangeState.SUPERSEDED} else text
    return _row(id_, outcome.status, state=state.value, password=told, detail=outcome.detail)


def _row(id_: str, outcome: str, **more: str | None) -> Mapping[str, Any]:
    return {"id": id_, "outcome": outcome, "state": None, "password": None, "detail": None, **more}


def _finish(context: click.Context, output: Output, results: list[Mapping[str, Any]], *, single: bool) -> None:
    undecided = [each["id"] for each in results if each["state"] in {"sent", "unknown"}]
    if undecided:
        output.note(
            f"{len(undecided)} did not say whether they hold the new one: both count until each comes with one of them"
        )
    good = [each for each in results if each["state"] in {"in_use", "after_restart"} or each["outcome"] in WELL]
    if len(good) == len(results):
        return
    if single:
        context.exit(int(ExitCode.TIMEOUT if undecided else ExitCode.REFUSED))
    output.note(f"{len(results) - len(good)} of {len(results)} have no new password in use; run it again once they can")
    context.exit(int(ExitCode.PARTIAL))


@password.command("set")
@click.argument("id_", metavar="CP")
@click.option("--here-only", is_flag=True, help="It is in the charge point already: only take it here.")
@takes_password(help_=SET_HELP)
@timeout_option
@output_options
@click.pass_context
@async_command
async def set_(
    context: click.Context, /, id_: str, here_only: bool, password: str | None, timeout_s: float, output: Output
) -> None:
    """Give a charge point a password of your choice. OCPP 1.6 takes 16 to 20 bytes, or as many in hexadecimal.

    \b
    Examples:
      csms cp password set CP-001
      csms cp password set CP-001 --password-file /run/secrets/CP-001
      csms cp password set CP-001 --password - --here-only
    """
    text = password if password is not None else ask_for_password()
    async with connect(context) as connection:
        key = await _key(context, connection)
        known = await charge_points.get(connection, id_)
        _require_password_use(known.id, known.security_profile)
        if here_only:
            await charge_points.change(connection, known.id, Choices(password=text), key=key)
            output.one({"id": known.id, "outcome": "taken here", "state": ChangeState.IN_USE.value})
            return
        service.require_password(text)
        await require_online(connection, known)
        choice = _Choice(key=key, actor=default_actor(), timeout_s=timeout_s, now=datetime.now(UTC))
        result = await _changed(connection, known.id, text, choice)
    if result["outcome"] == "invalid":
        raise CliError(str(result["detail"]), "choose a password that fits", ExitCode.USAGE)
    output.one({name: value for name, value in result.items() if name != "password"})
    _finish(context, output, [result], single=True)


@password.command("list")
@click.argument("id_", metavar="[CP]", required=False)
@click.option("--limit", "most", type=click.IntRange(1, 10_000), default=100, show_default=True)
@output_options
@click.pass_context
@async_command
async def list_(context: click.Context, id_: str | None, most: int, output: Output) -> None:
    """List changes of passwords, the newest first, and what became of each.

    sent, unknown: it counts beside the former one until the charge point comes with either. after_restart: from the
    charge point's next restart on. in_use, refused, not_taken, superseded: decided.

    \b
    Examples:
      csms cp password list CP-001
      csms cp password list -o json
    """
    async with connect(context) as connection:
        where = None if id_ is None else (await charge_points.get(connection, id_)).id
        found = await service.changes(connection, charge_point=where, most=most)
    output.rows([{name: row[name] for name in LIST_COLUMNS} for row in found], columns=LIST_COLUMNS)
