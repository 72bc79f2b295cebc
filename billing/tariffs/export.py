"""A tariff as an OCPI document for others. What OCPI cannot say is refused, never left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from billing.tariffs.problem import DocumentInvalid, Problem
from billing.tariffs.tariff import Dimension, OcpiVersion, Tariff, TaxIncluded, to_ocpi

_WHY = {
    "x_idle": "an idle fee's grace, cap and quiet hours",
    "x_tiers": "tiers of a customer's volume",
    "x_series": "prices that follow a series",
}


class NotExportable(DocumentInvalid):
    """OCPI has no words for this tariff; `problems` says what and where."""

    subject = "OCPI export"


def export_ocpi(tariff: Tariff, version: OcpiVersion) -> dict[str, Any]:
    """The tariff as JSON of an OCPI version; numbers are Decimal (write it with `dump_json`).

    Raises:
        NotExportable: it has extensions, or prices with tax, which 2.2.1 does not know.
    """
    problems = [*_extensions(tariff), *_tax(tariff, version)]
    if problems:
        raise NotExportable(problems)
    return to_ocpi(replace(tariff, ocpi=version))


def _extensions(tariff: Tariff) -> Iterator[Problem]:
    for index, element in enumerate(tariff.elements):
        for number, part in enumerate(element.components):
            path = f"$.elements[{index}].price_components[{number}]"
            if part.type is Dimension.OCCUPANCY:
                yield Problem(
                    path=f"{path}.type",
                    message="OCPI has no price for the whole stay: it rounds charging and parking each by itself",
                    next_step="export a tariff with TIME and PARKING_TIME, which may differ by the rounding of one step",
                )
            for name in part.extensions.names():
                yield Problem(
                    path=f"{path}.{name}",
                    message=f"OCPI has no words for {_WHY[name]}",
                    next_step="export a tariff without it; partners would bill another amount",
                )


def _tax(tariff: Tariff, version: OcpiVersion) -> Iterator[Problem]:
    if version is OcpiVersion.V2_2_1 and tariff.tax_included is TaxIncluded.YES:
        yield Problem(
            path="$.tax_included",
            message="prices of OCPI 2.2.1 never hold tax",
            next_step="export OCPI 2.3.0, or a tariff with prices before tax",
        )
    if version is OcpiVersion.V2_2_1 and tariff.tax_included is TaxIncluded.NOT_APPLICABLE:
        named = any(part.vat for element in tariff.elements for part in element.components)
        if named:
            yield Problem(
                path="$.tax_included",
                message="N/A leaves its VAT rates unused, and OCPI 2.2.1 would use them",
                next_step="remove vat from the components, or export OCPI 2.3.0",
            )
