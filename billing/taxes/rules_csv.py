"""Tax rules as a table that a spreadsheet writes: CSV text to rules. Knows no database."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Final, TypeVar

from billing.errors import Refused
from billing.taxes.tax_rule import SUPPLIES, Category, CustomerKind, Supplied, TaxRule, VatIdAsked, mistakes, supplied

COLUMNS: Final = (
    "id", "country", "customer", "vat_id", "supply", "rate", "category", "note", "valid_from", "valid_to",
)  # fmt: skip
REQUIRED: Final = frozenset({"id", "country", "rate", "category", "valid_from"})
ROWS_MAX: Final = 10_000
ANY: Final = frozenset({"", "any"})
"""What stands where a rule does not ask."""

Choice = TypeVar("Choice", bound=StrEnum)


def rules_from_csv(text: str) -> list[TaxRule]:
    """The rules of a table with a header; columns may be in any order, those that are not required may be left out.

    Raises:
        Refused: with every mistake of every line.
    """
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    found: list[str] = []
    rules: list[TaxRule] = []
    try:
        _require_columns(reader.fieldnames or ())
        for row in reader:
            rule, wrong = _rule(row)
            found += [f"line {reader.line_num}: {each}" for each in wrong]
            rules += [] if rule is None else [rule]
            if reader.line_num > ROWS_MAX:
                raise Refused(f"more than {ROWS_MAX} lines", "import them in parts")
    except csv.Error as wrong_text:
        raise Refused(f"line {reader.line_num} is no CSV: {wrong_text}", "correct it") from wrong_text
    if found:
        raise Refused(f"no rule was taken in: {found[0]}", "correct what is listed", details={"problems": found})
    return rules


def _require_columns(names: object) -> None:
    said = set(names) if isinstance(names, list) else set()
    if missing := sorted(REQUIRED - said):
        raise Refused(f"the header has no {', '.join(missing)}", f"columns are {','.join(COLUMNS)}")
    if unknown := sorted(str(name) for name in said - set(COLUMNS)):
        raise Refused(f"no rule has {', '.join(unknown)}", f"columns are {','.join(COLUMNS)}")


def _rule(row: Mapping[str | None, str | list[str] | None]) -> tuple[TaxRule | None, list[str]]:
    cells = {str(name): value.strip() for name, value in row.items() if isinstance(value, str)}
    if None in row or len(cells) < len(row):
        return None, ["has not as many cells as the header"]
    wrong: list[str] = []
    customer = _choice(cells, "customer", CustomerKind, wrong)
    vat_id = _choice(cells, "vat_id", VatIdAsked, wrong)
    supply = _supply(cells.get("supply", ""), wrong)
    category = _choice(cells, "category", Category, wrong)
    rate, valid_from = _rate(cells["rate"], wrong), _day(cells["valid_from"], "valid_from", wrong)
    valid_to = _day(cells["valid_to"], "valid_to", wrong) if cells.get("valid_to") else None
    if category is None and not wrong:
        wrong.append("names no category")
    if wrong or rate is None or valid_from is None or category is None:
        return None, wrong
    rule = TaxRule(
        id=cells["id"], country=cells["country"], rate=rate, category=category, valid_from=valid_from,
        valid_to=valid_to, customer=customer, vat_id=vat_id, supply=supply, note=cells.get("note") or None,
    )  # fmt: skip
    return rule, mistakes(rule)


def _choice(cells: Mapping[str, str], name: str, choices: type[Choice], wrong: list[str]) -> Choice | None:
    text = cells.get(name, "")
    if text in ANY:
        return None
    try:
        return choices(text)
    except ValueError:
        wrong.append(f"{name} is one of {', '.join(choices)}, not {text!r}")
        return None


def _supply(text: str, wrong: list[str]) -> Supplied | None:
    try:
        return None if text in ANY else supplied(text)
    except ValueError:
        wrong.append(f"supply is one of {SUPPLIES}, not {text!r}")
        return None


def _rate(text: str, wrong: list[str]) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        wrong.append(f"rate is a percentage such as 19, not {text!r}")
        return None


def _day(text: str, name: str, wrong: list[str]) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        wrong.append(f"{name} is a day such as 2021-01-01, not {text!r}")
        return None
