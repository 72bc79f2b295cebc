"""csms discount redeem and which, csms incentive claims."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime

import click

from billing.cli_output import Format, Output, async_command, output_options
from billing.cli_parameters import DRY_RUN, INSTANT, Connect, transaction
from billing.discounts import claims, entry, service
from billing.discounts.rule import Subject
from billing.discounts.rule_row import WHICH_COLUMNS, verdict_row
from billing.discounts.store import SQL
from billing.sql import Connection
from billing.tariffs import service as tariffs
from billing.tariffs.assignment import Place
from billing.tariffs.assignment_cli import PlaceOf

CLAIM_COLUMNS = ("party", "session", "seq", "kind", "site", "ended_at", "kwh", "amount", "currency", "created_at")
SUM_COLUMNS = ("party", "bills", "amount", "currency")


def add_redeem(group: click.Group, connect: Connect, *, default_actor: Callable[[], str]) -> None:
    @group.command()
    @click.argument("code")
    @click.option("--token", required=True, metavar="TOKEN", help="Who gets what the coupon gives.")
    @click.option("--actor", default=default_actor, help="Who redeems it; the account's name unless said.")
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def redeem(context: click.Context, code: str, token: str, actor: str, dry_run: bool, output: Output) -> None:
        """Redeem a coupon for a token. It counts for sessions that begin from now on.

        \b
        Examples:
          csms discount redeem SPRING --token 04AB12CD
          csms discount redeem SPRING --token 04AB12CD --dry-run
        """
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            done = await entry.redeem(connection, code, token, now=datetime.now(UTC), actor=actor)
        row = {
            "coupon": done.rule.coupon,
            "discount": done.rule.id,
            "token": done.token,
            "redeemed_at": done.redeemed_at,
            "redemptions": done.redemptions,
            "redemptions_max": done.rule.redemptions_max,
        }
        output.one(row | ({"dry_run": True} if dry_run else {}))


def add_which(group: click.Group, connect: Connect, place_of: PlaceOf) -> None:
    @group.command()
    @click.option("--cp", "charge_point", metavar="CP", required=True, help="Where somebody would charge.")
    @click.option("--token", metavar="TOKEN", help="Who would charge; somebody of whom nothing is known unless said.")
    @click.option("--at", type=INSTANT, help="When the session would begin; now unless said.")
    @click.option("--tariff", metavar="ID", help="What prices it; the assigned tariff unless said.")
    @output_options
    @click.pass_context
    @async_command
    async def which(
        context: click.Context, charge_point: str, token: str | None, at: datetime | None, tariff: str | None,
        output: Output,
    ) -> None:  # fmt: skip
        """Say which surcharges, discounts and incentives a session gets, and of every other one why not.

        Those that apply come first, in the order in which they act. What bills have used counts as of now.

        \b
        Examples:
          csms discount which --cp CP-001 --token 04AB12CD
          csms discount which --cp CP-001 --at 2026-05-01T08:00:00+02:00 -o json
        """
        async with connect(context) as connection:
            place = await place_of(connection, charge_point, token, at or datetime.now(UTC))
            subject = await _subject(connection, place, token, tariff)
            verdicts = await service.which(connection, subject)
        output.rows([verdict_row(each) for each in verdicts], columns=WHICH_COLUMNS)
        if output.format is Format.TABLE:
            output.note(f"{place.charge_point} at {place.site}, {place.at:%F %T}Z; tariff {subject.tariff or 'none'}")


async def _subject(connection: Connection, place: Place, token: str | None, tariff: str | None) -> Subject:
    if tariff is None:
        deciding = next((each for each in await tariffs.which(connection, place) if each.version is not None), None)
        tariff = None if deciding is None else deciding.assignment.tariff
    time_zone = await SQL.time_zone_of.fetchval(connection, site=place.site)
    named = None if token is None else token.strip().upper()
    return Subject(session=0, place=place, token=named, tariff=tariff, time_zone=time_zone)


class _Month(click.ParamType[date]):
    """A calendar month, as its first day."""

    name = "month"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(f"{value}-01")
        except ValueError:
            self.fail(f"{value!r} is no month; write it as 2026-03", param, ctx)


def add_claims(group: click.Group, connect: Connect) -> None:
    @group.command("claims")
    @click.option("--month", type=_Month(), required=True, metavar="YYYY-MM", help="When the bills were made.")
    @click.option("--party", metavar="NAME", help="Claims on this party; on all unless said.")
    @click.option("--sum", "summed", is_flag=True, help="Only what each party owes altogether.")
    @output_options
    @click.pass_context
    @async_command
    async def claims_(context: click.Context, month: date, party: str | None, summed: bool, output: Output) -> None:
        """List what third parties owe for the bills of a month, by each site's clock.

        A correction claims the difference to the bill before, which may be negative.

        \b
        Examples:
          csms incentive claims --month 2026-03 --party 'Ministry of Transport'
          csms incentive claims --month 2026-03 --sum -o csv
        """
        async with connect(context) as connection:
            found = await claims.claims_of(connection, month, party=party)
        sums = claims.sums_of(found)
        if summed:
            output.rows([each.to_dict() for each in sums], columns=SUM_COLUMNS)
            return
        output.rows([each.to_dict() for each in found], columns=CLAIM_COLUMNS)
        if output.format is Format.TABLE:
            for each in sums:
                output.note(f"{each.party}: {each.amount} of {each.bills} claims")
