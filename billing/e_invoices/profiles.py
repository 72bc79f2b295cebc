"""In which forms an e-invoice leaves: syntax, and the identifiers by which its receiver knows what to expect."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from billing.e_invoices.model import TypeCode


class Profile(StrEnum):
    """A form of e-invoice by the name that callers use."""

    XRECHNUNG_UBL = "xrechnung-ubl"
    XRECHNUNG_CII = "xrechnung-cii"
    ZUGFERD = "zugferd"
    """A PDF with the invoice in it, profile EN 16931; in France the same is called Factur-X."""
    ZUGFERD_XRECHNUNG = "zugferd-xrechnung"
    """A PDF with an XRechnung in it."""
    PEPPOL = "peppol"

    @property
    def is_xrechnung(self) -> bool:
        return self in (Profile.XRECHNUNG_UBL, Profile.XRECHNUNG_CII, Profile.ZUGFERD_XRECHNUNG)

    @property
    def is_pdf(self) -> bool:
        return self in (Profile.ZUGFERD, Profile.ZUGFERD_XRECHNUNG)

    @property
    def is_ubl(self) -> bool:
        return self in (Profile.XRECHNUNG_UBL, Profile.PEPPOL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Specification:
    """What stands at the head of an invoice: BT-24, the rules that it keeps, and BT-23, the process that it is part of."""

    id: str
    process: str | None


_EN_16931: Final = "urn:cen.eu:en16931:2017"
_BILLING: Final = "urn:fdc:peppol.eu:2017:poacc:billing:01:1.0"
_XRECHNUNG: Final = Specification(
    id=f"{_EN_16931}#compliant#urn:xeinkauf.de:kosit:xrechnung_3.0",
    process=_BILLING,
)
_PEPPOL: Final = Specification(
    id=f"{_EN_16931}#compliant#urn:fdc:peppol.eu:2017:poacc:billing:3.0",
    process=_BILLING,
)
_PEPPOL_SELF_BILLING: Final = Specification(
    id=f"{_EN_16931}#compliant#urn:fdc:peppol.eu:2017:poacc:selfbilling:3.0",
    process="urn:fdc:peppol.eu:2017:poacc:selfbilling:01:1.0",
)
_ZUGFERD: Final = Specification(id=_EN_16931, process=None)


def specification(profile: Profile, type_code: TypeCode) -> Specification:
    """Peppol has a specification of its own for what the receiver of the money did not write himself."""
    if profile is Profile.PEPPOL:
        return _PEPPOL_SELF_BILLING if type_code.is_self_billed else _PEPPOL
    return _XRECHNUNG if profile.is_xrechnung else _ZUGFERD
