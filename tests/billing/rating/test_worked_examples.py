"""The engine gives the figures that the standard's text states."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest

from billing.rating.engine import rate
from billing.rating.policy import PRICE_POLICY
from billing.rating.rating import Rating
from billing.tariffs.price import PriceRefused, price_command, read_session
from billing.tariffs.tariff import parse_tariff
from tests.billing.rating.worked_examples import QUANTITIES, RESERVATIONS, SESSIONS, Example, as_2_2_1

ALL = [*SESSIONS, *RESERVATIONS, *QUANTITIES]


def by_name(examples: list[Example]) -> Any:
    return pytest.mark.parametrize("example", examples, ids=[example.name for example in examples])


def rated(example: Example, body: dict[str, Any]) -> Rating:
    usage = read_session({"time_zone": "UTC", "periods": example.periods})
    assert not isinstance(usage, PriceRefused)
    return rate(usage, parse_tariff(body), PRICE_POLICY, final=True)


def at_precision_of(stated: str, exact: Decimal) -> Decimal:
    return exact.quantize(Decimal(stated), rounding=ROUND_HALF_UP)


def check(example: Example, rating: Rating) -> None:
    if example.excl is not None:
        assert at_precision_of(example.excl, rating.total_excl_exact) == Decimal(example.excl)
    if example.incl is not None:
        assert at_precision_of(example.incl, rating.total_incl_exact) == Decimal(example.incl)
    for name, amount in example.parts.items():
        shown = {part.name.value: part.excl_tax.text for part in rating.components}
        assert shown[name] == amount
    for dimension, quantity in example.billed.items():
        billed = sum(line.quantity_billed for line in rating.segments if line.dimension == dimension)
        assert billed == Decimal(quantity)


@by_name(ALL)
def test_the_stated_totals_come_out_of_a_2_3_0_tariff(example: Example) -> None:
    check(example, rated(example, example.tariff))


@by_name([example for example in ALL if example.tariff["tax_included"] == "NO"])
def test_the_stated_totals_come_out_of_a_2_2_1_tariff(example: Example) -> None:
    check(example, rated(example, as_2_2_1(example.tariff)))


@by_name([example for example in SESSIONS if example.excl and len(example.excl.partition(".")[2]) == 2])
def test_the_price_command_prints_the_stated_totals(example: Example) -> None:
    shown = price_command(example.tariff, {"time_zone": "UTC", "periods": example.periods})

    assert not isinstance(shown, PriceRefused)
    assert shown["total_excl_tax"] == example.excl
    if example.incl is not None:
        assert shown["total_incl_tax"] == example.incl
    assert sum(map(Decimal, shown["components"].values())) == Decimal(shown["total_excl_tax"])


def test_the_last_price_carries_the_surplus_of_the_whole_session() -> None:
    example = next(example for example in SESSIONS if example.name.startswith("18b"))

    lines = rated(example, example.tariff).segments

    # 25 minutes at 1.20 are 0.50; 10 used and 20 billed minutes at 2.40 are 0.80
    assert [(line.quantity_used, line.quantity_billed, str(line.excl_tax)) for line in lines] == [
        (Decimal(1500), Decimal(1500), "1/2"),
        (Decimal(600), Decimal(1200), "4/5"),
    ]
