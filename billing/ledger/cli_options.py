"""Options that commands about the books share."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Final, TypeAlias

import click

from billing.accounts import sellers
from billing.cli_parameters import DAY
from billing.ledger.entry import AccountKind
from billing.ledger.service import the_seller
from billing.sql import Connection

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
AS_OF: Final = click.option(
    "--as-of", type=DAY, help="With all that is booked up to this day; today where the seller is unless said."
)


async def whose(connection: Connection, seller: str | None, as_of: date | None) -> tuple[str, date]:
    """The seller that is meant and the day up to which its books are asked for.

    Raises:
        NotFound, Refused: see the_seller().
    """
    of = await the_seller(connection, seller)
    return of, as_of or await sellers.today_at(connection, of, now=datetime.now(UTC))
