"""What the commands of sellers and accounts may say of a party: one option per field, given or left as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

import click

from billing.invoices.document import Address, BankAccount, Party
from billing.taxes.vat_id import written

F = TypeVar("F", bound=Callable[..., Any])

ADDRESS: Final = {
    "street": "Street and number.",
    "further": "A further line of the address.",
    "postal_code": "Postal code.",
    "city": "City.",
    "region": "Region or state, where addresses have one.",
    "country": "ISO 3166-1, two capital letters.",
}
PARTY: Final = {
    "name": "How documents name it.",
    "vat_id": "VAT id; its form and check digits are looked at, not whether it is in force.",
    "tax_number": "Number at its tax office, where it is no VAT id.",
    "register": "Entry in the register of companies, as one line.",
    "contact": "Whom to ask.",
    "phone": "Telephone of the contact.",
    "email": "E-mail address.",
    "electronic_address": "Where e-invoices reach it.",
    "electronic_scheme": "Scheme of that address (EAS code list): 9930 a German VAT id, EM an e-mail address ...",
}
REASON: Final = click.option("--reason", required=True, help="Why; kept in the audit log.")
CLEAR: Final = click.option(
    "--clear", "cleared", multiple=True, metavar="NAME", help="Empty this one; may come more than once."
)


def party_options(command: F) -> F:
    """Give a command an option for each field of a party and its address."""
    for name, text in reversed({**PARTY, **ADDRESS}.items()):
        command = click.option(f"--{name.replace('_', '-')}", name, help=text)(command)
    return command


def said(values: Mapping[str, Any], cleared: tuple[str, ...] = ()) -> dict[str, str | None]:
    """What was given, by name of the field: a text, or None where it is to be emptied."""
    given: dict[str, str | None] = {name: text for name, text in values.items() if text is not None}
    for name in (each.replace("-", "_") for each in cleared):
        if name not in values:
            raise click.UsageError(f"nothing is called {name}; --clear takes {', '.join(sorted(values))}")
        if name in given:
            raise click.UsageError(f"give --{name.replace('_', '-')} or --clear {name}, not both")
        given[name] = None
    return given


def party_with(party: Party | None, given: Mapping[str, Any]) -> Party:
    """The party with what was given; others are as they were. An address goes as a whole where its street does."""
    base = party or Party(name="", address=None)
    fields = {name: given[name] for name in PARTY if name in given}
    if fields.get("vat_id") is not None:
        fields["vat_id"] = written(fields["vat_id"])
    if "name" in fields:
        fields["name"] = (fields["name"] or "").strip()
    return replace(base, **fields, address=_address_with(base.address, given))


def _address_with(address: Address | None, given: Mapping[str, Any]) -> Address | None:
    fields = {name: given[name] for name in ADDRESS if name in given}
    if not fields:
        return address
    if fields.get("street", "") is None:
        return None
    base = address or Address(street="", city="", country="")
    return replace(base, **{name: ("" if text is None and name in _NEEDED else text) for name, text in fields.items()})


_NEEDED: Final = {"street", "city", "country"}


BANK: Final = {
    "iban": "IBAN of its account.",
    "bank_holder": "The holder, its name unless said.",
    "bic": "BIC of its bank.",
}


def bank_with(bank: BankAccount | None, party: Party, given: Mapping[str, Any]) -> BankAccount | None:
    """The bank account with what was given; none without an IBAN."""
    if not any(name in given for name in BANK):
        return bank
    iban = given.get("iban", None if bank is None else bank.iban)
    if iban is None:
        return None
    return BankAccount(
        iban="".join(iban.split()).upper(),
        holder=given.get("bank_holder") or (bank.holder if bank is not None else party.name),
        bic=given.get("bic", None if bank is None else bank.bic),
    )


def bank_row(bank: BankAccount | None) -> dict[str, str | None] | None:
    return None if bank is None else {"iban": bank.iban, "bic": bank.bic, "holder": bank.holder}


def party_row(party: Party) -> dict[str, Any]:
    """What commands print of a party."""
    address = party.address
    return {
        "name": party.name,
        "address": None
        if address is None
        else {name: getattr(address, name) for name in ADDRESS if getattr(address, name) is not None},
        **{name: getattr(party, name) for name in PARTY if name != "name"},
    }
