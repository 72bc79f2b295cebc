"""Sellers and accounts in the database: rows to values and back. Decides nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import TypeAdapter

from billing.accounts.account import Account, AccountDetails, AccountKind, AccountState, Holding, Rhythm, SelfBilling
from billing.accounts.seller import Seller, SellerDetails
from billing.e_invoices.profiles import Profile
from billing.invoices.document import GroupBy
from billing.sql import Connection, Queries

SQL: Final = Queries.load("billing.accounts")
_SELLER: Final = TypeAdapter(SellerDetails)
_ACCOUNT: Final = TypeAdapter(AccountDetails)
_SELF_BILLING: Final = TypeAdapter(SelfBilling)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldFor:
    """A holding with the instant at which the token went to somebody else."""

    holding: Holding
    valid_to: datetime | None


def seller_values(details: SellerDetails) -> dict[str, Any]:
    """As JSON values."""
    values: dict[str, Any] = _SELLER.dump_python(details, mode="json")
    return values


def details_values(details: AccountDetails) -> dict[str, Any]:
    """What identifies a customer, as JSON values."""
    values: dict[str, Any] = _ACCOUNT.dump_python(details, mode="json")
    return values


def terms_values(account: Account) -> dict[str, Any]:
    """The rest of an account, as JSON values: nothing in it tells who it is."""
    agreed = account.self_billing
    return {
        "seller": account.seller,
        "brand": account.brand,
        "kind": account.kind.value,
        "payer": account.payer,
        "state": account.state.value,
        "language": account.language,
        "time_zone": account.time_zone,
        "rhythm": account.rhythm.value,
        "payment_days": account.payment_days,
        "groups": list(account.groups),
        "grouped_by": [each.value for each in account.grouped_by],
        "e_invoice": None if account.e_invoice is None else account.e_invoice.value,
        "self_billing": None if agreed is None else _SELF_BILLING.dump_python(agreed, mode="json"),
    }


def account_row(account: Account) -> dict[str, Any]:
    """The parameters of insert_account and update_account."""
    terms = terms_values(account)
    agreed = terms["self_billing"]
    return terms | {
        "id": account.id,
        "self_billing": None if agreed is None else json.dumps(agreed),
        "details": json.dumps(details_values(account.details)),
    }


def read_seller(row: Any) -> Seller:
    return Seller(id=row["id"], details=_SELLER.validate_json(row["details"]))


def read_account(row: Any) -> Account:
    agreed = row["self_billing"]
    return Account(
        id=row["id"],
        seller=row["seller"],
        brand=row["brand"],
        kind=AccountKind(row["kind"]),
        payer=row["payer"],
        state=AccountState(row["state"]),
        language=row["language"],
        time_zone=row["time_zone"],
        rhythm=Rhythm(row["rhythm"]),
        payment_days=row["payment_days"],
        groups=tuple(row["groups"]),
        grouped_by=tuple(GroupBy(each) for each in row["grouped_by"]),
        e_invoice=None if row["e_invoice"] is None else Profile(row["e_invoice"]),
        self_billing=None if agreed is None else _SELF_BILLING.validate_json(agreed),
        details=_ACCOUNT.validate_json(row["details"]),
    )


def read_holding(row: Any) -> Holding:
    return Holding(
        token=row["token"],
        valid_from=row["valid_from"],
        account=row["account"],
        labels={GroupBy(name): text for name, text in json.loads(row["labels"]).items()},
    )


async def sellers(connection: Connection, id_: str | None = None) -> list[Seller]:
    return [read_seller(row) for row in await SQL.sellers.fetch(connection, id=id_)]


async def holdings_of(connection: Connection, account: str) -> list[HeldFor]:
    rows = await SQL.holdings_of.fetch(connection, account=account)
    return [HeldFor(holding=read_holding(row), valid_to=row["valid_to"]) for row in rows]
