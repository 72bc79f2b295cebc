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


def tax_of(text: str) -> tuple[Fraction, str]:
    """`19 %, on top`: the rate, and how it applies."""
    rate, _, how = text.partition(", ")
    return (Fraction(rate.split(" ")[0]) / 100 if "%" in rate else Fraction(0)), how


def priced(line: dict[str, str]) -> tuple[Fraction, Fraction]:
    """Net and gross of a line, from quantity, price and tax."""
    price, _, unit = line["unit_price"].partition(" ")  # `0.50 EUR/kWh`: the figure and what it is for
    amount = quantity_of(line["quantity"]) / PER[unit.partition("/")[2]] * Fraction(price)
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


def added(lines: list[dict[str, str]]) -> tuple[Fraction, Fraction]:
    """Net and gross of the lines above the sum: priced ones are worked out, what only adds or takes is read."""
    net, gross = Fraction(0), Fraction(0)
    for line in lines:
        if line["since"] and line["unit_price"]:
            line_net, line_gross = priced(line)
            require(near(line["excl_tax"], line_net) and near(line["incl_tax"], line_gross), True, "line", line)
        else:
            line_net, line_gross = printed(line["excl_tax"]), printed(line["incl_tax"])
        net, gross = net + line_net, gross + line_gross
    return net, gross


def check(explained: dict[str, Any]) -> tuple[Decimal, Decimal]:
    """The totals without and with tax that follow from the lines; raises Wrong where the explanation says otherwise."""
    told: dict[str, list[dict[str, str]]] = {}
    for line in explained["lines"]:
        told.setdefault(line["what"], []).append(line)
    others = ("sum", "tax group", "total", "incentive", "payable", "note")
    net, gross = added([line for line in explained["lines"] if line["what"] not in others])
    [exact], [total] = told["sum"], told["total"]
    require(
        max(abs(printed(exact["excl_tax"]) - net), abs(printed(exact["incl_tax"]) - gross)) < TIE, True, "sum", exact
    )
    for name, amount in (("excl_tax", net), ("incl_tax", gross)):
        require(Decimal(total[name]), rounded(amount, explained["currency"], total[name]), f"total {name}")
        require(explained[f"total_{name}"], total[name], f"bill {name}")
    if "tax group" in told:
        require(sum(Decimal(line["incl_tax"]) for line in told["tax group"]), Decimal(total["incl_tax"]), "tax groups")
    paid = sum((Decimal(line["incl_tax"]) for line in told.get("incentive", ())), Decimal(0))
    require(Decimal(explained["payable"]), Decimal(total["incl_tax"]) + paid, "payable")
    return Decimal(total["excl_tax"]), Decimal(total["incl_tax"])
