"""csms tariff assign, unassign, assignments, which: the product matrix as operators enter and question it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias

import click

from billing.cli_output import Format, Output, async_command, output_options
from billing.cli_parameters import DRY_RUN, INSTANT, Connect, transaction
from billing.errors import ExitCode
from billing.sql import Connection
from billing.tariffs import service
from billing.tariffs.assignment import Assignment, Audience, Place, Scope, UserClass, Verdict

PlaceOf: TypeAlias = Callable[[Connection, str, "str | None", datetime], Awaitable[Place]]
"""Where and for whom a session of this charge point and token at this instant would be priced."""

COLUMNS = (
    "assignment", "tariff", "scope", "target", "token_group", "user_class", "product", "priority", "valid_from",
    "entered_at",
)  # fmt: skip
WHICH_COLUMNS = ("applies", "assignment", "tariff", "scope", "target", "why")


_WHERE = (
    click.option("--site", help="For all charge points of this site."),
    click.option("--cp", "charge_point", metavar="CP", help="For this charge point; wins over its site."),
    click.option("--location-group", metavar="GROUP", help="For all sites of this group; a site wins over it."),
    click.option("--default", "everywhere", is_flag=True, help="Where nothing narrower is assigned."),
)
_FOR_WHOM = (
    click.option("--token-group", metavar="GROUP", help="Only for tokens of this group."),
    click.option(
        "--class", "user_class", type=click.Choice([each.value for each in UserClass]), help="Only for such drivers."
    ),
    click.option("--product", metavar="NAME", help="Only for what charge points sell by this name, such as DC."),
)
_WHEN = (
    click.option(
        "--priority", type=click.IntRange(-1000, 1000), default=0, help="The higher goes first; 0 unless said."
    ),
    click.option("--from", "valid_from", type=INSTANT, help="From when on; this minute unless said."),
    click.option("--until", "valid_to", type=INSTANT, help="Up to when; for good unless said."),
)


def _with_options(command: Any) -> Any:
    for each in reversed((*_WHERE, *_FOR_WHOM, *_WHEN)):
        command = each(command)
    return command


def add_assign(group: click.Group, connect: Connect) -> None:
    @group.command()
    @click.argument("id_", metavar="ID")
    @_with_options
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def assign(context: click.Context, /, id_: str, dry_run: bool, output: Output, **chosen: Any) -> None:
        """Let a charge point, a site, a group of sites or everybody charge by a tariff.

        Of the assignments that fit a session one decides: the higher priority, then the narrower place (charge point,
        site, location group, default), then the narrower customer (token group, class), then a named product, then the
        later --from. csms tariff which shows it.

        A session has the tariff that was in force when token and connector were first both known. An assignment that
        is entered afterwards, whatever its --from, prices only sessions that had no tariff then.

        \b
        Examples:
          csms tariff assign day --default
          csms tariff assign fast --site harbour --from 2026-04-01T00:00:00+02:00
          csms tariff assign fleet --default --class fleet --product DC --priority 10
        """
        scope, target = _scope(**{name: chosen.pop(name) for name in _PLACES})
        user_class = chosen.pop("user_class")
        audience = Audience(
            token_group=chosen.pop("token_group"),
            user_class=None if user_class is None else UserClass(user_class),
            product=chosen.pop("product"),
        )
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            made = await service.assign(
                connection, id_, scope=scope, target=target, now=datetime.now(UTC), audience=audience, **chosen
            )
        output.one(assignment_row(made) | ({"dry_run": True} if dry_run else {}))


def add_unassign(group: click.Group, connect: Connect) -> None:
    @group.command()
    @click.argument("assignment", type=click.IntRange(min=1))
    @click.option("--from", "valid_to", type=INSTANT, help="When it ends; this minute unless said.")
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def unassign(
        context: click.Context, assignment: int, valid_to: datetime | None, dry_run: bool, output: Output
    ) -> None:
        """End an assignment. Sessions that began before keep their tariff.

        \b
        Examples:
          csms tariff unassign 7
          csms tariff unassign 7 --from 2026-05-01T00:00:00+02:00 --dry-run
        """
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            ended = await service.unassign(connection, assignment, now=datetime.now(UTC), valid_to=valid_to)
        row = {"assignment": assignment, "ended_at": ended.valid_from, "entered_at": ended.entered_at}
        output.one(row | ({"dry_run": True} if dry_run else {}))


def add_assignments(group: click.Group, connect: Connect) -> None:
    @group.command()
    @output_options
    @click.pass_context
    @async_command
    async def assignments(context: click.Context, output: Output) -> None:
        """List every assignment as it was entered; one without a tariff ends an earlier one of the same kind.

        \b
        Example:
          csms tariff assignments -o json
        """
        async with connect(context) as connection:
            output.rows([assignment_row(each) for each in await service.list_assignments(connection)], columns=COLUMNS)


def add_which(group: click.Group, connect: Connect, place_of: PlaceOf) -> None:
    @group.command()
    @click.option("--cp", "charge_point", metavar="CP", required=True, help="Where somebody would charge.")
    @click.option("--token", metavar="TOKEN", help="Who would charge; somebody of whom nothing is known unless said.")
    @click.option("--at", type=INSTANT, help="When the session would begin; now unless said.")
    @output_options
    @click.pass_context
    @async_command
    async def which(
        context: click.Context, charge_point: str, token: str | None, at: datetime | None, output: Output
    ) -> None:
        """Say which tariff a session has, and of every other assignment why it does not apply.

        The first row decides; exit status 6 if nothing applies: such a session is held no_tariff.

        \b
        Examples:
          csms tariff which --cp CP-001 --token 04AB12CD
          csms tariff which --cp CP-001 --at 2026-05-01T08:00:00+02:00 -o json
        """
        async with connect(context) as connection:
            place = await place_of(connection, charge_point, token, at or datetime.now(UTC))
            verdicts = await service.which(connection, place)
        output.rows([_verdict_row(each) for each in verdicts], columns=WHICH_COLUMNS)
        if output.format is Format.TABLE:
            output.note(_told(place))
        if not any(each.version is not None for each in verdicts):
            context.exit(ExitCode.FINDINGS)


def _told(place: Place) -> str:
    customer = place.customer
    known = {
        "location groups": ", ".join(sorted(place.location_groups)) or None,
        "token group": customer.token_group,
        "class": customer.user_class,
        "product": place.product,
    }
    told = "; ".join(f"{name} {value}" for name, value in known.items() if value is not None)
    return f"{place.charge_point} at {place.site}, {place.at:%F %T}Z; {told}"


_PLACES = ("charge_point", "site", "location_group", "everywhere")


def _scope(
    *, charge_point: str | None, site: str | None, location_group: str | None, everywhere: bool
) -> tuple[Scope, str | None]:
    named = {Scope.SITE: site, Scope.CHARGE_POINT: charge_point, Scope.LOCATION_GROUP: location_group}
    chosen: list[tuple[Scope, str | None]] = [(scope, target) for scope, target in named.items() if target is not None]
    chosen += [(Scope.DEFAULT, None)] if everywhere else []
    if len(chosen) != 1:
        raise click.UsageError("give exactly one of --site, --cp, --location-group and --default")
    return chosen[0]


def assignment_row(each: Assignment) -> dict[str, object]:
    """As commands print it."""
    return {
        "assignment": each.id,
        "tariff": each.tariff,
        "scope": each.scope,
        "target": each.target,
        "token_group": each.audience.token_group,
        "user_class": each.audience.user_class,
        "product": each.audience.product,
        "priority": each.priority,
        "valid_from": each.valid_from,
        "entered_at": each.entered_at,
    }


def _verdict_row(each: Verdict) -> dict[str, object]:
    return {
        "applies": each.version is not None,
        **assignment_row(each.assignment),
        "version": None if each.version is None else each.version.number,
        "why": each.why,
    }
