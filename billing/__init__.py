"""Turns sessions into money. Knows no OCPP; what csms may use is named here."""

from billing.cli_output import (
    CliError,
    CommandGroup,
    Format,
    Output,
    async_command,
    cell,
    json_text,
    output_options,
    print_error,
    printable,
    rfc3339,
)
from billing.cli_parameters import INSTANT
from billing.errors import AlreadyDone, ExitCode, NotDone, NotFound, Refused, Unavailable
from billing.sql import Queries, QueriesInvalid, Query

__all__ = [
    "INSTANT",
    "AlreadyDone",
    "CliError",
    "CommandGroup",
    "ExitCode",
    "Format",
    "NotDone",
    "NotFound",
    "Output",
    "Queries",
    "QueriesInvalid",
    "Query",
    "Refused",
    "Unavailable",
    "async_command",
    "cell",
    "json_text",
    "output_options",
    "print_error",
    "printable",
    "rfc3339",
]
