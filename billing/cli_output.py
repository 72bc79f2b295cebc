"""How every command prints: data on stdout in the form asked for, one JSON object on stderr when it fails."""

from __future__ import annotations

import asyncio
import csv
import functools
import io
import json
import math
import sys
import unicodedata
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from typing import IO, Any, ParamSpec, Protocol, TypeVar, runtime_checkable

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from billing.errors import ExitCode

Row = Mapping[str, object]
P = ParamSpec("P")
T = TypeVar("T")


class Format(StrEnum):
    """The forms in which data leaves a command."""

    TABLE = "table"
    """For people; tab-separated where stdout is not a terminal."""
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


@runtime_checkable
class ExplainedFailure(Protocol):
    """An error of any room that says what happened, what to do next and with which status a command then ends."""

    message: str
    next_step: str
    exit_code: Any


class CliError(click.ClickException):
    """A command failed: what happened, what to do next, and the exit status. Printed as one JSON object on stderr."""

    def __init__(
        self,
        message: str,
        next_step: str,
        status: ExitCode = ExitCode.FAILED,
        *,
        code: str | None = None,
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.next_step = next_step
        self.code = code or status.name.lower()
        self.status = status
        self.exit_code = status  # type: ignore[misc]  # click declares a class constant and reads the instance
        self.details = dict(details or {})

    @classmethod
    def of(cls, failure: ExplainedFailure) -> CliError:
        return cls(
            failure.message,
            failure.next_step,
            ExitCode(failure.exit_code),
            code=getattr(failure, "code", None),
            details=getattr(failure, "details", None),
        )

    def body(self) -> dict[str, object]:
        body: dict[str, object] = {"code": self.code, "message": self.message}
        if self.details:
            body["details"] = self.details
        return body | {"next": self.next_step}

    def show(self, file: IO[Any] | None = None) -> None:
        del file  # click may pass one; errors always go to stderr
        print_error(self.body())


def print_error(body: Row) -> None:
    click.echo(_encoded(json_text(body)), err=True)


@dataclass(frozen=True, slots=True)
class Output:
    """What a command does with its result. `fields` empty: all, in the order given by the command."""

    format: Format = Format.TABLE
    fields: tuple[str, ...] = ()

    def rows(self, rows: Iterable[Row], *, columns: Sequence[str] = (), title: str | None = None) -> None:
        """Print a list. `columns` is the table's and csv's order (and header when there is no row)."""
        chosen = [self._chosen(row, columns) for row in rows]
        match self.format:
            case Format.JSON:
                _write(json_text(chosen, indent=2))
            case Format.JSONL:
                _write(*(json_text(row) for row in chosen))
            case Format.CSV:
                _write_csv(chosen, self.fields or tuple(columns))
            case Format.TABLE:
                _write_table(chosen, self.fields or tuple(columns), title)

    def one(self, row: Row) -> None:
        """Print one thing: an object in json and jsonl, a row in csv, name and value lines for people."""
        chosen = self._chosen(row, ())
        match self.format:
            case Format.JSON:
                _write(json_text(chosen, indent=2))
            case Format.JSONL:
                _write(json_text(chosen))
            case Format.CSV:
                _write_csv([chosen], tuple(chosen))
            case Format.TABLE:
                pairs = [{"field": name, "value": value} for name, value in chosen.items()]
                _write_table(pairs, ("field", "value"), None, header=False)

    def follow(self, row: Row) -> None:
        """Print one line of a stream that goes on: jsonl for machines, a plain line for people."""
        chosen = self._chosen(row, ())
        if self.format is Format.TABLE:
            _write("  ".join(cell(value) for value in chosen.values()))
        else:
            _write(json_text(chosen))

    def note(self, text: str) -> None:
        """Say something to the person at the terminal. Never data: it goes to stderr."""
        click.echo(_encoded(printable(text)), err=True)

    def _chosen(self, row: Row, columns: Sequence[str]) -> dict[str, object]:
        if not self.fields:
            return dict(row)
        unknown = [name for name in self.fields if name not in row]
        if unknown:
            known = ", ".join(dict.fromkeys((*columns, *row)))
            raise click.UsageError(f"no such field: {', '.join(unknown)}; fields are {known}")
        return {name: row[name] for name in self.fields}


def output_options(command: Callable[..., T]) -> Callable[..., T]:
    """Give a command `-o/--output` and `--fields`, and hand it an `output: Output`."""

    @click.option(
        "-o", "--output", "output_format", type=click.Choice([each.value for each in Format]), default="table",
        show_default=True, help="How to print the result.",
    )  # fmt: skip
    @click.option("--fields", default="", metavar="A,B", help="Print only these fields, in this order.")
    @functools.wraps(command)
    def with_output(*args: Any, output_format: str, fields: str, **kwargs: Any) -> T:
        names = tuple(name.strip() for name in fields.split(",") if name.strip())
        return command(*args, output=Output(Format(output_format), names), **kwargs)

    return with_output


def async_command(command: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Run an `async def` command in a loop of its own."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return asyncio.run(command(*args, **kwargs))

    return run


class CommandGroup(click.Group):
    """The outermost group: whatever goes wrong ends as one JSON object on stderr and a documented exit status."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        run = functools.partial(super().main, args, prog_name, complete_var, standalone_mode=False, **extra)
        if not standalone_mode:
            return run()
        try:
            outcome: object = run()
        except BrokenPipeError:
            # The reader of a pipe (head, less) has what it wanted; Python would complain while flushing at exit.
            sys.stdout = io.StringIO()
            sys.exit(ExitCode.OK)
        except Exception as failure:
            if not isinstance(failure, (click.ClickException, click.Abort, ExplainedFailure)):
                raise
            body, exit_code = failure_report(failure, command=prog_name or self.name or "csms")
            print_error(body)
            sys.exit(exit_code)
        sys.exit(outcome if isinstance(outcome, int) else ExitCode.OK)


def failure_report(
    failure: click.ClickException | click.Abort | ExplainedFailure, *, command: str
) -> tuple[dict[str, object], ExitCode]:
    """What is printed for a failure, and the exit status."""
    match failure:
        case CliError():
            return failure.body(), failure.status
        case click.UsageError():
            path = failure.ctx.command_path if failure.ctx else command
            message = failure.format_message()
            return {"code": "usage", "message": message, "next": f"see {path} --help"}, ExitCode.USAGE
        case click.Abort():
            return {"code": "aborted", "message": "interrupted", "next": "run it again"}, ExitCode.FAILED
        case click.ClickException():
            body: dict[str, object] = {
                "code": "failed",
                "message": failure.format_message(),
                "next": "correct the input",
            }
            return body, ExitCode.FAILED
        case ExplainedFailure():
            error = CliError.of(failure)
            return error.body(), error.status


def rfc3339(instant: datetime) -> str:
    """An aware instant in UTC, with fractions only where there are any: 2026-03-01T20:00:00Z."""
    if instant.tzinfo is None:
        raise ValueError(f"{instant} has no offset; times are aware")
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def json_value(value: object) -> object:
    """A value as JSON has it: amounts and quantities as strings, instants RFC 3339 UTC, bytes hex, sets sorted."""
    match value:
        case Enum():
            return json_value(value.value)
        case Mapping():
            return {str(name): json_value(each) for name, each in value.items()}
        case AbstractSet():
            return sorted((json_value(each) for each in value), key=str)
        case list() | tuple():
            return [json_value(each) for each in value]
        case _:
            return _json_scalar(value)


def _json_scalar(value: object) -> object:
    if value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    for kind, write in _SCALARS.items():
        if isinstance(value, kind):
            return write(value)
    return str(value)


_SCALARS: Mapping[type, Callable[[Any], object]] = {
    Decimal: lambda amount: format(amount, "f"),
    datetime: rfc3339,  # before date, of which it is one
    date: date.isoformat,
    timedelta: timedelta.total_seconds,
    bytes: bytes.hex,
}


def json_text(value: object, *, indent: int | None = None) -> str:
    return json.dumps(json_value(value), ensure_ascii=False, indent=indent, allow_nan=False)


def printable(text: str) -> str:
    """`text` with control characters shown instead of obeyed: names come from charge points, terminals obey escapes."""
    return "".join(
        character if character == " " or unicodedata.category(character)[0] not in "CZ" else ascii(character)[1:-1]
        for character in text
    )


def cell(value: object) -> str:
    """A value as a person reads it in a table: nothing for None, instants to the second."""
    if isinstance(value, datetime):
        return rfc3339(value.replace(microsecond=0))
    match json_value(value):
        case None:
            return ""
        case bool() as truth:
            return "yes" if truth else "no"
        case list() as items if not any(isinstance(item, (dict, list)) for item in items):
            return ", ".join(cell(item) for item in items)
        case (list() | dict()) as nested:
            return printable(json_text(nested))
        case plain:
            return printable(str(plain))


def _encoded(text: str) -> bytes:
    # A lone surrogate has no UTF-8; backslashreplace writes it as \udXXX, which is what JSON calls it too.
    return text.encode("utf-8", "backslashreplace")


def _write(*lines: str) -> None:
    for line in lines:
        click.echo(_encoded(line))


def _columns(rows: Sequence[Row], columns: Sequence[str]) -> tuple[str, ...]:
    return tuple(columns) or tuple(dict.fromkeys(name for row in rows for name in row))


def _write_csv(rows: Sequence[Row], columns: Sequence[str]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = _columns(rows, columns)
    writer.writerow(names)
    writer.writerows([_csv_cell(row.get(name)) for name in names] for row in rows)
    click.echo(_encoded(text.getvalue()), nl=False)


def _csv_cell(value: object) -> str:
    plain = json_value(value)
    if plain is None:
        return ""
    return json_text(plain) if isinstance(plain, (bool, list, dict)) else str(plain)


def _write_table(rows: Sequence[Row], columns: Sequence[str], title: str | None, *, header: bool = True) -> None:
    names = _columns(rows, columns)
    if not sys.stdout.isatty():
        lines = [[cell(row.get(name)) for name in names] for row in rows]
        _write(*("\t".join(line) for line in ([list(names)] if header else []) + lines))
        return
    table = Table(title=title, show_header=header, box=None, pad_edge=False, header_style="bold", title_justify="left")
    for name in names:
        values = [row.get(name) for row in rows]
        cells = [_terminal_cell(value) for value in values]
        table.add_column(
            _heading(name, max((len(line) for each in cells for line in each.splitlines()), default=0)),
            justify="right" if rows and all(_is_number(value) for value in values) else "left",
            overflow="fold",
            no_wrap=all(value is None or isinstance(value, datetime) for value in values)
            or (not header and name == "field"),
        )
    for row in rows:
        table.add_row(*(Text(_terminal_cell(row.get(name))) for name in names))
    Console().print(table)  # rich obeys NO_COLOR


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


def _terminal_cell(value: object) -> str:
    """As `cell`, but a list of things is a line for each."""
    if isinstance(value, list) and value and all(isinstance(each, Mapping) for each in value):
        return "\n".join(
            "  ".join(f"{name} {cell(told)}" for name, told in each.items() if told is not None) for each in value
        )
    return cell(value)
