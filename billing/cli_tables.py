"""Rows as tables on a terminal, by rich, which obeys NO_COLOR. Knows no other form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from billing.cli_output import Row, cell, columns_of, has_parts, printable


def print_list(rows: Sequence[Row], names: Sequence[str], title: str | None) -> None:
    Console().print(_grid(rows, names, title))


def print_one(row: Row) -> None:
    Console().print(_sheet(row))


def _grid(rows: Sequence[Row], names: Sequence[str], title: str | None = None) -> Table:
    """A list as a terminal shows it."""
    table = Table(title=title, box=None, pad_edge=False, header_style="bold", title_justify="left")
    for name in names:
        values = [row.get(name) for row in rows]
        lines = [line for value in values if not has_parts(value) for line in cell(value).splitlines()]
        table.add_column(
            _heading(name, max((len(line) for line in lines), default=0)),
            justify="right" if rows and all(_is_number(value) for value in values) else "left",
            overflow="fold",
            no_wrap=all(value is None or isinstance(value, datetime) for value in values),
        )
    for row in rows:
        table.add_row(*(_content(row.get(name)) for name in names))
    return table


def _sheet(row: Row) -> Table:
    """One thing as a terminal shows it: a line for each field, and tables for what has parts."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in row.items():
        table.add_row(Text(printable(name)), _content(value))
    return table


def _content(value: object) -> Text | Table:
    if not has_parts(value):
        return Text(cell(value))
    if isinstance(value, Mapping):
        return _sheet(value)
    items = [each for each in value if isinstance(each, Mapping)]
    return _grid(items, columns_of(items, ()))


def _heading(name: str, width: int) -> str:
    """A column's name, broken behind underscores where what stands below it is narrower."""
    lines = [""]
    for part in name.replace("_", "_ ").split():
        if lines[-1] and len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _is_number(value: object) -> bool:
    text = value if isinstance(value, str) else ""
    return value is None or isinstance(value, (int, Decimal)) or text.lstrip("-").replace(".", "", 1).isdecimal()
