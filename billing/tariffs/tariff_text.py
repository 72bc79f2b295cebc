"""A tariff in one line, for displays of charge points, tariff_alt_text and receipts. Pure; English and figures only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from billing.tariffs.price_list import PriceLine, amount_text, common_tax, line_text, price_list
from billing.tariffs.tariff import Tariff

TEXT_MAX: Final = 512
"""Characters: what a MessageContent of OCPP and a tariff_alt_text of OCPI hold."""
_MORE: Final = "more prices apply"


def tariff_text(tariff: Tariff, *, length_max: int = TEXT_MAX) -> str:
    """Every price in the order per kWh, per minute, per session, other, and what it says of tax.

    A text that would be too long keeps each line and names the lowest and the highest price where they vary; what is
    still too long ends at a whole line, and says that there is more.
    """
    lines = price_list(tariff)
    parts = _full(lines, tariff.currency)
    if _length(parts) <= length_max:
        return _joined(parts)
    return _cut([*(_range(each, tariff.currency) for each in lines), *_closing(lines)], length_max)


def is_whole(tariff: Tariff, *, length_max: int = TEXT_MAX) -> bool:
    """Whether the text has room for every price with its condition."""
    return _length(_full(price_list(tariff), tariff.currency)) <= length_max


def _full(lines: Sequence[PriceLine], currency: str) -> list[str]:
    apart = common_tax(lines) is None
    said = (line_text(each, lambda amount: amount_text(amount, currency), tax=apart) for each in lines)
    return [*(f"{each.label}: {text}" for each, text in zip(lines, said, strict=True)), *_closing(lines)]


def _closing(lines: Sequence[PriceLine]) -> list[str]:
    tax = common_tax(lines)
    return [] if tax is None else [tax.text]


def _range(line: PriceLine, currency: str) -> str:
    followed = next((price.series for price in line.prices if price.series), None)
    if followed is not None:
        return f"{line.label}: as price series {followed} says"
    amounts = sorted({price.amount for price in line.prices})
    if line.ends_free:
        amounts = sorted({*amounts, amounts[0] * 0})
    low, high = amounts[0], amounts[-1]
    if low == high:
        return f"{line.label}: {amount_text(low, currency)}"
    return f"{line.label}: {amount_text(low, currency)} to {amount_text(high, currency)} as it applies"


def _joined(parts: Sequence[str]) -> str:
    return "; ".join(parts)


def _length(parts: Sequence[str]) -> int:
    return len(_joined(parts))


def _cut(parts: list[str], length_max: int) -> str:
    if _length(parts) <= length_max:
        return _joined(parts)
    while parts and _length([*parts, _MORE]) > length_max:
        parts = parts[:-1]
    return _joined([*parts, _MORE])[:length_max]
