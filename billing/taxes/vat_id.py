"""The form of a VAT identification number, and the country that gave it. Asks nobody whether it is in force."""

from __future__ import annotations

import re
from typing import Final

_FORMS: Final = {
    "AT": r"U\d{8}",
    "BE": r"[01]\d{9}",
    "BG": r"\d{9,10}",
    "CHE": r"\d{9}(MWST|TVA|IVA)?",
    "CY": r"\d{8}[A-Z]",
    "CZ": r"\d{8,10}",
    "DE": r"\d{9}",
    "DK": r"\d{8}",
    "EE": r"\d{9}",
    "EL": r"\d{9}",
    "ES": r"[A-Z0-9]\d{7}[A-Z0-9]",
    "FI": r"\d{8}",
    "FR": r"[A-HJ-NP-Z0-9]{2}\d{9}",
    "GB": r"(\d{9}|\d{12}|(GD|HA)\d{3})",
    "HR": r"\d{11}",
    "HU": r"\d{8}",
    "IE": r"(\d{7}[A-W][A-I]?|\d[A-Z+*]\d{5}[A-W])",
    "IT": r"\d{11}",
    "LT": r"(\d{9}|\d{12})",
    "LU": r"\d{8}",
    "LV": r"\d{11}",
    "MT": r"\d{8}",
    "NL": r"[A-Z0-9+*]{9}B[A-Z0-9+*]{2}",
    "NO": r"\d{9}(MVA)?",
    "PL": r"\d{10}",
    "PT": r"\d{9}",
    "RO": r"\d{2,10}",
    "SE": r"\d{12}",
    "SI": r"\d{8}",
    "SK": r"\d{10}",
    "XI": r"(\d{9}|\d{12}|(GD|HA)\d{3})",
}
"""What follows each prefix."""
_ELSEWHERE: Final = r"[A-Z]{2}[A-Z0-9]{2,13}"
_COUNTRIES: Final = {"EL": "GR", "XI": "GB", "CHE": "CH"}
"""Prefixes that are no ISO 3166-1 code of their country; XI is Northern Ireland."""


def written(vat_id: str) -> str:
    """The number as we keep it: in capitals, without blanks, dots and dashes."""
    return re.sub(r"[\s.\-]", "", vat_id).upper()


def prefix_of(vat_id: str) -> str:
    """The letters in front that say whose number it is."""
    return "CHE" if vat_id.startswith("CHE") else vat_id[:2]


def country_of(vat_id: str) -> str:
    """ISO 3166-1 code of the country whose number it is."""
    prefix = prefix_of(vat_id)
    return _COUNTRIES.get(prefix, prefix)


def misshapen(vat_id: str) -> str | None:
    """Why this can be no VAT id; None: its form is right, which does not say that it is in force."""
    prefix = prefix_of(vat_id)
    if not vat_id.isascii() or not re.fullmatch(r"[A-Z]{2}", prefix[:2]):
        return "begins with the two letters of its country, such as DE"
    if prefix == "GR":
        return "of Greece begins with EL"
    form = _FORMS.get(prefix)
    if form is None:
        return None if re.fullmatch(_ELSEWHERE, vat_id) else "has 2 to 13 letters or digits after its country"
    return None if re.fullmatch(form, vat_id[len(prefix) :]) else f"has not the form of one that begins with {prefix}"
