"""JSON in and out with decimal numbers, and a reader that collects mistakes. Knows no tariff; refuses binary floats."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, TypeVar

from billing.tariffs.problem import Problem

Choice = TypeVar("Choice", bound=StrEnum)

NUMBER_MAX: Final = Decimal(1_000_000_000)
NUMBER_PLACES: Final = 6
"""Numbers stay below a thousand million and have at most six decimals, as they are stored (NUMERIC(18,6) and room)."""
_NUMBER_LENGTH_MAX: Final = 40
_DEPTH_MAX: Final = 20
_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?\Z")
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]\Z")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")


def load_json(text: str | bytes) -> Any:
    """Parse JSON with every number that has a fraction or an exponent as Decimal. NaN and Infinity are refused."""
    return json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON; write a number")


def dump_json(value: Any) -> str:
    """Write JSON compactly, in the given key order; a Decimal becomes a JSON number with exactly its digits."""
    match value:
        case Decimal():
            return format(value, "f")
        case Mapping():
            return "{" + ",".join(f"{json.dumps(str(k))}:{dump_json(v)}" for k, v in value.items()) + "}"
        case list() | tuple():
            return "[" + ",".join(dump_json(item) for item in value) + "]"
        case None | bool() | int() | str():
            return json.dumps(value)
    raise TypeError(f"{type(value).__name__} has no place in this JSON; write Decimal, int, str, bool, list or dict")


def as_decimal(value: object) -> Decimal | None:
    """The number that a JSON value stands for, or None where it stands for none (a float by its shortest digits)."""
    if isinstance(value, bool) or not isinstance(value, (int, str, Decimal)):
        # Only a parser outside our edge hands us a float; its repr is the shortest decimal that means the same.
        return as_decimal(repr(value)) if type(value).__name__ == "float" else None
    text = str(value) if isinstance(value, Decimal) or _fits(value) else ""
    if len(text) > _NUMBER_LENGTH_MAX or not _NUMBER.match(text):
        return None
    return Decimal(text)


def _fits(value: int | str) -> bool:
    """Whether an integer is short enough to be written out at all; text is measured by the caller."""
    return isinstance(value, str) or abs(value) < NUMBER_MAX * NUMBER_MAX


def unsafe_text(value: Any, depth: int = 0) -> str | None:
    """Why a JSON value cannot be stored: NUL, a lone surrogate, too deep, no number. None where it can."""
    if depth > _DEPTH_MAX:
        return f"is nested deeper than {_DEPTH_MAX} levels"
    parts: list[Any] = []
    match value:
        case str():
            if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
                return "holds a character that cannot be stored (U+0000 or a lone surrogate)"
        case Mapping():
            parts = [part for pair in value.items() for part in pair]
        case list():
            parts = value
        case None | bool():
            pass
        case _:
            return "holds a number that cannot be stored" if as_decimal(value) is None else None
    return next(filter(None, (unsafe_text(part, depth + 1) for part in parts)), None)


def with_decimals(value: Any) -> Any:
    """The same JSON with every fractional number as Decimal, whoever parsed it."""
    match value:
        case Mapping():
            return {key: with_decimals(item) for key, item in value.items()}
        case list():
            return [with_decimals(item) for item in value]
        case None | bool() | int() | str():
            return value
    return as_decimal(value)


@dataclass(frozen=True, slots=True)
class ObjectReader:
    """One JSON object of a document: typed fields out, problems into the shared list. JSON null means absent."""

    value: Mapping[str, Any]
    path: str
    problems: list[Problem]

    def blame(self, key: str, message: str, next_step: str) -> None:
        """Report a problem at a field of this object."""
        path = f"{self.path}.{key}" if key else self.path
        self.problems.append(Problem(path=path, message=message, next_step=next_step))

    def refuse_unknown(self, known: frozenset[str], why: str) -> None:
        """Report each field that is not known here, where ignoring it could change a price."""
        for key in self.value:
            if key not in known:
                self.blame(str(key), f"unknown field; {why}", "remove it or spell it as OCPI does")

    def required(self, key: str) -> Any:
        """The raw value, or None with a problem where the field is absent."""
        value = self.value.get(key)
        if value is None:
            self.blame(key, "is missing", f"add {key}")
        return value

    def text(self, key: str, *, length_max: int) -> str | None:
        """A required text of 1 to `length_max` printable characters."""
        value = self.required(key)
        if value is None:
            return None
        if isinstance(value, str) and 1 <= len(value) <= length_max and value.isprintable():
            return value
        self.blame(key, f"must be 1 to {length_max} printable characters", "shorten or quote it")
        return None

    def number(self, key: str, *, required: bool = False, sign_note: str = "must not be below zero") -> Decimal | None:
        """A number from zero up, with at most six decimals."""
        raw = self.required(key) if required else self.value.get(key)
        if raw is None:
            return None
        number = as_decimal(raw)
        if number is None:
            self.blame(key, f"is not a number: {str(raw)[:40]!r}", "write a plain number such as 0.39")
            return None
        exponent = number.as_tuple().exponent
        if number < 0:
            self.blame(key, sign_note, "write zero or more")
        elif number >= NUMBER_MAX or (isinstance(exponent, int) and exponent < -NUMBER_PLACES):
            self.blame(key, "must be below 1000000000 and have at most 6 decimals", "round it")
        else:
            return abs(number)
        return None

    def integer(self, key: str, *, required: bool = False) -> int | None:
        """A whole number from zero up."""
        number = self.number(key, required=required)
        if number is None:
            return None
        if number == int(number):
            return int(number)
        self.blame(key, "must be a whole number", "round it")
        return None

    def choice(self, key: str, choices: type[Choice]) -> Choice | None:
        """One word of a fixed list."""
        raw = self.value.get(key)
        if raw is None:
            return None
        for word in choices:
            if raw == word.value:
                return word
        self.blame(key, f"{str(raw)[:40]!r} is not known", "write one of " + ", ".join(word.value for word in choices))
        return None

    def clock(self, key: str) -> time | None:
        """A wall-clock time `HH:MM`; the end of a day is 00:00."""
        raw = self.value.get(key)
        if raw is None:
            return None
        if isinstance(raw, str) and _CLOCK.match(raw):
            return time(int(raw[:2]), int(raw[3:]))
        self.blame(key, f"{str(raw)[:40]!r} is not a time of day", "write HH:MM from 00:00 to 23:59")
        return None

    def day(self, key: str) -> date | None:
        """A calendar day `YYYY-MM-DD`."""
        raw = self.value.get(key)
        if raw is None:
            return None
        try:
            if isinstance(raw, str) and _DATE.match(raw):
                return date.fromisoformat(raw)
        except ValueError:
            pass  # a thirteenth month is reported like any other mistake
        self.blame(key, f"{str(raw)[:40]!r} is not a calendar day", "write YYYY-MM-DD")
        return None

    def instant(self, key: str, *, required: bool = False) -> datetime | None:
        """An RFC 3339 time; without an offset it is UTC, as OCPI's DateTime says."""
        raw = self.required(key) if required else self.value.get(key)
        if raw is None:
            return None
        try:
            moment = datetime.fromisoformat(raw) if isinstance(raw, str) and "T" in raw else None
            moment = moment and (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            moment = None
        if moment is None:
            self.blame(key, f"{str(raw)[:40]!r} is not a time", "write RFC 3339 in UTC such as 2026-03-01T08:00:00Z")
        return moment

    def child(self, key: str) -> ObjectReader | None:
        """A nested object, or None where it is absent or no object."""
        raw = self.value.get(key)
        if raw is None:
            return None
        if isinstance(raw, Mapping):
            return ObjectReader(raw, f"{self.path}.{key}", self.problems)
        self.blame(key, "must be a JSON object", "write { ... }")
        return None

    def children(self, key: str, *, count_max: int) -> Iterator[ObjectReader]:
        """The objects of a required list of 1 to `count_max` objects."""
        raw = self.required(key)
        if raw is None:
            return
        if not isinstance(raw, list) or not 1 <= len(raw) <= count_max:
            self.blame(key, f"must be a list of 1 to {count_max} objects", "add at least one, split what is longer")
            return
        for index, item in enumerate(raw):
            if isinstance(item, Mapping):
                yield ObjectReader(item, f"{self.path}.{key}[{index}]", self.problems)
            else:
                self.blame(f"{key}[{index}]", "must be a JSON object", "write { ... }")
