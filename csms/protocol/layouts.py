"""Charge points say the same of their values, message by message: what a reading looks like is worked out once.

A reading whose layout is known and whose values are plain numbers gives what reading it word by word gives, in a third of
the time. Pure, but for what is remembered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import orjson

from csms.protocol import keys
from csms.protocol.repair import Fields, parse_decimal
from csms.protocol.samples import scaled
from csms.protocol.vocabulary import Sample

SHAPES_MAX = 2_000
LAYOUTS_MAX = 500
_SHAPE_LENGTH_MAX = 500
_LAYOUT_LENGTH_MAX = 8_000

# What parse_decimal takes as it stands, small and coarse enough to need no look at its size or its last digit.
_PLAIN = r"(?:0|[1-9]\d{0,11})(?:\.\d{1,6})?"
_ALL_PLAIN = re.compile(rf"{_PLAIN}(?: {_PLAIN})*", re.ASCII)
_NUMBERS = (int, float)
_ZERO = Decimal(0)
_sample = Sample._make

SampleReader = Callable[[Fields], Sample | None]


class _Shape(NamedTuple):
    """A sample but for its value, which is to be multiplied by ten to the power of `power`. `said`: from measurand on."""

    power: int
    unit: str
    said: tuple[Any, ...]
    key_tail: str


class Known(NamedTuple):
    """`key_parts`: what the reading's content key has of each sample."""

    samples: tuple[Sample, ...]
    key_parts: list[str]


class Layouts:
    """What one kind of sample reader has met."""

    def __init__(self, read_sample: SampleReader) -> None:
        self.read_sample = read_sample
        self._shapes: dict[tuple[type, bytes], _Shape | None] = {}  # None: has to be read each time
        self._layouts: dict[tuple[type, bytes], tuple[_Shape, ...] | None] = {}

    def __len__(self) -> int:
        return max(len(self._shapes), len(self._layouts))

    def reading(self, items: Sequence[object]) -> Known | None:
        """All samples of a reading; None where they are to be read one by one."""
        values: list[Any] = []
        said: list[dict[str, Any]] = []
        for item in items:
            if type(item) is not dict:
                return None
            rest = item.copy()
            values.append(rest.pop("value", None))
            said.append(rest)
        kind = _kind(values)
        texts = values if kind is str else [str(value) for value in values]
        if kind is None or _ALL_PLAIN.fullmatch(" ".join(texts)) is None:
            return None
        layout = self._layout(kind, said)
        return None if layout is None else _filled(layout, texts)

    def sample(self, item: object) -> Sample | None:
        """As the reader, where that has read such a sample before and found nothing odd in it; else None."""
        if type(item) is not dict:
            return None
        said: dict[str, Any] = item.copy()
        value = said.pop("value", None)
        shape = self._shape(type(value), said)
        if shape is None:
            return None
        odd: set[str] = set()
        number = parse_decimal(value, odd)
        if number is not None:
            number = scaled(number, shape.power, shape.unit, odd)
        return None if odd or number is None else Sample(number, *shape.said)

    def _layout(self, kind: type, said: Sequence[dict[str, Any]]) -> tuple[_Shape, ...] | None:
        try:
            key = (kind, orjson.dumps(said))
        except TypeError:  # what JSON cannot say again
            return None
        layout = self._layouts.get(key)
        if layout is None and key not in self._layouts:
            layout = self._learn_layout(kind, said)
            if len(self._layouts) >= LAYOUTS_MAX:
                self._layouts.clear()
            if len(key[1]) <= _LAYOUT_LENGTH_MAX:
                self._layouts[key] = layout
        return layout

    def _learn_layout(self, kind: type, said: Sequence[dict[str, Any]]) -> tuple[_Shape, ...] | None:
        types = (str,) if kind is str else _NUMBERS
        ways = {tuple(self._shape(each, item) for item in said) for each in types}
        shapes = [shape for shape in ways.pop() if shape is not None]
        is_known = not ways and len(shapes) == len(said)  # an integer and a float of it mean the same
        return tuple(shapes) if is_known else None

    def _shape(self, kind: type, said: dict[str, Any]) -> _Shape | None:
        try:
            key = (kind, orjson.dumps(said))
        except TypeError:
            return None
        if key not in self._shapes and len(key[1]) <= _SHAPE_LENGTH_MAX:
            if len(self._shapes) >= SHAPES_MAX:
                self._shapes.clear()
            self._shapes[key] = self._learn(kind, said)
        return self._shapes.get(key)

    def _learn(self, kind: type, said: dict[str, Any]) -> _Shape | None:
        """The shape of a sample, by reading it with the value one: what becomes of that is its power of ten."""
        if kind not in (str, *_NUMBERS):
            return None
        odd: set[str] = set()
        one = self.read_sample(Fields({**said, "value": kind(1)}, odd))
        # A value that vanishes in the rounding says nothing of its power.
        if one is None or not one.value or one.signed is not None or odd:
            return None
        return _Shape(one.value.adjusted(), one.unit, one[1:], keys.sample_tail(one))


def _kind(values: Sequence[object]) -> type | None:
    """Text, numbers, or neither of them alone."""
    types = set(map(type, values))
    if types == {str}:
        return str
    return float if types and types <= set(_NUMBERS) else None


def _filled(layout: tuple[_Shape, ...], texts: Sequence[str]) -> Known | None:
    samples: list[Sample] = []
    parts: list[str] = []
    odd: set[str] = set()
    for (power, unit, said, tail), text in zip(layout, texts, strict=True):
        value = Decimal(text) or _ZERO
        if power or unit == "Wh":
            in_base_unit = scaled(value, power, unit, odd)
            if in_base_unit is None:
                return None
            value, number = in_base_unit, keys.number(in_base_unit)
        else:
            number = text.rstrip("0").rstrip(".") if "." in text else text
        samples.append(_sample((value, *said)))
        parts.append(number + tail)
    return Known(tuple(samples), parts)
