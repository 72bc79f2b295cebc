"""A stranger's check of `session explain -o json`: the printed lines alone must give the printed totals.

Uses nothing but the standard library: no code, no constant and no value of the engine. Raises Wrong with what is wrong.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

MINOR = {"JPY": 0, "KRW": 0, "KWD": 3, "TND": 3}
PER = {"kWh": Fraction(1), "h": Fraction(3600), "": Fraction(1)}
TIE = Fraction(1, 10**9)  # amounts that have no end are printed with twelve decimals


class Wrong(AssertionError):
    """The explanation does not give the bill."""


def require(said: Any, computed: Any, what: str, line: Any = "") -> None:
    if said != computed:
        raise Wrong(f"{what}: the explanation says {said}, its lines give {computed} {line}")


def quantity_of(text: str) -> Fraction:
    """`20.450 kWh`, `0:16:00 h (960 s)` or `1`: in kWh, seconds or pieces."""
    seconds = re.search(r"\((\d+(?:\.\d+)?) s\)$", text)
    return Fraction(seconds[1]) if seconds else Fraction(text.split(" ", maxsplit=1)[0])


def price_of(text: str) -> tuple[Fraction, str]:
    """`0.50 EUR/kWh`: the figure and what it is for."""
    figure, _, unit = text.partition(" ")
    return Fraction(figure), unit.partition("/")[2]


def tax_of(text: str) -> tuple[Fraction, str]:
    """`19 %, on top`: the rate, and how it applies."""
    rate, _, how = text.partition(", ")
    return (Fraction(rate.split(" ")[0]) / 100 if "%" in rate else Fraction(0)), how


def priced(line: dict[str, str]) -> tuple[Fraction, Fraction]:
    """Net and gross of a line, from quantity, price and tax."""
    price, unit = price_of(line["unit_price"])
    amount = quantity_of(line["quantity"]) / PER[unit] * price
    rate, how = tax_of(line["tax"])
    return (amount / (1 + rate), amount) if how.startswith("included") else (amount, amount * (1 + rate))


def printed(text: str) -> Fraction:
    return Fraction(text.removesuffix("..."))


def near(said: str, computed: Fraction) -> bool:
    """Equal, where what is printed ends; else to its twelve decimals."""
    return abs(printed(said) - computed) <= (Fraction(1, 10**11) if said.endswith("...") else 0)


def rounded(exact: Fraction, currency: str, said: str) -> Decimal:
    """Half up to the minor unit; on a tie that unending lines may hide, whichever side was printed."""
    places = MINOR.get(currency, 2)
    scaled = exact * 10**places
    low = int(scaled // 1)
    half = scaled - low - Fraction(1, 2)
    if abs(half) <= TIE * 10**places and half != 0:
        return Decimal(said)
    return Decimal(low + (half >= 0)).scaleb(-places)


def check(explained: dict[str, Any]) -> tuple[Decimal, Decimal]:
    """The totals without and with tax that follow from the lines; raises Wrong where the explanation says otherwise."""
    net, gross, groups, total = Fraction(0), Fraction(0), Decimal(0), None
    for line in explained["lines"]:
        if line["what"] == "sum":
            require(near(line["excl_tax"], net) and near(line["incl_tax"], gross), True, "sum", (line, net, gross))
        elif line["what"] == "tax group":
            groups += Decimal(line["incl_tax"])
        elif line["what"] == "total":
            total = line
        elif line["unit_price"]:
            line_net, line_gross = priced(line)
            require(near(line["excl_tax"], line_net) and near(line["incl_tax"], line_gross), True, "line", line)
            net, gross = net + line_net, gross + line_gross
        elif line["excl_tax"] and line["what"] not in ("payable", "incentive"):
            net, gross = net + printed(line["excl_tax"]), gross + printed(line["incl_tax"])
    if total is None:
        raise Wrong("the explanation has no total")
    for name, exact in (("excl_tax", net), ("incl_tax", gross)):
        require(Decimal(total[name]), rounded(exact, explained["currency"], total[name]), f"total {name}")
        require(explained[f"total_{name}"], total[name], f"bill {name}")
    if any(line["what"] == "tax group" for line in explained["lines"]):
        require(groups, Decimal(total["incl_tax"]), "tax groups")
    return Decimal(total["excl_tax"]), Decimal(total["incl_tax"])
