"""The check digits of an IBAN (ISO 13616)."""

from __future__ import annotations

import re
from typing import Final

SEPA_CURRENCY: Final = "EUR"
"""SEPA transfers and debits are in euros."""
_MODULUS: Final = 97
_FORM: Final = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{1,30}", re.ASCII)


def written_iban(iban: str) -> str:
    """As e-invoices have it: in capitals, without blanks."""
    return re.sub(r"\s", "", iban).upper()


def is_iban(text: str) -> bool:
    """Whether form and check digits are right; not whether the account exists."""
    if not _FORM.fullmatch(text):
        return False
    digits = "".join(str(int(character, 36)) for character in text[4:] + text[:4])
    return int(digits) % _MODULUS == 1
