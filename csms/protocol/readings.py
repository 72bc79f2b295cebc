"""Meter values of either version read into readings; what one sample looks like is the version's business."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from csms.protocol import keys
from csms.protocol.layouts import Layouts
from csms.protocol.quirks import Quirk
from csms.protocol.repair import UNREADABLE, Fields, Message
from csms.protocol.samples import UNITS
from csms.protocol.vocabulary import Reading, Sample

_UNIT_LENGTH_MAX = 50


def read_readings(message: Message, name: str, layouts: Layouts, *, fallback: datetime) -> tuple[Reading, ...]:
    """The `meterValue` elements under `name`, in the order sent.

    Elements and samples that say nothing are left out, and noted. `fallback` stands in for an unreadable timestamp.
    """
    readings = (_reading(message, element, layouts, fallback) for element in message.fields.items(name))
    return tuple(reading for reading in readings if reading is not None)


def unit_text(fields: Fields, name: str) -> str | None:
    """The unit as sent, None where none was; an unreadable one is not none."""
    unit = fields.payload.get(name)
    if isinstance(unit, str) and unit in UNITS:
        return unit
    return None if fields.raw(name) is None else fields.text(name, _UNIT_LENGTH_MAX) or UNREADABLE


def _reading(message: Message, element: object, layouts: Layouts, fallback: datetime) -> Reading | None:
    quirks: set[str] = set()
    inner = Message(fields=Fields(element, quirks), quirks=quirks, zone=message.zone, received_at=message.received_at)
    stamp = inner.stamp(inner.fields.raw("timestamp"), fallback=fallback)
    items = inner.fields.items("sampledValue")
    known = layouts.reading(items)
    samples = tuple(_samples(items, layouts, quirks)) if known is None else known.samples
    if not samples:
        quirks.add(Quirk.EMPTY_SAMPLES)
    message.quirks |= quirks
    if not samples:
        return None
    key = keys.reading_key(stamp.key, map(keys.sample, samples) if known is None else known.key_parts)
    return Reading(at=stamp.at, samples=samples, key=key, quirks=inner.noted())


def _samples(items: Iterable[object], layouts: Layouts, quirks: set[str]) -> Iterable[Sample]:
    for item in items:
        sample = layouts.sample(item) or layouts.read_sample(Fields(item, quirks))
        if sample is None:
            quirks.add(Quirk.SAMPLE_DROPPED)
        else:
            yield sample
