"""What became of the acts, as lines that can be laid beside those written by hand: one fact a line, single spaces."""

from __future__ import annotations

import csv
import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final

from billing.invoices.document import Document, Line
from billing.ledger.datev import COLUMNS
from billing.money import Money

_ZERO: Final = Decimal(0)
_HASH: Final = re.compile(r"-[0-9a-f]{8}$")
"""Of an owner that beancount cannot write as it is."""
_POSTING: Final = re.compile(r"^  ([A-Z]\S+)  (-?[0-9.]+) EUR$", re.MULTILINE)


def by_hand(text: str) -> list[str]:
    """The lines of an expectation without the sums that are written beside them."""
    bare = (" ".join(line.partition("#")[0].split()) for line in text.splitlines())
    return [line for line in bare if line]


def differences(told: Mapping[str, Sequence[str]], expected: Mapping[str, str]) -> str:
    """Where the program and the hand differ: lines of the hand with a minus, those of the program with a plus."""
    assert set(told) == set(expected), set(told) ^ set(expected)
    found: list[str] = []
    for name, lines in told.items():
        wanted, actual = by_hand(expected[name]), [" ".join(each.split()) for each in lines]
        if wanted != actual:
            found += difflib.unified_diff(wanted, actual, f"{name}, by hand", f"{name}, as it is", lineterm="", n=3)
    return "\n".join(found)


def amounts(*minors: int) -> str:
    return " ".join(Money(minor, "EUR").text for minor in minors)


def document_lines(documents: Iterable[Document]) -> Iterator[str]:
    """Of each: its head, its lines with net, tax and gross, its taxes, and what it comes to."""
    for each in documents:
        corrects = f" corrects {each.corrects.number}" if each.corrects else ""
        due = f" due {each.due_on}" if each.due_on else ""
        yield (
            f"{each.number} {each.form} {each.kind} to {each.account or 'nobody'}{corrects} of {each.issued_on}{due}"
            f" for {each.days[0]}..{each.days[1]} {each.tax_mode}"
        )
        yield from map(_line, each.lines)
        for group in each.tax_groups:
            tax = group.tax
            yield f"tax {tax.country} {tax.category} {tax.rate:f} {amounts(group.net_minor, group.tax_minor)}"
        yield f"total {amounts(each.net_minor, each.tax_minor, each.gross_minor)}"


def _line(line: Line) -> str:
    days = "" if line.session or line.days is None else f" {line.days[0]}..{line.days[1]}"
    late = " late" if line.session and line.session.late else ""
    centre = line.labels.get("cost_centre")
    return (
        f"{line.kind} {line.name}{days}{late}{f' [{centre}]' if centre else ''} {line.quantity.normalize():f} {line.unit}"
        f" {line.tax.country} {line.tax.rate:f} {amounts(line.net_minor, line.tax_minor, line.gross_minor)}"
    )


def entry_lines(postings: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Of each entry its day and fact, with the day of the fact where it came late; then its postings, debits above zero."""
    entry = None
    for each in postings:
        if each["entry"] != entry:
            entry = each["entry"]
            late = "" if each["booked_on"] == each["fact_on"] else f", of {each['fact_on']}"
            yield f"{each['booked_on']} {each['fact']} {each['text']}{late}"
        account = f"{each['account']}:{each['owner']}" if each["owner"] else each["account"]
        amount = each["debit"] or f"-{each['credit']}"
        yield f"{account} {amount}"


def row_lines(rows: Iterable[Mapping[str, Any]], *names: str) -> list[str]:
    """Rows of a report: these columns, in this order."""
    return [" ".join(str(row[name] if row[name] not in (None, "") else "-") for name in names) for row in rows]


def datev_lines(file: bytes) -> list[str]:
    """What the file of a month turns over on each account number: debit and credit."""
    turned: defaultdict[str, list[Decimal]] = defaultdict(lambda: [_ZERO, _ZERO])
    rows = list(csv.reader(file.decode("cp1252").splitlines(), delimiter=";"))
    for row in rows[2:]:
        said = dict(zip(COLUMNS, row, strict=True))
        amount, debits = (
            Decimal(said[COLUMNS[0]].replace(",", ".")),
            said["Soll/Haben-Kennzeichen"] == "S",
        )
        turned[said["Konto"]][not debits] += amount
        turned[said["Gegenkonto (ohne BU-Schlüssel)"]][debits] += amount
    return [f"{number} {debit:.2f} {credit:.2f}" for number, (debit, credit) in sorted(turned.items())]


def beancount_lines(text: str) -> list[str]:
    """What the file of a month moves on each account."""
    moved: defaultdict[str, Decimal] = defaultdict(lambda: _ZERO)
    for account, amount in _POSTING.findall(text):
        moved[_HASH.sub("", account)] += Decimal(amount)
    return [f"{account} {amount:.2f}" for account, amount in sorted(moved.items())]


def last_of(month: date) -> date:
    return date(month.year, month.month + 1, 1) - date.resolution
