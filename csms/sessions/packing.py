"""Readings as they are stored: figures alone, beside a layout that says once what they are of. Pure, but for what is
remembered; a layout is known by its content, so what is remembered holds in any database.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import orjson
from asyncpg import Record

from csms.protocol.vocabulary import Reading, Sample
from csms.sessions.facts import StoredReading
from csms.sessions.records import sample_from_row, samples_to_json
from csms.sessions.samples import DECISIVE

REMEMBERED_MAX = 1_000
SAMPLES_MAX = 60
"""Of more samples than any meter has at one instant nothing is shared."""
ID_LENGTH = 16
_UNSIGNED = 6
"""Values of a stored sample without signed data."""

_new = tuple.__new__
"""Half the cost of a named tuple is its own `__new__`, and of these there is one for each value that a fold looks at."""

Said = tuple[Any, ...]
"""Measurand, unit, context, phase, location."""


class Layout(NamedTuple):
    """`decisive`: places of the samples that a fold looks at, with all that they say after their values."""

    id: bytes
    said: tuple[Said, ...]
    decisive: tuple[tuple[int, Said], ...]

    def to_json(self) -> str:
        return _json(self.said).decode()


class Packed(NamedTuple):
    """A reading's samples in one of two forms: `layout` and `figures`, or `samples` as JSON text."""

    layout: Layout | None
    figures: str | None
    samples: str | None


_by_said: dict[tuple[Said, ...], Layout] = {}
_by_id: dict[bytes, Layout] = {}


def pack(samples: Sequence[Sample]) -> Packed:
    """Signed data and values that are no numbers stay as they are: they have no figures."""
    said = tuple([sample[1:6] for sample in samples])
    layout = _by_said.get(said)
    if layout is None and len(said) <= SAMPLES_MAX:
        _bound(_by_said)
        layout = _by_said[said] = _layout(said)
    if layout is None or any(sample.value is None or sample.signed is not None for sample in samples):
        return Packed(None, None, samples_to_json(samples))
    return Packed(layout, " ".join([str(sample.value) for sample in samples]), None)


def remembered(ids: Collection[bytes]) -> dict[bytes, Layout]:
    """Those of these layouts that are; the others have to be `learn`ed from where they are stored."""
    return {each: _by_id[each] for each in ids if each in _by_id}


def learn(samples: Any) -> Layout:
    """A layout as it is stored."""
    layout = _layout(tuple(tuple(said) for said in samples))
    _bound(_by_id)
    _by_id[layout.id] = layout
    return layout


def unpack(layout: Layout, figures: str) -> tuple[Sample, ...]:
    """Those samples alone that a fold looks at."""
    values = figures.split(" ")
    return tuple([_new(Sample, (Decimal(values[n]), *rest)) for n, rest in layout.decisive])


def reading_from_row(row: Record, layouts: Mapping[bytes, Layout]) -> StoredReading:
    """The reading with those samples alone that a fold looks at: it meets every reading of a session again and again.

    Signed data counts whatever it is said to measure.
    """
    if row["layout"] is None:
        told = row["samples"]
        samples = tuple([sample_from_row(each) for each in told if each[1] in DECISIVE or len(each) > _UNSIGNED])
    else:
        samples = unpack(layouts[row["layout"]], row["figures"])
    reading = _new(Reading, (row["at"], samples, row["key"], tuple(row["quirks"])))
    return _new(StoredReading, (reading, row["carried_by"], row["received_at"], row["transaction"]))


def _layout(said: tuple[Said, ...]) -> Layout:
    decisive = tuple((n, (*rest, None)) for n, rest in enumerate(said) if rest[0] in DECISIVE)
    return Layout(hashlib.sha256(_json(said)).digest()[:ID_LENGTH], said, decisive)


def _json(said: Sequence[Said]) -> bytes:
    return orjson.dumps([[None if word is None else str(word) for word in each] for each in said])


def _bound(known: dict[Any, Layout]) -> None:
    if len(known) >= REMEMBERED_MAX:
        known.clear()
