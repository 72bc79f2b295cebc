"""A tariff for partners: everything that OCPI can say, or a refusal that names what it cannot."""

from __future__ import annotations

from typing import Any

import pytest

from billing.tariffs.export import NotExportable, export_ocpi
from billing.tariffs.lint import lint
from billing.tariffs.tariff import OcpiVersion, parse_tariff, to_ocpi

ENERGY = {"type": "ENERGY", "price": "0.50", "vat": "19", "step_size": 1}


def document(*components: dict[str, Any], **more: Any) -> dict[str, Any]:
    body = {"id": "T", "currency": "EUR", "tax_included": "NO"} | more
    return body | {"elements": [{"price_components": list(components)}]}


def test_an_older_tariff_is_written_in_the_newer_version_and_back() -> None:
    older = document(ENERGY, min_price={"excl_vat": "1.00", "incl_vat": "1.19"})
    del older["tax_included"]
    read = parse_tariff(older)
    newer = export_ocpi(read, OcpiVersion.V2_3_0)

    assert newer["tax_included"] == "NO"
    assert set(newer["min_price"]) == {"before_taxes", "after_taxes"}
    assert export_ocpi(parse_tariff(newer), OcpiVersion.V2_2_1) == to_ocpi(read)


@pytest.mark.parametrize("tax_included", ["YES", "N/A"])
def test_prices_that_2_2_1_would_read_differently_are_refused(tax_included: str) -> None:
    tariff = parse_tariff(document(ENERGY, tax_included=tax_included))

    with pytest.raises(NotExportable) as refused:
        export_ocpi(tariff, OcpiVersion.V2_2_1)

    assert [each.path for each in refused.value.problems] == ["$.tax_included"]
    assert export_ocpi(tariff, OcpiVersion.V2_3_0) == to_ocpi(tariff)


def test_every_extension_is_refused_by_name_and_linted() -> None:
    body = document(
        ENERGY | {"x_tiers": [{"from_kwh": 100, "price": "0.40"}]},
        {"type": "PARKING_TIME", "price": 6, "vat": 19, "step_size": 60, "x_idle": {"grace_s": 600}},
        {"type": "X_OCCUPANCY", "price": 6, "vat": 19, "step_size": 60},
    )
    follows = document(ENERGY | {"x_series": {"name": "spot", "factor": 1, "fallback": "0.3"}})
    refused = []
    for each in (body, follows):
        with pytest.raises(NotExportable) as told:
            export_ocpi(parse_tariff(each), OcpiVersion.V2_3_0)
        refused += [problem.path.rpartition(".")[2] for problem in told.value.problems]

    assert refused == ["x_tiers", "x_idle", "type", "x_series"]
    codes = [finding.code for finding in lint(parse_tariff(body))]
    assert codes.count("extension") == 3
    assert "time_twice" in codes
    assert "energy_price_changes" in codes
