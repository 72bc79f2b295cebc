"""OCPP 2.0.1 SampledValueType read into a sample."""

from __future__ import annotations

import orjson

from csms.protocol.layouts import Layouts
from csms.protocol.quirks import Quirk
from csms.protocol.readings import unit_text
from csms.protocol.repair import SIGNED_LENGTH_MAX, Fields, parse_decimal, storable_text
from csms.protocol.samples import CONTEXTS, LOCATIONS, PHASES, in_base_unit
from csms.protocol.v201.words import MEASURANDS
from csms.protocol.vocabulary import Measurand, Sample

_SIGNED_FIELDS = ("signedMeterData", "signingMethod", "encodingMethod", "publicKey")


def read_sample(fields: Fields) -> Sample | None:
    quirks = fields.quirks
    raw, signed = fields.raw("value"), _signed_data(fields)
    if isinstance(raw, str):
        quirks.add(Quirk.NUMBER_AS_TEXT)
        raw = raw.strip() or None
    if raw is None and signed is None:
        return None
    measurand = fields.word_or("measurand", MEASURANDS, Measurand.ENERGY_IMPORT_REGISTER.value)
    unit, multiplier = _unit(fields)
    value = None if raw is None or multiplier is None else parse_decimal(raw, quirks)
    value, base = in_base_unit(value, unit, measurand, quirks, multiplier=multiplier or 0)
    return Sample(
        value=value,
        measurand=measurand,
        unit=base,
        context=fields.word_or("context", CONTEXTS, "Sample.Periodic"),
        phase=fields.word("phase", PHASES),
        location=fields.word_or("location", LOCATIONS, "Outlet"),
        signed=signed,
    )


def _unit(fields: Fields) -> tuple[str | None, int | None]:
    """UnitOfMeasureType: unit and power of ten (None: unreadable). A bare `unit`, as 1.6 has it, is taken too."""
    raw = fields.raw("unitOfMeasure")
    if raw is None:
        return unit_text(fields, "unit"), 0
    if isinstance(raw, str):
        return unit_text(fields, "unitOfMeasure"), 0
    unit = Fields(raw, fields.quirks)
    multiplier = 0 if unit.raw("multiplier") is None else unit.integer("multiplier")
    return unit_text(unit, "unit"), multiplier


def _signed_data(fields: Fields) -> str | None:
    """SignedMeterValueType as compact JSON: the data byte for byte, with all that is needed to verify it.

    It is the form in which OCA's white paper on signed meter values carries the same in 1.6.
    """
    signed = fields.child("signedMeterValue")
    if signed is None:
        return None
    sent = {name: signed.payload.get(name) for name in _SIGNED_FIELDS}
    texts = {
        name: storable_text(value, SIGNED_LENGTH_MAX, fields.quirks)
        for name, value in sent.items()
        if isinstance(value, str)
    }
    if "signedMeterData" not in texts:
        fields.quirks.add(Quirk.MISSING_FIELD)
        return None
    return orjson.dumps(texts).decode()


LAYOUTS = Layouts(read_sample)
