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
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from types import ModuleType
from typing import IO, Any, ParamSpec, Protocol, TypeGuard, TypeVar, runtime_checkable

import click

from billing.errors import ExitCode

Row = Mapping[str, object]
P = ParamSpec("P")
T = TypeVar("T")


INSTANT_LENGTH = len("2026-03-01T20:00:00Z")


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
            case Format.TABLE if sys.stdout.isatty():
                _on_terminal().print_one(chosen)
            case Format.TABLE:
                _write(*_outline(chosen))

    def stream(self, columns: Sequence[str], *, also: Sequence[str] = ()) -> Stream:
        """Begin a list that goes on and on: its header now, a line for each row sent.

        `columns` is the table's and csv's order; `also` names what rows have besides.
        """
        unknown = [name for name in self.fields if name not in {*columns, *also}]
        if unknown:
            raise _no_such_field(unknown, (*columns, *also))
        return Stream(self.format, self.fields or tuple(columns), only=self.fields)

    def note(self, text: str) -> None:
        """Say something to the person at the terminal. Never data: it goes to stderr."""
        click.echo(_encoded(printable(text)), err=True)

    def _chosen(self, row: Row, columns: Sequence[str]) -> dict[str, object]:
        if not self.fields:
            return dict(row)
        unknown = [name for name in self.fields if name not in row]
        if unknown:
            raise _no_such_field(unknown, (*columns, *row))
        return {name: row[name] for name in self.fields}


def _no_such_field(unknown: Sequence[str], known: Sequence[str]) -> click.UsageError:
    return click.UsageError(f"no such field: {', '.join(unknown)}; fields are {', '.join(dict.fromkeys(known))}")


class Stream:
    """Lines of something that goes on: jsonl for machines, comma-separated, or columns that widen as it goes."""

    def __init__(self, form: Format, columns: tuple[str, ...], *, only: tuple[str, ...]) -> None:
        self._form = form
        self._columns = columns
        self._only = only
        # The header is printed before anything is known of the rows, but how long instants are.
        self._widths = [max(len(name), INSTANT_LENGTH if name.endswith("_at") else 0) for name in columns]
        self._line(columns)

    def send(self, row: Row) -> None:
        if self._form in {Format.JSON, Format.JSONL}:
            _write(json_text({name: row[name] for name in self._only} or dict(row)))
        else:
            self._line([row.get(name) for name in self._columns])

    def _line(self, values: Sequence[object]) -> None:
        match self._form:
            case Format.CSV:
                _write(_csv_text([values]).rstrip("\n"))
            case Format.TABLE if sys.stdout.isatty():
                cells = [cell(value) for value in values]
                self._widths = [max(width, len(text)) for width, text in zip(self._widths, cells, strict=True)]
                padded = (text.ljust(width) for text, width in zip(cells, self._widths, strict=True))
                _write("  ".join(padded).rstrip())
            case Format.TABLE:
                _write("\t".join(cell(value) for value in values))
            case Format.JSON | Format.JSONL:
                pass  # names stand in every line


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
        case ExplainedFailure():
            error = CliError.of(failure)
            return error.body(), error.status
        case click.ClickException():
            body: dict[str, object] = {
                "code": "failed",
                "message": failure.format_message(),
                "next": "correct the input",
            }
            return body, ExitCode.FAILED


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


def columns_of(rows: Sequence[Row], columns: Sequence[str]) -> tuple[str, ...]:
    return tuple(columns) or tuple(dict.fromkeys(name for row in rows for name in row))


def _write_csv(rows: Sequence[Row], columns: Sequence[str]) -> None:
    names = columns_of(rows, columns)
    click.echo(_encoded(_csv_text([names, *([row.get(name) for name in names] for row in rows)])), nl=False)


def _csv_text(lines: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([_csv_cell(value) for value in line] for line in lines)
    return text.getvalue()


def _csv_cell(value: object) -> str:
    plain = json_value(value)
    if plain is None:
        return ""
    return json_text(plain) if isinstance(plain, (bool, list, dict)) else str(plain)


def _on_terminal() -> ModuleType:
    from billing import cli_tables  # noqa: PLC0415 - what draws tables takes longer to import than most commands to run

    return cli_tables


def _write_table(rows: Sequence[Row], columns: Sequence[str], title: str | None) -> None:
    names = columns_of(rows, columns)
    if sys.stdout.isatty():
        _on_terminal().print_list(rows, names, title)
    else:
        _write(*("\t".join(line) for line in [list(names), *([cell(row.get(name)) for name in names] for row in rows)]))


def _outline(row: Row, depth: int = 0) -> Iterator[str]:
    """One thing where nobody watches a screen: name, tab and value; what has parts follows indented."""
    indent = "  " * depth
    for name, value in row.items():
        if not has_parts(value):
            yield f"{indent}{printable(name)}\t{cell(value)}"
            continue
        yield f"{indent}{printable(name)}"
        if isinstance(value, Mapping):
            yield from _outline(value, depth + 1)
        else:
            yield from _outlined_items([each for each in value if isinstance(each, Mapping)], depth + 1)


def _outlined_items(items: Sequence[Row], depth: int) -> Iterator[str]:
    """A table where each part is plain, else an outline of each behind a dash."""
    indent = "  " * depth
    if any(has_parts(value) for item in items for value in item.values()):
        for item in items:
            yield f"{indent}-"
            yield from _outline(item, depth + 1)
        return
    names = columns_of(items, ())
    yield indent + "\t".join(names)
    yield from (indent + "\t".join(cell(item.get(name)) for name in names) for item in items)


def has_parts(value: object) -> TypeGuard[Mapping[str, object] | Sequence[object]]:
    """Whether a value has named parts of its own: a table shows them as such."""
    if isinstance(value, Mapping):
        return bool(value)
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(each, Mapping) for each in value)
