"""Turns sessions into money. Knows no OCPP; what csms may use is named here."""

from billing.bills.bill import BillKind, CommittedBill
from billing.bills.billable import BillableSession, SessionSource
from billing.bills.cli import bill_group, explain_session
from billing.bills.history import SessionRating, newest_bills, session_ratings
from billing.bills.service import BillingService, BillingSettings
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
from billing.cli_parameters import INSTANT, SESSION_ID
from billing.errors import AlreadyDone, ExitCode, NotDone, NotFound, Refused, Unavailable
from billing.money import MINOR_DIGITS, Money
from billing.rating.usage import Period, PeriodKind, Usage
from billing.sql import Connection, Queries, Query, QueryFileInvalid, bind_names
from billing.tariffs.assignment import Scope
from billing.tariffs.cli import tariff_group
from billing.tariffs.service import assign as assign_tariff
from billing.tariffs.service import create as create_tariff

__all__ = [
    "INSTANT",
    "MINOR_DIGITS",
    "SESSION_ID",
    "AlreadyDone",
    "BillKind",
    "BillableSession",
    "BillingService",
    "BillingSettings",
    "CliError",
    "CommandGroup",
    "CommittedBill",
    "Connection",
    "ExitCode",
    "Format",
    "Money",
    "NotDone",
    "NotFound",
    "Output",
    "Period",
    "PeriodKind",
    "Queries",
    "Query",
    "QueryFileInvalid",
    "Refused",
    "Scope",
    "SessionRating",
    "SessionSource",
    "Unavailable",
    "Usage",
    "assign_tariff",
    "async_command",
    "bill_group",
    "bind_names",
    "cell",
    "create_tariff",
    "explain_session",
    "json_text",
    "newest_bills",
    "output_options",
    "print_error",
    "printable",
    "rfc3339",
    "session_ratings",
    "tariff_group",
]
