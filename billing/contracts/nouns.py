"""The nouns of the command line: csms contract, csms plan and csms item with all their verbs."""

from __future__ import annotations

from collections.abc import Callable

import click

from billing.cli_parameters import Connect
from billing.contracts import item_cli, plan_cli
from billing.contracts.change_cli import add_change_commands
from billing.contracts.changes import Record
from billing.contracts.cli_words import Desk
from billing.contracts.contract_cli import add_contract_commands
from billing.contracts.milestone_cli import add_milestone_commands
from billing.contracts.template_cli import add_template_commands

HELP = """Contracts: terms and deadlines, what recurs, sums in parts, discounts, and what fell due of it all.

Days are those of the customer's own calendar. What falls due is charged by itself, once, and handed over to be invoiced.

\b
Examples:
  csms contract create HOME-12 --account A-1 --start 2026-03-17 --currency EUR --plan basic --reason "signed 2026-03-02"
  csms contract show HOME-12
  csms contract change 12 --plan plus --on 2026-05-01 --reason "upgrade" --dry-run
"""


def contract_group(connect: Connect, *, actor: Callable[[], str], record: Record) -> click.Group:
    """`csms contract`; `actor` says who gives a command, `record` keeps what it changes."""
    desk = Desk(connect=connect, actor=actor, record=record)
    group = click.Group("contract", help=HELP)
    for add in (add_contract_commands, add_change_commands, add_milestone_commands, add_template_commands):
        add(group, desk)
    return group


def plan_group(connect: Connect, *, actor: Callable[[], str], record: Record) -> click.Group:
    """`csms plan`."""
    return plan_cli.plan_group(Desk(connect=connect, actor=actor, record=record))


def item_group(connect: Connect, *, actor: Callable[[], str], record: Record) -> click.Group:
    """`csms item`."""
    return item_cli.item_group(Desk(connect=connect, actor=actor, record=record))
