"""The nouns of the command line: csms discount, csms surcharge and csms incentive with all their verbs."""

from __future__ import annotations

from collections.abc import Callable

import click

from billing.cli_parameters import Connect
from billing.discounts.cli import rule_group
from billing.discounts.which_cli import add_claims, add_redeem, add_which
from billing.rating.rating import Effect
from billing.tariffs.assignment_cli import PlaceOf


def discount_group(connect: Connect, *, place_of: PlaceOf, default_actor: Callable[[], str]) -> click.Group:
    """`csms discount`: with coupons, and what a session gets of all three."""
    group = rule_group(Effect.DISCOUNT, connect, default_actor=default_actor)
    add_redeem(group, connect, default_actor=default_actor)
    add_which(group, connect, place_of)
    return group


def surcharge_group(connect: Connect, *, default_actor: Callable[[], str]) -> click.Group:
    """`csms surcharge`."""
    return rule_group(Effect.SURCHARGE, connect, default_actor=default_actor)


def incentive_group(connect: Connect, *, default_actor: Callable[[], str]) -> click.Group:
    """`csms incentive`: with the claims that bills have made."""
    group = rule_group(Effect.INCENTIVE, connect, default_actor=default_actor)
    add_claims(group, connect)
    return group
