"""What the commands of documents have in common on the command line."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Final

import click

from billing.cli_parameters import DAY

_DAY: Final = timedelta(days=1)


def _not_to_come(_context: click.Context, _parameter: click.Parameter, value: date | None) -> date | None:
    """A mistyped year would stay for ever, and keep every other document of the series waiting for that day."""
    if value is not None and value > datetime.now(UTC).date() + _DAY:  # east of UTC it is that day already
        raise click.BadParameter(f"{value} is still to come; a document is issued on a day that has come")
    return value


ISSUED_ON: Final = click.option(
    "--issued-on", type=DAY, callback=_not_to_come, help="The day of issue; today unless said."
)
WHOSE: Final = click.option("--seller", help="Whose document, where several sellers have one of that number.")
