"""A party's entry in the register of companies, with the list that its number is of (ISO 6523) where the form shows it.

Receivers in some countries take a number only with its list (NL-R-003, DK-R-014); a text that is no such number stays a
text without one.
"""

from __future__ import annotations

import re
from typing import Final

from billing.e_invoices.characters import cleaned
from billing.e_invoices.model import Identifier
from billing.invoices.document import Party

_LISTS: Final = {
    "BE": (r"(?:BE)?\s?([01]\d{3})[. ]?(\d{3})[. ]?(\d{3})", "0208"),
    "DK": (r"(?:DK|CVR)?\s?(\d{8})", "0184"),
    "FR": (r"(?:SIREN\s?)?(\d{3}) ?(\d{3}) ?(\d{3})", "0002"),
    "NL": (r"(?:KVK)?\s?(\d{8})", "0106"),
    "NO": (r"(?:NO)?\s?(\d{3}) ?(\d{3}) ?(\d{3})", "0192"),
    "SE": (r"(\d{6})-?(\d{4})", "0007"),
}
"""By country: the form of the number, and the list."""


def registration_of(party: Party) -> Identifier | None:
    """BT-30 or BT-47."""
    register = cleaned(party.register)
    if register is None:
        return None
    form, scheme = _LISTS.get(party.address.country if party.address else "", (None, None))
    found = re.fullmatch(form, register, re.IGNORECASE | re.ASCII) if form else None
    return Identifier(value=register) if found is None else Identifier(value="".join(found.groups()), scheme=scheme)
