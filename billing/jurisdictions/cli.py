"""csms tariff lint and csms tariff jurisdictions: what is odd about a tariff, and what the law of a place says of it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import click

from billing.cli_output import CliError, Format, Output, async_command, output_options
from billing.cli_parameters import Connect
from billing.errors import ExitCode
from billing.jurisdictions.judgement import LegalFinding, binds, judge
from billing.jurisdictions.profile import Circumstances, Fact, Profile, Rule, profiles
from billing.tariffs import service
from billing.tariffs.lint import Finding, Severity, lint
from billing.tariffs.tariff import Tariff

LINT_COLUMNS = ("severity", "code", "path", "message", "next_step")
LEGAL_COLUMNS = ("severity", "code", "path", "message", "source", "next_step")
T = TypeVar("T")

RULE_COLUMNS = ("jurisdiction", "rule", "severity", "when", "says", "source")


class _Power(click.ParamType[Decimal]):
    """A power in kW, above 0."""

    name = "kW"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        try:
            power = Decimal(str(value))
        except ArithmeticError:
            power = Decimal(0)
        if not power.is_finite() or power <= 0:
            self.fail(f"{value!r} is no number above 0", param, ctx)
        return power


POWER = _Power()


def where_options(command: Callable[..., T]) -> Callable[..., T]:
    """Give a command the laws to hold a tariff against, `laws`, and where it is applied, `where`."""

    @click.option(
        "--jurisdiction",
        "names",
        multiple=True,
        type=click.Choice(list(profiles())),
        help="Again for each law that binds.",
    )
    @click.option("--power-kw", type=POWER, help="Of the charge points; rules that depend on it warn unless said.")
    @click.option("--ad-hoc/--contract", default=None, help="Who pays; as the tariff's type says, else ad hoc.")
    @click.option(
        "--given",
        multiple=True,
        type=click.Choice([each.value for each in Fact]),
        help="What holds at the charge points.",
    )
    @functools.wraps(command)
    def with_where(
        *args: Any,
        names: tuple[str, ...],
        power_kw: Decimal | None,
        ad_hoc: bool | None,
        given: tuple[str, ...],
        **kwargs: Any,
    ) -> T:
        laws = tuple(profiles()[name] for name in dict.fromkeys(names))
        where = Circumstances(power_kw=power_kw, ad_hoc=ad_hoc, given=frozenset(Fact(each) for each in given))
        return command(*args, laws=laws, where=where, **kwargs)

    return with_where


def add_lint(group: click.Group, connect: Connect) -> None:
    @group.command("lint")
    @click.argument("source", metavar="FILE|ID")
    @click.option("--version", type=click.IntRange(min=1), help="Of a stored tariff; the newest unless said.")
    @where_options
    @click.option(
        "--fail-on",
        type=click.Choice([each.value for each in Severity]),
        help="Exit 6 if there is anything as bad as this.",
    )
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context,
        source: str,
        version: int | None,
        laws: tuple[Profile, ...],
        where: Circumstances,
        fail_on: str | None,
        output: Output,
    ) -> None:
        """Say all that is odd about a tariff, and all that the law of a place has against it. A file needs no database.

        \b
        Examples:
          csms tariff lint day.json --fail-on warning
          csms tariff lint DAY --jurisdiction eu-afir --power-kw 60 --ad-hoc
          csms tariff lint night.json --jurisdiction de-eichrecht --given signed-cuts
        """
        tariff = await _tariff_of(context, connect, source, version)
        findings = [*lint(tariff), *(each for law in laws for each in judge(tariff, law, where))]
        rows = [_finding_row(each, with_law=bool(laws)) for each in findings]
        output.rows(rows, columns=LEGAL_COLUMNS if laws else LINT_COLUMNS)
        if output.format is Format.TABLE:
            for law in laws:
                output.note(_bound(tariff, law, where))
        _fail(findings, fail_on)


async def _tariff_of(context: click.Context, connect: Connect, source: str, version: int | None) -> Tariff:
    """The tariff of a file, where one is there or meant (`-`, a path, a name that ends in .json); else a stored one."""
    if _is_file(source):
        if version is not None:
            raise click.UsageError("--version is of a stored tariff; a file has none")
        return service.parse_document(click.File("rb").convert(source, None, context).read())
    async with connect(context) as connection:
        return (await service.show(connection, source, version=version)).tariff


def _is_file(source: str) -> bool:
    return source == "-" or "/" in source or source.endswith(".json") or Path(source).is_file()


def _finding_row(finding: Finding, *, with_law: bool) -> dict[str, object]:
    unsaid = {"jurisdiction": None, "source": None} if with_law and not isinstance(finding, LegalFinding) else {}
    return asdict(finding) | unsaid


def _bound(tariff: Tariff, profile: Profile, where: Circumstances) -> str:
    """How many of a profile's rules were applied, so that no finding is not read as no objection where none binds."""
    said = [binds(tariff, rule, where) for rule in profile.rules]
    text = f"{profile.name}: {sum(each is not False for each in said)} of {len(said)} rules bind here"
    return f"{text}; {said.count(None)} of them by power: give --power-kw" if None in said else text


def _fail(findings: Sequence[Finding], fail_on: str | None) -> None:
    ranks = list(Severity)
    if fail_on is not None and any(ranks.index(each.severity) <= ranks.index(Severity(fail_on)) for each in findings):
        raise CliError(
            f"{len(findings)} finding(s), at least one {fail_on} or worse", "see the list", ExitCode.FINDINGS
        )


@click.command("jurisdictions")
@click.argument("name", required=False, type=click.Choice(list(profiles())))
@output_options
def jurisdictions(name: str | None, output: Output) -> None:
    """List the laws that a tariff can be held against: each rule, whom it binds, and where it is written.

    \b
    Examples:
      csms tariff jurisdictions
      csms tariff jurisdictions eu-afir -o json
    """
    chosen = profiles().values() if name is None else [profiles()[name]]
    output.rows([row for profile in chosen for row in _rule_rows(profile)], columns=RULE_COLUMNS)


def _rule_rows(profile: Profile) -> Iterator[dict[str, object]]:
    for rule in profile.rules:
        yield {
            "jurisdiction": profile.name,
            "title": profile.title,
            "in_force": profile.in_force,
            "binds": profile.binds,
            "countries": profile.countries,
        } | _rule_row(rule)


def _rule_row(rule: Rule) -> dict[str, object]:
    return {
        "rule": rule.name,
        "severity": rule.severity.value,
        "when": rule.when,
        "says": rule.says,
        "source": rule.source,
        "check": rule.check,
        "with": dict(rule.parameters),
        "next_step": rule.next,
    }
