"""Turns sessions into money. Knows no OCPP; what csms may use is named here.

Each name is loaded when it is first asked for: a command that lists sites needs no rating engine to start.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from billing.accounts.brand_cli import brand_group
    from billing.accounts.cli import account_group
    from billing.accounts.seller_cli import seller_group
    from billing.archive.backup import Copied as ArchiveCopied
    from billing.archive.backup import copy_contents, is_free, list_living, lost_in, nothing_deleted, put_back
    from billing.archive.cli import archive_group
    from billing.audit.cli import audit_group
    from billing.bills.batch import Days, bill_period, count_unbilled, unbilled_batches
    from billing.bills.batch import accounts as accounts_of_period
    from billing.bills.bill import BillKind, CommittedBill
    from billing.bills.billable import BillableSession, SessionSource, Stay
    from billing.bills.cli import bill_group, explain_session
    from billing.bills.dossier import Dossier, dossier_of
    from billing.bills.history import (
        SessionRating,
        newest_bills,
        outlook_of,
        recalculations_of,
        receipt_of,
        reratings_of,
        session_ratings,
    )
    from billing.bills.measuring import Measured
    from billing.bills.recalculation import OpenSessions, Outcome, Recalculated, Recalculation, count_open, recalculate
    from billing.bills.recomputation import BillDifference, recomputed_bills
    from billing.bills.rerating import Rerated, TariffChoice
    from billing.bills.rerating import rerate as rerate_session
    from billing.bills.service import BillingService, BillingSettings
    from billing.bills.simulation_cli import simulate_command
    from billing.bills.trail_cli import trail_command
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
    from billing.cli_parameters import DAY, DRY_RUN, INSTANT, SESSION_ID, transaction
    from billing.contracts.logged import record_contract_change
    from billing.contracts.nouns import contract_group, item_group, plan_group
    from billing.cost_limits.cost_limit import CostLimit, LimitScope
    from billing.cost_limits.entry import LimitWanted
    from billing.cost_limits.entry import limits_of_session as cost_limits_of_session
    from billing.cost_limits.entry import list_limits as list_cost_limits
    from billing.cost_limits.entry import set_limit as set_cost_limit
    from billing.cost_limits.entry import standing_of as cost_limit_standing
    from billing.cost_limits.service import exhausted as without_credit
    from billing.demo.books import ClosedMonth
    from billing.demo.books import close_month as close_demo_month
    from billing.demo.books import last_day_over as demo_day
    from billing.demo.books import open_books as open_demo_books
    from billing.discounts.nouns import discount_group, incentive_group, surcharge_group
    from billing.documents.cli import document_group
    from billing.errors import AlreadyDone, ExitCode, NotDone, NotFound, Refused, Unavailable
    from billing.invoices.cli import invoice_group
    from billing.invoices.credit_cli import credit_group
    from billing.invoices.month_end import STEPS as CLOSE_STEPS
    from billing.invoices.paper import document_with_brand
    from billing.invoices.report_cli import add_document_reports
    from billing.jurisdictions.display import display_price
    from billing.ledger.cli import ledger_group
    from billing.ledger.close_cli import close_group
    from billing.ledger.report_cli import report_group
    from billing.mail.address import Mailbox
    from billing.mail.address import mistake_in as mistake_in_address
    from billing.mail.cli import mail_group
    from billing.mail.mail_settings import MailSettings, SmtpServer, TlsMode
    from billing.mail.service import MailService
    from billing.money import MINOR_DIGITS, Money
    from billing.office.service import Office, OfficeSettings
    from billing.policies.cli import policy_group
    from billing.policies.kinds import POLICY_KINDS, PolicyKind
    from billing.price_series.cli import price_series_group
    from billing.rating.outlook import Grace, Outlook, Prices, prices_at_start
    from billing.rating.receipt import Receipt
    from billing.rating.usage import Period, PeriodKind, Usage
    from billing.sending.attachments import ArchivedAttachments
    from billing.sending.cli import add_send
    from billing.sql import Connection, Queries, Query, QueryFileInvalid, bind_names
    from billing.tariffs.assignment import NOBODY, Customer, Place, Scope, UserClass, Verdict
    from billing.tariffs.cli import tariff_group
    from billing.tariffs.idle import IdleAfterStop
    from billing.tariffs.offer import Offer, PriceBook
    from billing.tariffs.service import assign as assign_tariff
    from billing.tariffs.service import create as create_tariff
    from billing.tariffs.service import price_book, prices_reservations
    from billing.tariffs.service import which as which_tariff
    from billing.tariffs.store import TariffCache
    from billing.tariffs.tariff import Dimension
    from billing.tariffs.tariff_text import tariff_text
    from billing.taxes.cli import tax_group
    from billing.time_zones import NoSuchZone, zone_named
    from billing.turns import Turns

__all__ = [
    "CLOSE_STEPS",
    "DAY",
    "DRY_RUN",
    "INSTANT",
    "MINOR_DIGITS",
    "NOBODY",
    "POLICY_KINDS",
    "SESSION_ID",
    "AlreadyDone",
    "ArchiveCopied",
    "ArchivedAttachments",
    "BillDifference",
    "BillKind",
    "BillableSession",
    "BillingService",
    "BillingSettings",
    "CliError",
    "ClosedMonth",
    "CommandGroup",
    "CommittedBill",
    "Connection",
    "CostLimit",
    "Customer",
    "Days",
    "Dimension",
    "Dossier",
    "ExitCode",
    "Format",
    "Grace",
    "IdleAfterStop",
    "LimitScope",
    "LimitWanted",
    "MailService",
    "MailSettings",
    "Mailbox",
    "Measured",
    "Money",
    "NoSuchZone",
    "NotDone",
    "NotFound",
    "Offer",
    "Office",
    "OfficeSettings",
    "OpenSessions",
    "Outcome",
    "Outlook",
    "Output",
    "Period",
    "PeriodKind",
    "Place",
    "PolicyKind",
    "PriceBook",
    "Prices",
    "Queries",
    "Query",
    "QueryFileInvalid",
    "Recalculated",
    "Recalculation",
    "Receipt",
    "Refused",
    "Rerated",
    "Scope",
    "SessionRating",
    "SessionSource",
    "SmtpServer",
    "Stay",
    "TariffCache",
    "TariffChoice",
    "TlsMode",
    "Turns",
    "Unavailable",
    "Usage",
    "UserClass",
    "Verdict",
    "account_group",
    "accounts_of_period",
    "add_document_reports",
    "add_send",
    "archive_group",
    "assign_tariff",
    "async_command",
    "audit_group",
    "bill_group",
    "bill_period",
    "bind_names",
    "brand_group",
    "cell",
    "close_demo_month",
    "close_group",
    "contract_group",
    "copy_contents",
    "cost_limit_standing",
    "cost_limits_of_session",
    "count_open",
    "count_unbilled",
    "create_tariff",
    "credit_group",
    "demo_day",
    "discount_group",
    "display_price",
    "document_group",
    "document_with_brand",
    "dossier_of",
    "explain_session",
    "incentive_group",
    "invoice_group",
    "is_free",
    "item_group",
    "json_text",
    "ledger_group",
    "list_cost_limits",
    "list_living",
    "lost_in",
    "mail_group",
    "mistake_in_address",
    "newest_bills",
    "nothing_deleted",
    "open_demo_books",
    "outlook_of",
    "output_options",
    "plan_group",
    "policy_group",
    "price_book",
    "price_series_group",
    "prices_at_start",
    "prices_reservations",
    "print_error",
    "printable",
    "put_back",
    "recalculate",
    "recalculations_of",
    "receipt_of",
    "recomputed_bills",
    "record_contract_change",
    "report_group",
    "rerate_session",
    "reratings_of",
    "rfc3339",
    "seller_group",
    "session_ratings",
    "set_cost_limit",
    "simulate_command",
    "surcharge_group",
    "tariff_group",
    "tariff_text",
    "tax_group",
    "trail_command",
    "transaction",
    "unbilled_batches",
    "which_tariff",
    "without_credit",
    "zone_named",
]

_HOMES = {
    "ClosedMonth": "billing.demo.books:ClosedMonth",
    "close_demo_month": "billing.demo.books:close_month",
    "demo_day": "billing.demo.books:last_day_over",
    "open_demo_books": "billing.demo.books:open_books",
    "record_contract_change": "billing.contracts.logged:record_contract_change",
    "contract_group": "billing.contracts.nouns:contract_group",
    "item_group": "billing.contracts.nouns:item_group",
    "plan_group": "billing.contracts.nouns:plan_group",
    "add_document_reports": "billing.invoices.report_cli:add_document_reports",
    "CLOSE_STEPS": "billing.invoices.month_end:STEPS",
    "ledger_group": "billing.ledger.cli:ledger_group",
    "close_group": "billing.ledger.close_cli:close_group",
    "report_group": "billing.ledger.report_cli:report_group",
    "ArchiveCopied": "billing.archive.backup:Copied",
    "copy_contents": "billing.archive.backup:copy_contents",
    "is_free": "billing.archive.backup:is_free",
    "list_living": "billing.archive.backup:list_living",
    "lost_in": "billing.archive.backup:lost_in",
    "nothing_deleted": "billing.archive.backup:nothing_deleted",
    "put_back": "billing.archive.backup:put_back",
    "ArchivedAttachments": "billing.sending.attachments:ArchivedAttachments",
    "add_send": "billing.sending.cli:add_send",
    "archive_group": "billing.archive.cli:archive_group",
    "document_with_brand": "billing.invoices.paper:document_with_brand",
    "document_group": "billing.documents.cli:document_group",
    "invoice_group": "billing.invoices.cli:invoice_group",
    "credit_group": "billing.invoices.credit_cli:credit_group",
    "account_group": "billing.accounts.cli:account_group",
    "brand_group": "billing.accounts.brand_cli:brand_group",
    "seller_group": "billing.accounts.seller_cli:seller_group",
    "audit_group": "billing.audit.cli:audit_group",
    "NoSuchZone": "billing.time_zones:NoSuchZone",
    "zone_named": "billing.time_zones:zone_named",
    "prices_at_start": "billing.rating.outlook:prices_at_start",
    "outlook_of": "billing.bills.history:outlook_of",
    "price_book": "billing.tariffs.service:price_book",
    "TariffCache": "billing.tariffs.store:TariffCache",
    "Grace": "billing.rating.outlook:Grace",
    "Prices": "billing.rating.outlook:Prices",
    "Outlook": "billing.rating.outlook:Outlook",
    "PriceBook": "billing.tariffs.offer:PriceBook",
    "Offer": "billing.tariffs.offer:Offer",
    "recalculations_of": "billing.bills.history:recalculations_of",
    "trail_command": "billing.bills.trail_cli:trail_command",
    "recalculate": "billing.bills.recalculation:recalculate",
    "count_open": "billing.bills.recalculation:count_open",
    "Recalculation": "billing.bills.recalculation:Recalculation",
    "Recalculated": "billing.bills.recalculation:Recalculated",
    "Outcome": "billing.bills.recalculation:Outcome",
    "OpenSessions": "billing.bills.recalculation:OpenSessions",
    "CostLimit": "billing.cost_limits.cost_limit:CostLimit",
    "LimitScope": "billing.cost_limits.cost_limit:LimitScope",
    "LimitWanted": "billing.cost_limits.entry:LimitWanted",
    "set_cost_limit": "billing.cost_limits.entry:set_limit",
    "list_cost_limits": "billing.cost_limits.entry:list_limits",
    "cost_limits_of_session": "billing.cost_limits.entry:limits_of_session",
    "cost_limit_standing": "billing.cost_limits.entry:standing_of",
    "without_credit": "billing.cost_limits.service:exhausted",
    "DRY_RUN": "billing.cli_parameters:DRY_RUN",
    "transaction": "billing.cli_parameters:transaction",
    "DAY": "billing.cli_parameters:DAY",
    "count_unbilled": "billing.bills.batch:count_unbilled",
    "unbilled_batches": "billing.bills.batch:unbilled_batches",
    "bill_period": "billing.bills.batch:bill_period",
    "accounts_of_period": "billing.bills.batch:accounts",
    "Days": "billing.bills.batch:Days",
    "Measured": "billing.bills.measuring:Measured",
    "Dossier": "billing.bills.dossier:Dossier",
    "dossier_of": "billing.bills.dossier:dossier_of",
    "Dimension": "billing.tariffs.tariff:Dimension",
    "Receipt": "billing.rating.receipt:Receipt",
    "receipt_of": "billing.bills.history:receipt_of",
    "simulate_command": "billing.bills.simulation_cli:simulate_command",
    "reratings_of": "billing.bills.history:reratings_of",
    "rerate_session": "billing.bills.rerating:rerate",
    "TariffChoice": "billing.bills.rerating:TariffChoice",
    "Rerated": "billing.bills.rerating:Rerated",
    "which_tariff": "billing.tariffs.service:which",
    "Verdict": "billing.tariffs.assignment:Verdict",
    "UserClass": "billing.tariffs.assignment:UserClass",
    "Customer": "billing.tariffs.assignment:Customer",
    "NOBODY": "billing.tariffs.assignment:NOBODY",
    "AlreadyDone": "billing.errors:AlreadyDone",
    "BillDifference": "billing.bills.recomputation:BillDifference",
    "recomputed_bills": "billing.bills.recomputation:recomputed_bills",
    "BillKind": "billing.bills.bill:BillKind",
    "BillableSession": "billing.bills.billable:BillableSession",
    "BillingService": "billing.bills.service:BillingService",
    "BillingSettings": "billing.bills.service:BillingSettings",
    "CliError": "billing.cli_output:CliError",
    "CommandGroup": "billing.cli_output:CommandGroup",
    "CommittedBill": "billing.bills.bill:CommittedBill",
    "Connection": "billing.sql:Connection",
    "ExitCode": "billing.errors:ExitCode",
    "Format": "billing.cli_output:Format",
    "IdleAfterStop": "billing.tariffs.idle:IdleAfterStop",
    "INSTANT": "billing.cli_parameters:INSTANT",
    "MINOR_DIGITS": "billing.money:MINOR_DIGITS",
    "Money": "billing.money:Money",
    "NotDone": "billing.errors:NotDone",
    "NotFound": "billing.errors:NotFound",
    "Output": "billing.cli_output:Output",
    "POLICY_KINDS": "billing.policies.kinds:POLICY_KINDS",
    "Period": "billing.rating.usage:Period",
    "PeriodKind": "billing.rating.usage:PeriodKind",
    "Place": "billing.tariffs.assignment:Place",
    "PolicyKind": "billing.policies.kinds:PolicyKind",
    "Queries": "billing.sql:Queries",
    "Query": "billing.sql:Query",
    "QueryFileInvalid": "billing.sql:QueryFileInvalid",
    "Refused": "billing.errors:Refused",
    "SESSION_ID": "billing.cli_parameters:SESSION_ID",
    "Scope": "billing.tariffs.assignment:Scope",
    "SessionRating": "billing.bills.history:SessionRating",
    "SessionSource": "billing.bills.billable:SessionSource",
    "Stay": "billing.bills.billable:Stay",
    "Unavailable": "billing.errors:Unavailable",
    "Turns": "billing.turns:Turns",
    "Usage": "billing.rating.usage:Usage",
    "assign_tariff": "billing.tariffs.service:assign",
    "async_command": "billing.cli_output:async_command",
    "bill_group": "billing.bills.cli:bill_group",
    "bind_names": "billing.sql:bind_names",
    "cell": "billing.cli_output:cell",
    "display_price": "billing.jurisdictions.display:display_price",
    "create_tariff": "billing.tariffs.service:create",
    "explain_session": "billing.bills.cli:explain_session",
    "discount_group": "billing.discounts.nouns:discount_group",
    "incentive_group": "billing.discounts.nouns:incentive_group",
    "surcharge_group": "billing.discounts.nouns:surcharge_group",
    "json_text": "billing.cli_output:json_text",
    "Mailbox": "billing.mail.address:Mailbox",
    "Office": "billing.office.service:Office",
    "OfficeSettings": "billing.office.service:OfficeSettings",
    "MailService": "billing.mail.service:MailService",
    "MailSettings": "billing.mail.mail_settings:MailSettings",
    "SmtpServer": "billing.mail.mail_settings:SmtpServer",
    "TlsMode": "billing.mail.mail_settings:TlsMode",
    "mail_group": "billing.mail.cli:mail_group",
    "mistake_in_address": "billing.mail.address:mistake_in",
    "newest_bills": "billing.bills.history:newest_bills",
    "output_options": "billing.cli_output:output_options",
    "policy_group": "billing.policies.cli:policy_group",
    "price_series_group": "billing.price_series.cli:price_series_group",
    "prices_reservations": "billing.tariffs.service:prices_reservations",
    "print_error": "billing.cli_output:print_error",
    "printable": "billing.cli_output:printable",
    "rfc3339": "billing.cli_output:rfc3339",
    "session_ratings": "billing.bills.history:session_ratings",
    "tariff_group": "billing.tariffs.cli:tariff_group",
    "tariff_text": "billing.tariffs.tariff_text:tariff_text",
    "tax_group": "billing.taxes.cli:tax_group",
}
"""Where each name is defined."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name].split(":")
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value
