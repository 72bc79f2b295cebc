"""The check digits of an IBAN (ISO 13616)."""

from __future__ import annotations

import re
from typing import Final

from stdnum.iso7064 import mod_97_10

SEPA_CURRENCY: Final = "EUR"
"""SEPA transfers and debits are in euros."""
_FORM: Final = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{1,30}", re.ASCII)


def written_iban(iban: str) -> str:
    """As e-invoices have it: in capitals, without blanks."""
    return re.sub(r"\s", "", iban).upper()


def is_iban(text: str) -> bool:
    """Whether form and check digits are right; not whether the account exists."""
    return _FORM.fullmatch(text) is not None and mod_97_10.is_valid(text[4:] + text[:4])
