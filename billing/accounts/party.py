"""What may stand on a document as a party, and why not. Pure; asks nobody whether a number is in force."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from stdnum import bic as bic_number
from stdnum import get_cc_module
from stdnum import iban as iban_number
from stdnum.iso7064 import mod_97_10

from billing.invoices.document import Address, BankAccount, Party
from billing.taxes.vat_id import country_of, misshapen

LINE_LENGTH_MAX: Final = 200
LANGUAGES: Final = ("de", "en", "fr", "nl")
"""Those that documents are written in."""
_SHAPES: Final = {
    "email": (r"[^@\s,;<>\"]+@[^@\s,;<>\"]+\.[^@\s,;<>\"]+", "is no e-mail address"),
    "electronic_scheme": (r"EM|\d{4}", "is no scheme of the EAS code list: four digits such as 9930, or EM for an e-mail address"),
}  # fmt: skip
_CREDITOR_ID_LENGTH: Final = range(9, 36)


def mistakes_in_party(party: Party) -> list[str]:
    """Why documents cannot name such a party; all of it."""
    return [*_lines(party), *_of_address(party.address), *_of_numbers(party)]


def _lines(party: Party) -> Iterator[str]:
    if not party.name.strip():
        yield "a party has a name"
    texts = {
        name: getattr(party, name)
        for name in (
            "name", "tax_number", "register", "contact", "phone", "email", "electronic_address", "electronic_scheme",
        )
    }  # fmt: skip
    if party.address is not None:
        for name in ("street", "further", "postal_code", "city", "region"):
            texts[name] = getattr(party.address, name)
    for name, text in texts.items():
        if text is None:
            continue
        if not text.isprintable() or len(text) > LINE_LENGTH_MAX:
            yield f"{name} is one line of at most {LINE_LENGTH_MAX} characters"
        elif name in _SHAPES and not re.fullmatch(_SHAPES[name][0], text):
            yield f"{text} {_SHAPES[name][1]}"
    if (party.electronic_address is None) != (party.electronic_scheme is None):
        yield "an electronic address and its scheme belong together: give both or none"


def _of_address(address: Address | None) -> Iterator[str]:
    if address is None:
        return
    if not re.fullmatch(r"[A-Z]{2}", address.country):
        yield f"{address.country!r} is no country: use two capital letters (ISO 3166-1), such as DE"
    for name in ("street", "city"):
        if not getattr(address, name).strip():
            yield f"an address has a {name}"


def _of_numbers(party: Party) -> Iterator[str]:
    if party.vat_id is not None and (why := vat_id_mistake(party.vat_id)) is not None:
        yield f"{party.vat_id} is no VAT id: {why}"


def vat_id_mistake(vat_id: str) -> str | None:
    """Why this can be no VAT id: by its form, and by its check digits where the country has some."""
    why = misshapen(vat_id)
    if why is not None:
        return f"it {why}"
    module = get_cc_module(country_of(vat_id), "vat")
    if module is None or module.is_valid(vat_id):
        return None
    return "its check digit is wrong: is a digit mistyped?"


def mistakes_in_bank(bank: BankAccount) -> list[str]:
    """Why nobody can pay into such a bank account; all of it."""
    found = []
    if not iban_number.is_valid(bank.iban):
        found.append(f"{bank.iban} is no IBAN: a digit is wrong or missing")
    if bank.bic is not None and not bic_number.is_valid(bank.bic):
        found.append(f"{bank.bic} is no BIC: 8 or 11 letters and digits")
    if not bank.holder.strip() or not bank.holder.isprintable() or len(bank.holder) > LINE_LENGTH_MAX:
        found.append("a bank account has a holder")
    return found


def creditor_id_mistake(creditor_id: str) -> str | None:
    """Why this is no SEPA creditor identifier (EPC262-08: country, check digits over all but the business code)."""
    text = re.sub(r"\s", "", creditor_id).upper()
    shaped = re.fullmatch(r"([A-Z]{2})(\d{2})([A-Z0-9]{3})([A-Z0-9]+)", text)
    if shaped is None or len(text) not in _CREDITOR_ID_LENGTH:
        return "it begins with a country, two check digits and a business code, such as DE98ZZZ09999999999"
    country, digits, _, national = shaped.groups()
    return None if mod_97_10.is_valid(f"{national}{country}{digits}") else "its check digits are wrong"
