"""What the command lines of roll-outs share: who is chosen, and options that make a plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from csms.rollouts import plan as plans
from csms.rollouts.plan import Plan, PlanInvalid
from csms.rollouts.service import Choice

T = TypeVar("T")
DAY_S = 86_400


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


def asking_options(*, parallel: int, silence_s: int, proof_s: int) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """How often and how patiently each charge point is asked, with defaults for the purpose."""
    seconds: dict[str, Any] = {"show_default": True, "metavar": "SECONDS"}
    options = (
        click.option("--retries", type=click.IntRange(0, 20), default=2, show_default=True,
                     help="How often one that has failed is asked again."),
        click.option("--retry-wait", "retry_wait_s", type=click.IntRange(0, DAY_S), default=300,
                     help="Before it is asked again.", **seconds),
        click.option("--parallel", type=click.IntRange(1, 1000), default=parallel, show_default=True,
                     help="So many at a time."),
        click.option("--silence", "silence_s", type=click.IntRange(1, 7 * DAY_S), default=silence_s,
                     help="So long may one that is online and was asked say nothing.", **seconds),
        click.option("--proof", "proof_s", type=click.IntRange(0, DAY_S), default=proof_s,
                     help="So long is the proof awaited of what one says it has done.", **seconds),
        click.option("--transfer-retries", type=click.IntRange(0, 100), default=3, show_default=True,
                     help="How often a charge point tries a transfer again by itself."),
        click.option("--transfer-interval", "transfer_interval_s", type=click.IntRange(0, DAY_S), default=60,
                     help="Between two of these tries.", **seconds),
    )  # fmt: skip

    def with_options(command: Callable[..., T]) -> Callable[..., T]:
        for option in reversed(options):
            command = option(command)
        return command

    return with_options


def plan_of(given: Mapping[str, Any], **more: Any) -> Plan:
    """The plan that `asking_options` make, with what else is said of it."""
    named = ("retry_wait_s", "parallel", "silence_s", "proof_s", "transfer_retries", "transfer_interval_s")
    return Plan(attempts_max=given["retries"] + 1, **{name: given[name] for name in named}, **more)


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
