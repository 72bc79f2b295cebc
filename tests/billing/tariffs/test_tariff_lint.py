"""What the lint says about tariffs that can be read but are odd."""

from __future__ import annotations

from typing import Any

import pytest

from billing.tariffs.lint import Severity, lint, refusals
from billing.tariffs.tariff import parse_tariff


def part(kind: str = "ENERGY", **more: Any) -> dict[str, Any]:
    return {"type": kind, "price": "0.50", "vat": "19", "step_size": 1} | more


def tariff(*elements: tuple[dict[str, Any], dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {
        "id": "LINT",
        "currency": "EUR",
        "tax_included": "NO",
        "elements": [{"price_components": [component], "restrictions": rules} for component, rules in elements],
    } | more


def codes(body: dict[str, Any]) -> set[str]:
    return {finding.code for finding in lint(parse_tariff(body))}


def test_a_plain_price_per_kwh_has_no_findings() -> None:
    assert codes(tariff((part(), {}))) == set()


ANYTIME = (part(), {})


@pytest.mark.parametrize(
    ("code", "severity", "body"),
    [
        ("step_size", Severity.ADVICE, tariff((part(step_size=100), {}))),
        ("step_size_zero", Severity.ADVICE, tariff((part(step_size=0), {}))),
        ("vat_missing", Severity.WARNING, tariff((part(vat=None), {}))),
        ("vat_not_applicable", Severity.WARNING, tariff(ANYTIME, tax_included="N/A")),
        ("empty_time_window", Severity.ERROR, tariff((part(), {"start_time": "08:00", "end_time": "08:00"}), ANYTIME)),
        ("never_matches", Severity.ERROR, tariff((part(), {"min_kwh": 5, "max_kwh": 5}), ANYTIME)),
        ("never_matches", Severity.ERROR, tariff((part(), {"min_power": 9, "max_power": 5}), ANYTIME)),
        (
            "never_matches",
            Severity.ERROR,
            tariff((part(), {"start_date": "2026-02-01", "end_date": "2026-01-01"}), ANYTIME),
        ),
        ("never_reached", Severity.WARNING, tariff(ANYTIME, (part(), {"start_time": "08:00", "end_time": "20:00"}))),
        ("never_reached", Severity.WARNING, tariff((part(), {"max_kwh": 20}), (part(), {"max_kwh": 10}), ANYTIME)),
        ("overlap", Severity.ADVICE, tariff((part(), {"max_kwh": 20}), (part(), {"day_of_week": ["SUNDAY"]}), ANYTIME)),
        ("no_energy_fallback", Severity.WARNING, tariff((part(), {"max_kwh": 20}))),
        ("no_energy_fallback", Severity.ADVICE, tariff((part("TIME"), {}))),
        ("energy_price_changes", Severity.ADVICE, tariff((part(price="1"), {"max_kwh": 20}), ANYTIME)),
        ("time_component", Severity.ADVICE, tariff(ANYTIME, (part("TIME"), {}))),
        ("flat_never_applies", Severity.ERROR, tariff((part("FLAT"), {"min_duration": 60}), ANYTIME)),
        ("reservation_element", Severity.ADVICE, tariff((part("TIME"), {"reservation": "RESERVATION"}), ANYTIME)),
        ("reservation_dimension", Severity.ERROR, tariff((part(), {"reservation": "RESERVATION"}), ANYTIME)),
        (
            "end_before_start",
            Severity.ERROR,
            tariff(ANYTIME, start_date_time="2026-02-01T00:00:00Z", end_date_time="2026-01-01T00:00:00Z"),
        ),
        (
            "min_above_max",
            Severity.ERROR,
            tariff(ANYTIME, min_price={"before_taxes": 2}, max_price={"before_taxes": 1}),
        ),
    ],
)
def test_each_oddity_is_found(code: str, severity: Severity, body: dict[str, Any]) -> None:
    found = [finding for finding in lint(parse_tariff(body)) if finding.code == code]

    assert [finding.severity for finding in found] == [severity]
    assert all(finding.path.startswith("$.") and finding.next_step for finding in found)


def test_a_second_price_of_one_dimension_in_one_element_is_found() -> None:
    body = tariff(ANYTIME)
    body["elements"][0]["price_components"].append(part(price="0.40"))

    assert {finding.code for finding in refusals(parse_tariff(body))} == {"duplicate_dimension"}


def test_windows_that_never_meet_do_not_overlap() -> None:
    body = tariff(
        (part(), {"start_time": "08:00", "end_time": "20:00"}),
        (part(price="0.30"), {"start_time": "20:00", "end_time": "08:00"}),
    )

    assert codes(body) & {"overlap", "never_reached"} == set()
