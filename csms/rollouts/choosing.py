"""What the command lines of roll-outs share: who is chosen, and options that make a plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from csms.rollouts import plan as plans
from csms.rollouts.plan import PlanInvalid
from csms.rollouts.service import Choice

T = TypeVar("T")


class Planned(click.ParamType[Any]):
    """Text that a rule of plans reads; what is wrong with it is said by the rule."""

    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._read(value)
        except PlanInvalid as invalid:
            return self.fail(str(invalid), param, ctx)


WAVES = Planned("waves", plans.waves)
SHARE = Planned("share", plans.share)
WINDOW = Planned("window", plans.window)

WHO = (
    click.option("--cp", "named", multiple=True, metavar="CP", help="This one; may be given several times."),
    click.option("--site", help="All charge points of a site."),
    click.option("--model", help="All of a model; with --site those of it that stand there."),
    click.option("--all", "everywhere", is_flag=True, help="All charge points."),
)


def who_options(command: Callable[..., T]) -> Callable[..., T]:
    """`--cp`, `--site`, `--model`, `--all`."""
    for option in reversed(WHO):
        command = option(command)
    return command


def choice_of(named: tuple[str, ...], site: str | None, model: str | None, *, everywhere: bool) -> Choice:
    """Raises:
    UsageError: nobody is chosen, or by two ways that exclude each other.
    """
    ways = [bool(named), site is not None or model is not None, everywhere]
    if ways.count(True) != 1:
        raise click.UsageError("name charge points with --cp, or --site SITE and --model MODEL, or --all")
    return Choice(named=named, site=site, model=model)
