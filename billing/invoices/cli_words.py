"""What the commands of documents have in common on the command line."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

import click

from billing.accounts.seller import Seller, today_of
from billing.cli_parameters import DAY

ISSUED_ON: Final = click.option(
    "--issued-on", type=DAY, help="The day of issue, one that has come; today where the seller is unless said."
)
WHOSE: Final = click.option("--seller", help="Whose document, where several sellers have one of that number.")


def day_of_issue(seller: Seller, said: date | None, *, now: datetime) -> date:
    """The day that a document of a seller bears; `said` None: today where it is.

    Raises:
        UsageError: it is still to come. A mistyped year would stay for ever, and keep all others of the series waiting for it.
    """
    today = today_of(seller, now)
    if said is not None and said > today:
        raise click.UsageError(
            f"{said} is still to come: where seller {seller.id} is, it is {today}, and a document is issued on a day that"
            " has come"
        )
    return said or today
