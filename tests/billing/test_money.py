"""Money: minor units, one rounding, splitting without loss, and no binary float anywhere in billing."""

from __future__ import annotations

import ast
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import billing
from billing.money import (
    MINOR_DIGITS,
    CurrencyMismatch,
    CurrencyUnknown,
    Money,
    MoneyError,
    allocate,
    exact_decimal,
    exact_text,
    round_units,
)


@pytest.mark.parametrize(
    ("exact", "currency", "text"),
    [
        ("9.025", "EUR", "9.03"),
        ("9.0249", "EUR", "9.02"),
        ("-9.025", "EUR", "-9.03"),
        ("-0.004", "EUR", "0.00"),
        ("119.5", "JPY", "120"),
        ("1.2345", "KWD", "1.235"),
        ("1.23455", "CLF", "1.2346"),
    ],
)
def test_half_a_unit_goes_away_from_zero_in_every_currency(exact: str, currency: str, text: str) -> None:
    assert Money.round_from(Decimal(exact), currency).text == text


def test_a_currency_has_as_many_decimals_as_iso_4217_says() -> None:
    assert {code: MINOR_DIGITS[code] for code in ("EUR", "JPY", "KRW", "BHD", "KWD", "UYW", "CHF")} == {
        "EUR": 2,
        "JPY": 0,
        "KRW": 0,
        "BHD": 3,
        "KWD": 3,
        "UYW": 4,
        "CHF": 2,
    }


@pytest.mark.parametrize("code", ["eur", "XXX", "", "EURO", None])
def test_an_unknown_currency_is_refused_where_the_amount_is_made(code: str) -> None:
    with pytest.raises(CurrencyUnknown, match="ISO 4217"):
        Money(1, code)


def test_two_currencies_never_add_up() -> None:
    with pytest.raises(CurrencyMismatch):
        Money(1, "EUR") + Money(1, "CHF")
    with pytest.raises(CurrencyMismatch):
        Money(1, "EUR") - Money(1, "CHF")


def test_amounts_of_one_currency_add_and_subtract() -> None:
    assert Money(250, "EUR") + Money(-51, "EUR") == Money(199, "EUR")
    assert str(Money(250, "EUR") - Money(255, "EUR")) == "-0.05 EUR"
    assert -Money(5, "EUR") == Money(-5, "EUR")
    assert Money(-5, "EUR").decimal == Decimal("-0.05")


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [
        (100, [1, 1, 1], [34, 33, 33]),
        (-100, [1, 1, 1], [-34, -33, -33]),
        (5, [Fraction(1, 3), Fraction(2, 3)], [2, 3]),
        (1, [1, 1], [1, 0]),
        (7, [0, 0], [7, 0]),
        (10, [0, 1], [0, 10]),
    ],
)
def test_leftover_units_go_to_the_largest_remainder_and_then_to_the_first(
    total: int, weights: list[Fraction | int], parts: list[int]
) -> None:
    assert allocate(total, weights) == parts


@given(st.integers(-(10**9), 10**9), st.lists(st.fractions(min_value=0, max_value=1000), min_size=1, max_size=8))
def test_a_split_loses_nothing_and_no_part_is_off_by_a_unit(total: int, weights: list[Fraction]) -> None:
    parts = allocate(total, weights)

    assert sum(parts) == total
    if sum(weights):
        for part, weight in zip(parts, weights, strict=True):
            assert abs(part - total * weight / sum(weights)) < 1


@pytest.mark.parametrize("weights", [[], [1, -1]])
def test_a_split_over_nothing_or_below_zero_is_refused(weights: list[int]) -> None:
    with pytest.raises(MoneyError):
        allocate(1, weights)


@given(st.fractions(min_value=-(10**9), max_value=10**9))
def test_rounding_moves_by_at_most_half_and_is_odd(value: Fraction) -> None:
    assert abs(round_units(value) - value) <= Fraction(1, 2)
    assert round_units(-value) == -round_units(value)


@given(st.fractions())
def test_an_exact_amount_survives_as_text(value: Fraction) -> None:
    assert Fraction(exact_text(value)) == value


def test_an_exact_amount_without_an_end_is_shown_with_twelve_decimals() -> None:
    assert str(exact_decimal(Fraction(2, 3))) == "0.666666666667"
    assert str(exact_decimal(Fraction(-1, 8))) == "-0.125"
    assert str(exact_decimal(Fraction(10**30))) == "1" + "0" * 30


def is_float(node: ast.AST) -> bool:
    """A float literal, or a call that makes a float."""
    literal = isinstance(node, ast.Constant) and isinstance(node.value, float)
    return literal or (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float")


def seconds_in(tree: ast.AST) -> set[ast.AST]:
    """The values of names such as `sweep_interval_s` and `PAUSE_S_MAX`: waits, never amounts."""
    named = [node for node in ast.walk(tree) if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)]
    return {
        node.value
        for node in named
        if node.value is not None and isinstance(node.target, ast.Name) and "_s_" in f"{node.target.id.lower()}_"
    }


def test_no_binary_float_stands_near_money() -> None:
    found = []
    for path in sorted(Path(billing.__file__).parent.rglob("*.py")):
        tree = ast.parse(path.read_text())
        waits = seconds_in(tree)
        found += [
            f"{path.name}:{node.lineno}: float near money; use Decimal('...')"
            for node in ast.walk(tree)
            if is_float(node) and node not in waits and isinstance(node, ast.expr)
        ]

    assert found == []
