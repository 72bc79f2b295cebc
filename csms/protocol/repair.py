"""Lenient in: reads one JSON object field by field, repairs what is clear, and names every repair as a quirk.

Never raises and never changes the payload. What cannot be read is None; whether that matters is the caller's decision.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from csms.protocol.quirks import Quirk
from csms.protocol.times import Stamp, parse_time, stamp

IDENTIFIER_LENGTH_MAX = 255  # tokens and transaction ids beyond the schema's length keep their identity up to here
TEXT_LENGTH_MAX = 500
DATA_LENGTH_MAX = 100_000  # vendor data, as JSON text
SIGNED_LENGTH_MAX = 65_536
INTEGER_MAX = 2**31 - 1  # OCPP integers are 32 bits wide, and so are our columns
UNREADABLE = "?"  # stands for a word that was sent but is no text
QUANTITY_DIGITS_MAX = 15  # before the point: above any meter; keeps every quantity within numeric columns

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # Postgres refuses U+0000, UTF-8 has no half surrogate pairs
_INTEGER = re.compile(r"[+-]?\d{1,40}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,3})?", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?\d{1,40},(?:\d{1,2}|\d{4,40})", re.ASCII)  # 1,234 may be a thousand: not clear
_INTEGER_BITS_MAX = 128
_DATA_BITS_MAX = 63  # what JSON writers take
_DATA_DEPTH_MAX = 32


def clean_text(text: str, limit: int, quirks: set[str]) -> str:
    """`text` without padding, storable, and at most `limit` characters."""
    stripped = text.strip()
    if len(stripped) != len(text):
        quirks.add(Quirk.PADDED_VALUE)
    return storable_text(stripped, limit, quirks)


def storable_text(text: str, limit: int, quirks: set[str]) -> str:
    """`text` byte for byte, save what no database or wire can hold, and at most `limit` characters."""
    if _UNSTORABLE.search(text):
        quirks.add(Quirk.TEXT_UNSTORABLE)
        text = _UNSTORABLE.sub("\ufffd", text)
    if len(text) > limit:
        quirks.add(Quirk.TEXT_TOO_LONG)
        text = text[:limit]
    return text


def clean_data(data: object, depth: int = 0) -> object:
    """Vendor data of any shape, storable as JSON. Beyond 32 levels it is cut, numbers that JSON lacks are null."""
    if isinstance(data, str):
        return storable_text(data, DATA_LENGTH_MAX, set())
    if isinstance(data, dict | list) and depth >= _DATA_DEPTH_MAX:
        return None
    if isinstance(data, dict):
        return {_UNSTORABLE.sub("\ufffd", str(name)): clean_data(value, depth + 1) for name, value in data.items()}
    if isinstance(data, list):
        return [clean_data(item, depth + 1) for item in data]
    is_sound = isinstance(data, bool | None) or (isinstance(data, int | float) and _is_sound(data))
    return data if is_sound else None


def _is_sound(number: float) -> bool:
    return math.isfinite(number) if isinstance(number, float) else number.bit_length() <= _DATA_BITS_MAX


def parse_decimal(value: object, quirks: set[str]) -> Decimal | None:
    """A JSON number or a text that is one, exactly as written; None (and why) if it is none or absurd."""
    if isinstance(value, str):
        text = value.strip()
        if len(text) != len(value):
            quirks.add(Quirk.PADDED_VALUE)
    elif isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        quirks.add(Quirk.VALUE_UNREADABLE)
        return None
    elif isinstance(value, int) and value.bit_length() > _INTEGER_BITS_MAX:
        quirks.add(Quirk.VALUE_OUT_OF_RANGE)
        return None
    else:
        text = str(value)  # the shortest text that means this float: what the charge point wrote
    if "," in text and _DECIMAL_COMMA.fullmatch(text):
        quirks.add(Quirk.DECIMAL_COMMA)
        text = text.replace(",", ".")
    if not _DECIMAL.fullmatch(text):
        quirks.add(Quirk.VALUE_UNREADABLE)
        return None
    number = Decimal(text)
    if not number:
        return Decimal(0)
    if number.adjusted() >= QUANTITY_DIGITS_MAX:
        quirks.add(Quirk.VALUE_OUT_OF_RANGE)
        return None
    return number


class Fields:
    """The fields of one JSON object; anything else reads as an object without fields."""

    __slots__ = ("payload", "quirks")

    def __init__(self, payload: object, quirks: set[str]) -> None:
        if not isinstance(payload, dict):
            quirks.add(Quirk.WRONG_TYPE)
            payload = {}
        self.payload: dict[str, object] = payload
        self.quirks = quirks

    def raw(self, name: str) -> object:
        """The value as sent; null counts as absent."""
        value = self.payload.get(name)
        if value is None and name in self.payload:
            self.quirks.add(Quirk.NULL_PROPERTY)
        return value

    def text(self, name: str, limit: int = TEXT_LENGTH_MAX) -> str | None:
        value = self.raw(name)
        if isinstance(value, str):
            return clean_text(value, limit, self.quirks)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.quirks.add(Quirk.WRONG_TYPE)
            return None
        if isinstance(value, int) and value.bit_length() > _INTEGER_BITS_MAX:
            self.quirks.add(Quirk.INTEGER_OUT_OF_RANGE)
            return None
        self.quirks.add(Quirk.TEXT_AS_NUMBER)
        return str(value)[:limit]

    def description(self, name: str, limit: int = TEXT_LENGTH_MAX) -> str | None:
        """A text that only describes: empty, or 'null' as a word, is none at all."""
        text = self.text(name, limit)
        if text is not None and text.casefold() == "null":
            self.quirks.add(Quirk.NULL_AS_TEXT)
            return None
        return text or None

    def identifier(self, name: str) -> str | None:
        """A token or id: kept far beyond the schema's length, since a cut id would be another one."""
        return self.text(name, IDENTIFIER_LENGTH_MAX) or None

    def word(self, name: str, words: frozenset[str], limit: int = 50) -> str | None:
        """One of `words` where it can be recognised, else the text as sent (`unknown_enum`)."""
        value = self.payload.get(name)
        if value is None:
            return None
        if isinstance(value, str) and value in words:
            return value
        text = self.text(name, limit)
        if not text:
            return None
        folded = text.casefold()
        for word in words:
            if word.casefold() == folded:
                self.quirks.add(Quirk.WORD_CASE)
                return word
        self.quirks.add(Quirk.UNKNOWN_ENUM)
        return text

    def word_or(self, name: str, words: frozenset[str], default: str) -> str:
        """As `word`, with the standard's default where nothing was sent; an unreadable value is not nothing."""
        value = self.payload.get(name)
        if isinstance(value, str) and value in words:
            return value
        if value is None or value == "":
            return default
        return self.word(name, words) or UNREADABLE

    def integer(self, name: str) -> int | None:
        value = self.raw(name)
        if value is None:
            return None
        number = _whole_number(value, self.quirks)
        if number is not None and not -INTEGER_MAX - 1 <= number <= INTEGER_MAX:
            self.quirks.add(Quirk.INTEGER_OUT_OF_RANGE)
            return None
        return number

    def place(self, name: str) -> int | None:
        """The number of an EVSE or connector: 0 (the charge point as a whole) or more."""
        number = self.integer(name)
        if number is not None and number < 0:
            self.quirks.add(Quirk.VALUE_RANGE)
            return None
        return number

    def integer_id(self, name: str) -> tuple[str | None, bool]:
        """An integer id as text, and whether it is one: `"oops"` is kept as evidence but is no id."""
        value = self.raw(name)
        if value is None:
            return None, False
        number = _whole_number(value, set())
        if number is None:
            return self.identifier(name), False
        _whole_number(value, self.quirks)
        return str(number), True

    def register(self, name: str) -> Decimal | None:
        """A meterStart or meterStop in Wh: an integer by the schema, with decimals in the field."""
        value = self.raw(name)
        if value is None:
            return None
        if isinstance(value, str):
            self.quirks.add(Quirk.NUMBER_AS_TEXT)
        number = parse_decimal(value, self.quirks)
        if number is not None and (isinstance(value, float) or number != number.to_integral_value()):
            self.quirks.add(Quirk.DECIMAL_REGISTER)
        return number

    def boolean(self, name: str) -> bool | None:
        value = self.raw(name)
        if value is None or isinstance(value, bool):
            return value
        self.quirks.add(Quirk.WRONG_TYPE)
        truths = {"true": True, "1": True, "false": False, "0": False}
        return truths.get(str(value).strip().casefold()) if isinstance(value, str | float) or value in (0, 1) else None

    def child(self, name: str) -> Fields | None:
        value = self.raw(name)
        return None if value is None else Fields(value, self.quirks)

    def items(self, name: str) -> list[object]:
        """The list under `name`; a lone object counts as a list of one."""
        value = self.raw(name)
        if isinstance(value, list):
            return value
        if isinstance(value, dict):
            self.quirks.add(Quirk.SINGLE_ITEM)
            return [value]
        if value is not None:
            self.quirks.add(Quirk.WRONG_TYPE)
        return []


def _whole_number(value: object, quirks: set[str]) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        if value.bit_length() <= _INTEGER_BITS_MAX:
            return value
        quirks.add(Quirk.INTEGER_OUT_OF_RANGE)
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < 10.0**QUANTITY_DIGITS_MAX:
        quirks.add(Quirk.DECIMAL_INTEGER)
        return int(value)
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        quirks.add(Quirk.NUMBER_AS_TEXT)
        return int(value)
    quirks.add(Quirk.WRONG_TYPE)
    return None


@dataclass(slots=True, kw_only=True)
class Message:
    """One call on its way to a fact: its fields, and what the reader must know about its sender."""

    fields: Fields
    quirks: set[str]
    zone: str | None
    received_at: datetime

    def stamp(self, value: object, *, fallback: datetime | None = None) -> Stamp:
        return stamp(value, self.quirks, fallback=fallback or self.received_at, zone=self.zone)

    def time(self, name: str) -> datetime | None:
        """An optional time that only describes."""
        value = self.fields.raw(name)
        return None if value is None else parse_time(value, self.quirks, zone=self.zone)

    def noted(self) -> tuple[str, ...]:
        """The quirks so far, in a stable order."""
        return tuple(sorted(str(quirk) for quirk in self.quirks)) if self.quirks else ()
