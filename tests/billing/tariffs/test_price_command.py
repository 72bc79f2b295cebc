"""`tariff price` as a function: the shape it prints and what it refuses."""

from __future__ import annotations

import json
from typing import Any

from billing.tariffs.price import PriceRefused, price_command

TARIFF: dict[str, Any] = {
    "id": "STREET",
    "currency": "EUR",
    "tax_included": "NO",
    "elements": [
        {
            "price_components": [{"type": "ENERGY", "price": 0.59, "vat": 19, "step_size": 1}],
            "restrictions": {"start_time": "08:00", "end_time": "20:00"},
        },
        {"price_components": [{"type": "ENERGY", "price": 0.39, "vat": 19, "step_size": 1}]},
    ],
}
SESSION: dict[str, Any] = {
    "time_zone": "UTC",
    "periods": [
        {"start": "2026-03-01T19:30:00Z", "energy_kwh": "10", "power_kw": 20},
        {"kind": "charging", "start": "2026-03-01T20:00:00Z", "end": "2026-03-01T21:00:00Z", "energy_kwh": 8},
    ],
}


def problems(tariff: Any, session: Any) -> list[str]:
    shown = price_command(tariff, session)
    assert isinstance(shown, PriceRefused)
    return [problem.path for problem in shown.problems]


def test_an_evening_is_priced_with_every_figure_as_text() -> None:
    shown = price_command(TARIFF, SESSION)

    assert not isinstance(shown, PriceRefused)
    json.dumps(shown)
    segments = shown.pop("segments")
    assert shown == {
        "currency": "EUR",
        "total_excl_tax": "9.02",
        "total_tax": "1.71",
        "total_incl_tax": "10.73",
        "total_excl_tax_exact": "9.02",
        "total_incl_tax_exact": "10.7338",
        "components": {"energy": "9.02", "time": "0.00", "parking": "0.00", "flat": "0.00"},
        "notes": [],
    }
    assert segments[0] == {
        "dimension": "ENERGY",
        "phase": "session",
        "element": 0,
        "start": "2026-03-01T19:30:00Z",
        "end": "2026-03-01T20:00:00Z",
        "unit": "kWh",
        "quantity_used": "10",
        "quantity_billed": "10",
        "unit_price": "0.59",
        "vat": "19",
        "amount_excl_tax": "5.9",
        "amount_incl_tax": "7.021",
        "note": None,
    }


def test_a_limit_is_a_segment_without_a_quantity() -> None:
    shown = price_command(TARIFF | {"max_price": {"before_taxes": "9"}}, SESSION)

    assert not isinstance(shown, PriceRefused)
    last = shown["segments"][-1]
    assert (last["dimension"], last["quantity_billed"], last["amount_excl_tax"]) == ("MAX_PRICE", None, "-0.02")
    assert [note["code"] for note in shown["notes"]] == ["max_price"]


def test_without_a_vat_rate_tax_is_zero_and_a_note_says_so() -> None:
    part = {"type": "ENERGY", "price": "0.50", "step_size": 1}

    shown = price_command(TARIFF | {"elements": [{"price_components": [part]}]}, SESSION)

    assert not isinstance(shown, PriceRefused)
    assert (shown["total_tax"], shown["total_incl_tax"]) == ("0.00", "9.00")
    assert [note["code"] for note in shown["notes"]] == ["tax_unknown"]


def test_energy_that_nobody_told_is_not_charged_and_a_note_says_so() -> None:
    silent = {"start": "2026-03-01T21:00:00Z", "end": "2026-03-01T22:00:00Z"}
    parked = silent | {"kind": "parking"}

    def notes(tariff: dict[str, Any], last: dict[str, Any]) -> list[str]:
        shown = price_command(tariff, SESSION | {"periods": [*SESSION["periods"], last]})
        assert not isinstance(shown, PriceRefused)
        return [note["code"] for note in shown["notes"]]

    by_time = TARIFF | {"elements": [{"price_components": [{"type": "TIME", "price": 2, "vat": 19, "step_size": 1}]}]}
    assert notes(TARIFF, silent) == ["energy_unknown"]
    assert notes(TARIFF, silent | {"energy_kwh": 0}) == []
    assert notes(TARIFF, parked) == []
    assert "energy_unknown" not in notes(by_time, silent)


def test_a_broken_tariff_is_told_with_its_places() -> None:
    assert problems({"id": "X"}, SESSION) == ["tariff $.currency", "tariff $.elements"]


def test_a_broken_session_is_told_with_its_places() -> None:
    session = {
        "periods": [
            {"start": "noon", "energy_kwh": -1, "colour": "red"},
            {"start": "2026-03-01T20:00:00Z", "kind": "idle"},
        ]
    }

    assert problems(TARIFF, session) == [
        "session $.time_zone",
        "session $.periods[0].start",
        "session $.periods[0].colour",
        "session $.periods[0].energy_kwh",
        "session $.periods[1].end",
        "session $.periods[1].kind",
    ]


def test_a_session_that_cannot_be_rated_is_told_too() -> None:
    backwards = {"start": "2026-03-01T20:00:00Z", "end": "2026-03-01T19:00:00Z"}

    assert problems(TARIFF, {"time_zone": "Europe/Atlantis", "periods": [backwards]}) == [
        "session $.time_zone",
        "session $.periods[0].end",
    ]
    assert problems(TARIFF, []) == ["session $"]
