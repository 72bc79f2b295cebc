"""csms discount, surcharge and incentive: rules beside tariffs, as operators enter and question them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import click

from billing.cli_output import Output, async_command, output_options
from billing.cli_parameters import DRY_RUN, INSTANT, Connect, transaction
from billing.discounts import entry, store
from billing.discounts.rule import Bearer, Rule
from billing.discounts.rule_row import LIST_COLUMNS, rule_row
from billing.discounts.store import SQL
from billing.rating.rating import Basis, ComponentName, Effect
from billing.tariffs.assignment import Audience, Scope, UserClass
from billing.tariffs.service import this_minute

TURN: Final = 100


class _Amount(click.ParamType[Decimal]):
    """A decimal above zero, exact as it is written."""

    name = "decimal"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        try:
            amount = Decimal(str(value))
        except InvalidOperation:
            self.fail(f"{value!r} is no number; write it as 0.05", param, ctx)
        if not amount.is_finite() or amount < 0:
            self.fail(f"{value!r} is not a number from zero on", param, ctx)
        return amount


AMOUNT: Final = _Amount()

_VALUES: Final = {
    Basis.PERCENT: click.option("--percent", type=AMOUNT, help="So much of the price that is left."),
    Basis.FIXED: click.option("--amount", "fixed", type=AMOUNT, help="So much per session."),
    Basis.PER_KWH: click.option("--per-kwh", type=AMOUNT, help="So much per kWh of the session."),
    Basis.FREE_KWH: click.option(
        "--free-kwh", type=AMOUNT, help="So many kWh of a calendar month without energy price."
    ),
}
_WHERE: Final = (
    click.option("--site", help="Only at this site; everywhere unless said."),
    click.option("--location-group", metavar="GROUP", help="Only at the sites of this group."),
    click.option("--cp", "charge_point", metavar="CP", help="Only at this charge point."),
)
_FOR_WHOM: Final = (
    click.option("--token", metavar="TOKEN", help="Only for this token."),
    click.option("--token-group", metavar="GROUP", help="Only for tokens of this group."),
    click.option(
        "--class", "user_class", type=click.Choice([each.value for each in UserClass]), help="Only for such drivers."
    ),
    click.option("--product", metavar="NAME", help="Only for what charge points sell by this name, such as DC."),
    click.option("--tariff", metavar="ID", help="Only for sessions that this tariff prices."),
)
_HOW_OFTEN: Final = (
    click.option("--uses", "uses_max", type=click.IntRange(min=1), help="For so many sessions altogether."),
    click.option("--uses-each", "uses_each_max", type=click.IntRange(min=1), help="For so many sessions of each customer."),
    click.option(
        "--min-kwh-last-month", "last_month_kwh_min", type=AMOUNT,
        help="Only for customers who charged so much in the calendar month before.",
    ),
    click.option(
        "--each", "bearer", type=click.Choice(["token", "token-group"]), default="token", show_default=True,
        help="Who is a customer, where customers are counted.",
    ),
)  # fmt: skip
_COUPON: Final = (
    click.option("--coupon", metavar="CODE", help="Only for tokens that the code is redeemed for."),
    click.option("--redemptions", "redemptions_max", type=click.IntRange(min=1), help="For so many tokens at most."),
)
_ALL: Final = (
    click.option("--label", help="What bills call it; the ID unless said."),
    click.option(
        "--order", "turn", type=click.IntRange(-10_000, 10_000), default=TURN, show_default=True,
        help="The lower acts first, within surcharges and within discounts.",
    ),
    click.option("--currency", metavar="CODE", help="Of an amount; that of the sites unless said."),
    click.option("--from", "valid_from", type=INSTANT, help="From when on; this minute unless said."),
    click.option("--until", "valid_to", type=INSTANT, help="Up to when; for good unless said."),
)  # fmt: skip
_COMPONENT: Final = click.option(
    "--component", type=click.Choice([each.value for each in ComponentName]),
    help="Only on this part of the price; per kWh means energy unless said.",
)  # fmt: skip


_INCLUDED: Final = dict.fromkeys(Effect, lambda command: command) | {
    Effect.DISCOUNT: click.option(
        "--included", is_flag=True, help="Those too that contracts make for the kWh in their plans."
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """A noun of the command line. `bases`: what its value may be."""

    effect: Effect
    bases: tuple[Basis, ...]
    options: tuple[Callable[[Any], Any], ...]
    about: str
    examples: str


_KINDS: Final = {
    Effect.DISCOUNT: _Kind(
        effect=Effect.DISCOUNT,
        bases=(Basis.PERCENT, Basis.FIXED, Basis.PER_KWH, Basis.FREE_KWH),
        options=(_COMPONENT, *_COUPON),
        about="Amounts are with tax where the tariff's prices are, else without. It acts after min_price and max_price.",
        examples="""csms discount add summer --percent 10 --site harbour --until 2026-09-01
          csms discount add flat-7 --free-kwh 50 --token-group flat-7 --each token-group
          csms discount add spring --amount 5 --coupon SPRING --redemptions 100 --uses-each 1""",
    ),
    Effect.SURCHARGE: _Kind(
        effect=Effect.SURCHARGE,
        bases=(Basis.PERCENT, Basis.FIXED, Basis.PER_KWH),
        options=(
            _COMPONENT,
            click.option("--vat", type=AMOUNT, help="Its rate where nothing else is priced, in percent."),
        ),
        about="Amounts are with tax where the tariff's prices are, else without. It acts before min_price and max_price.",
        examples="""csms surcharge add roaming --percent 5 --class roaming
          csms surcharge add levy --per-kwh 0.02 --site harbour --dry-run""",
    ),
    Effect.INCENTIVE: _Kind(
        effect=Effect.INCENTIVE,
        bases=(Basis.FIXED, Basis.PER_KWH),
        options=(
            click.option(
                "--party",
                required=True,
                metavar="NAME",
                help="Who pays it: an account's id, or a name it is known by (csms account set --party).",
            ),
        ),
        about="Price and tax stay as they are; the customer pays less, and each final bill is a claim on the party.",
        examples="""csms incentive add green --per-kwh 0.05 --party 'Ministry of Transport'
          csms incentive add town --amount 1 --party 'City' --site harbour --until 2027-01-01""",
    ),
}


def rule_group(effect: Effect, connect: Connect, *, default_actor: Callable[[], str]) -> click.Group:
    """`csms discount`, `csms surcharge` or `csms incentive`: add, list, show and end."""
    kind, noun = _KINDS[effect], effect.value
    first, *_ = kind.examples.splitlines()
    group = click.Group(
        noun, help=f"{noun.capitalize()}s: rules beside tariffs, for bills of sessions that begin from then on.\n\n\b\nExamples:\n  {first}\n  csms {noun} list"
    )  # fmt: skip
    _add_add(group, kind, connect, default_actor)
    _add_list(group, effect, connect)
    _add_show(group, effect, connect)
    _add_end(group, effect, connect, default_actor)
    return group


def _named(effect: Effect) -> str:
    return f"{'an' if effect is Effect.INCENTIVE else 'a'} {effect.value}"


def _with_options(kind: _Kind) -> Callable[[Any], Any]:
    options = (*(_VALUES[basis] for basis in kind.bases), *kind.options, *_WHERE, *_FOR_WHOM, *_HOW_OFTEN, *_ALL)

    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _add_add(group: click.Group, kind: _Kind, connect: Connect, default_actor: Callable[[], str]) -> None:
    help_ = (
        f"Enter {_named(kind.effect)}. Sessions that began before keep their price, whatever --from says.\n\n"
        f"{kind.about} A rule never changes: end it and add another one.\n\n\b\nExamples:\n  "
        + "\n  ".join(line.strip() for line in kind.examples.splitlines())
    )

    @group.command("add", help=help_)
    @click.argument("id_", metavar="ID")
    @_with_options(kind)
    @click.option("--actor", default=default_actor, help="Who enters it; the account's name unless said.")
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def add(
        context: click.Context, /, id_: str, actor: str, dry_run: bool, output: Output, **chosen: Any
    ) -> None:
        rule = _rule(kind, id_, chosen, now=datetime.now(UTC))
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            entered = await entry.add(connection, rule, actor=actor)
        output.one(rule_row(entered) | ({"dry_run": True} if dry_run else {}))


def _rule(kind: _Kind, id_: str, chosen: dict[str, Any], *, now: datetime) -> Rule:
    values = {basis: chosen.pop(basis.value) for basis in kind.bases}
    given = [(basis, value) for basis, value in values.items() if value is not None]
    names = ", ".join(
        {Basis.FIXED: "--amount"}.get(basis, f"--{basis.value.replace('_', '-')}") for basis in kind.bases
    )
    if len(given) != 1:
        raise click.UsageError(f"give exactly one of {names}")
    [(basis, value)] = given
    scope, target = _scope(chosen)
    component = chosen.pop("component", None)
    if component is None and basis in {Basis.PER_KWH, Basis.FREE_KWH} and kind.effect is not Effect.INCENTIVE:
        component = ComponentName.ENERGY.value
    if basis is Basis.FREE_KWH and component != ComponentName.ENERGY.value:
        raise click.UsageError("--free-kwh is about energy; leave --component away")
    user_class, token, coupon = chosen.pop("user_class"), chosen.pop("token"), chosen.pop("coupon", None)
    audience = Audience(
        token_group=chosen.pop("token_group"),
        user_class=None if user_class is None else UserClass(user_class),
        product=chosen.pop("product"),
    )
    return Rule(
        id=id_,
        label=chosen.pop("label") or id_,
        effect=kind.effect,
        basis=basis,
        value=value,
        component=None if component is None else ComponentName(component),
        scope=scope,
        target=target,
        audience=audience,
        token=None if token is None else token.strip().upper(),
        coupon=None if coupon is None else coupon.strip().upper(),
        bearer=Bearer(chosen.pop("bearer").replace("-", "_")),
        valid_from=chosen.pop("valid_from") or this_minute(now),
        entered_at=now,
        **chosen,
    )


def _scope(chosen: dict[str, Any]) -> tuple[Scope, str | None]:
    named = [
        (scope, target)
        for scope, name in (
            (Scope.SITE, "site"), (Scope.LOCATION_GROUP, "location_group"), (Scope.CHARGE_POINT, "charge_point"),
        )
        if (target := chosen.pop(name)) is not None
    ]  # fmt: skip
    if len(named) > 1:
        raise click.UsageError("give one of --site, --location-group and --cp, or none for everywhere")
    return named[0] if named else (Scope.DEFAULT, None)


def _add_list(group: click.Group, effect: Effect, connect: Connect) -> None:
    noun = effect.value

    @group.command(
        "list",
        help=f"List every {noun} in the order in which they act, ended ones too.\n\n\b\nExample:\n  csms {noun} list -o json",
    )
    @_INCLUDED[effect]
    @output_options
    @click.pass_context
    @async_command
    async def list_(context: click.Context, /, output: Output, *, included: bool = False) -> None:
        async with connect(context) as connection:
            rules = await store.all_rules(connection, [effect], included=None if included else ((), ()))
        output.rows([rule_row(rule) for rule in rules], columns=LIST_COLUMNS)


def _add_show(group: click.Group, effect: Effect, connect: Connect) -> None:
    noun = effect.value

    @group.command(
        "show",
        help=f"Show {_named(effect)}, and what bills that count have used of it so far.\n\n\b\nExample:\n  csms {noun} show summer",
    )
    @click.argument("id_", metavar="ID")
    @output_options
    @click.pass_context
    @async_command
    async def show(context: click.Context, id_: str, output: Output) -> None:
        async with connect(context) as connection:
            rule = await entry.require(connection, effect, id_)
            used = await SQL.uses_of_rules.fetch(connection, rules=[rule.id])
            redeemed = await SQL.count_redemptions.fetchval(connection, rule=rule.id)
        uses = [
            {
                "bills": row["uses"],
                "free_kwh": row["free_kwh"],
                "amount_incl_tax": row["amount"],
                "currency": row["currency"],
            }
            for row in used
        ]
        output.one(rule_row(rule) | ({"redemptions": redeemed} if rule.coupon else {}) | {"used": uses})


def _add_end(group: click.Group, effect: Effect, connect: Connect, default_actor: Callable[[], str]) -> None:
    noun = effect.value

    @group.command(
        "end",
        help=f"End {_named(effect)}. Sessions that began before keep it.\n\n\b\nExamples:\n  csms {noun} end summer\n  csms {noun} end summer --from 2026-09-01T00:00:00+02:00 --dry-run",
    )
    @click.argument("id_", metavar="ID")
    @click.option("--from", "valid_to", type=INSTANT, help="When it ends; this minute unless said.")
    @click.option("--actor", default=default_actor, help="Who ends it; the account's name unless said.")
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def end(
        context: click.Context, id_: str, valid_to: datetime | None, actor: str, dry_run: bool, output: Output
    ) -> None:
        now = datetime.now(UTC)
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            rule = await entry.end(connection, effect, id_, valid_to=valid_to or this_minute(now), now=now, actor=actor)
        output.one(rule_row(rule) | ({"dry_run": True} if dry_run else {}))
