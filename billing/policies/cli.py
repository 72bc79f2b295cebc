"""csms policy: the choices that sessions are judged and billed by."""

from __future__ import annotations

from collections.abc import Sequence

import click

from billing.cli_output import Output, async_command, output_options
from billing.cli_parameters import DRY_RUN, Connect, transaction
from billing.policies import store
from billing.policies.kinds import PolicyKind
from billing.tariffs.assignment import UserClass

HELP = """Policies: interim bills, rounding, review limits. Versions are added, never edited.

\b
Examples:
  csms policy list
  csms policy show review
  csms policy set interim every_s=600 every_wh=2000
  csms policy set interim --token-group FLEET-7 every_wh=1000
"""


def policy_group(connect: Connect, kinds: Sequence[PolicyKind]) -> click.Group:
    """The command group over `kinds`; `connect` gives its commands a connection."""
    group = click.Group("policy", help=HELP)
    by_name = {kind.name: kind for kind in kinds}
    for add in (_add_list, _add_show, _add_set):
        add(group, connect, by_name)
    return group


def _add_list(group: click.Group, connect: Connect, kinds: dict[str, PolicyKind]) -> None:
    @group.command("list")
    @output_options
    @click.pass_context
    @async_command
    async def list_(context: click.Context, output: Output) -> None:
        """List the policies: what each decides and which version is in use.

        \b
        Example:
          csms policy list -o json
        """
        async with connect(context) as connection:
            rows = [
                {"kind": kind.name, **(await store.newest(connection, kind)).to_dict(), "decides": kind.decides}
                for kind in kinds.values()
            ]
        output.rows(rows, columns=("kind", "version", "since", "decides"))


def _add_show(group: click.Group, connect: Connect, kinds: dict[str, PolicyKind]) -> None:
    @group.command()
    @click.argument("kind", type=click.Choice(list(kinds)))
    @click.option("--version", type=click.IntRange(min=1), help="The one in use unless said.")
    @output_options
    @click.pass_context
    @async_command
    async def show(context: click.Context, kind: str, version: int | None, output: Output) -> None:
        """Show a policy, name by name. Amounts are in major units of the session's currency, tax included.

        \b
        Examples:
          csms policy show interim
          csms policy show review --version 1 -o json
        """
        async with connect(context) as connection:
            found = await store.newest(connection, kinds[kind], version=version)
        output.one({"kind": kind, **found.to_dict(), **_chosen_here(found.body, kinds[kind])})


def _add_set(group: click.Group, connect: Connect, kinds: dict[str, PolicyKind]) -> None:
    @group.command("set")
    @click.argument("kind", type=click.Choice(list(kinds)))
    @click.argument("changes", metavar="NAME=VALUE...", nargs=-1, required=True)
    @click.option("--token-group", help="Only for sessions of this token group (interim).")
    @click.option(
        "--class",
        "user_class",
        type=click.Choice([each.value for each in UserClass]),
        help="Only for sessions of this user class (interim).",
    )
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def set_(
        context: click.Context,
        kind: str,
        changes: tuple[str, ...],
        token_group: str | None,
        user_class: str | None,
        dry_run: bool,
        output: Output,
    ) -> None:
        """Store the next version of a policy; what is not named stays. Bills that were made keep theirs.

        A running server uses it within seconds. Of the entries for customers one counts for a session: its token
        group's, else its user class's; what that one leaves open is as for everybody. NAME=none takes a value back.

        \b
        Examples:
          csms policy set interim every_s=600 every_wh=2000 every_amount=2.50
          csms policy set interim --token-group FLEET-7 every_wh=1000
          csms policy set review energy_wh_max=200000 price_max=90 --dry-run
          csms policy set rating waive_below_wh=none
        """
        entry = _entry(token_group, user_class)
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            stored = await store.change(connection, kinds[kind], changes, entry=entry)
        said = {"kind": kind, **stored.to_dict(), **_chosen_here(stored.body, kinds[kind])}
        output.one(said | ({"dry_run": True} if dry_run else {}))


def _entry(token_group: str | None, user_class: str | None) -> tuple[str, str] | None:
    """Under which name of the policy the customers stand, and theirs."""
    if token_group is not None and user_class is not None:
        raise click.UsageError("name a token group or a user class: an entry is for one of them")
    if token_group is not None:
        return "token_groups", token_group
    return None if user_class is None else ("user_classes", user_class)


def _chosen_here(body: store.Body, kind: PolicyKind) -> dict[str, object]:
    """In the order in which the kind names them; what an old version did not know has its default."""
    names = [name for name in kind.default if name not in kind.fixed and name != "version"]
    return {name: body.get(name, kind.default[name]) for name in names}
