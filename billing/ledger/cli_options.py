"""Options that commands about the books share."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Final, TypeAlias

import click

from billing.ledger.entry import AccountKind

Actor: TypeAlias = Callable[[], str]
"""Who gives a command."""


class _Month(click.ParamType[date]):
    """A month of the books, as its first day."""

    name = "month"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        found = re.fullmatch(r"([0-9]{4})-(0[1-9]|1[0-2])", str(value))
        if found is None or found[1] == "0000":
            self.fail(f"{value!r} is no month; write it as 2026-03", param, ctx)
        return date(int(found[1]), int(found[2]), 1)


class _Reason(click.ParamType[str]):
    """Words that say something."""

    name = "text"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = " ".join(str(value).split())
        if not text:
            self.fail("a reason says why", param, ctx)
        return text


MONTH: Final = _Month()
KIND: Final = click.Choice([each.value for each in AccountKind])
SELLER: Final = click.option("--seller", metavar="ID", help="Whose books; need not be said where there is one seller.")
REASON: Final = click.option("--reason", type=_Reason(), required=True, metavar="TEXT", help="Why; it is kept.")
CURRENCY: Final = click.option(
    "--currency", metavar="CODE", help="Of a DATEV file; need not be said where there is one."
)


def today() -> date:
    """By UTC, as in everything we print."""
    return datetime.now(UTC).date()
