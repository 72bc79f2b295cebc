"""A sample whose like was read before gives what it gave the first time: same figure, same words, same oddities."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.protocol.keys import reading_key
from csms.protocol.keys import sample as sample_of_key
from csms.protocol.layouts import LAYOUTS_MAX, SHAPES_MAX, Layouts
from csms.protocol.quirks import Quirk
from csms.protocol.readings import read_readings
from csms.protocol.repair import Fields, Message
from csms.protocol.v16.facts import _sample as read_16
from csms.protocol.v201.readings import read_sample as read_201
from csms.protocol.vocabulary import Reading, Sample
from tests.examples import tried
from tests.world import LONG_AGO

Reader = Callable[[Fields], Sample | None]


def _read(samples: list[Any], layouts: Layouts) -> tuple[tuple[Reading, ...], set[str]]:
    quirks: set[str] = set()
    payload = {"meterValue": [{"timestamp": "2026-03-01T20:30:00Z", "sampledValue": samples}]}
    message = Message(fields=Fields(payload, quirks), quirks=quirks, zone=None, received_at=LONG_AGO)
    return read_readings(message, "meterValue", layouts, fallback=LONG_AGO), quirks


_VALUES = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**17).map(str),
    st.sampled_from(["", " 7", "1,5", "OCMF|{}|{}", "NaN", "1e5", "0", "-0.0", "0x1F", "9" * 30, "1.23456789"]),
    st.integers(-5, 10**18),
    st.floats(),
    st.none(),
    st.booleans(),
    st.lists(st.integers(), max_size=1),
)
_WORDS = st.sampled_from(
    ["Energy.Active.Import.Register", "Power.Active.Import", "Current.Import", "Voltage", "SoC", "soc", "", None, 3]
)
_UNITS = st.sampled_from(["Wh", "kWh", "MWh", "W", "kW", "mA", "A", "V", "Percent", "Hz", "what", "", None, 7])
_SAID: dict[str, st.SearchStrategy[Any]] = {
    "measurand": _WORDS,
    "unit": _UNITS,
    "context": st.sampled_from(["Sample.Periodic", "Transaction.Begin", "sample.clock", "Nothing", None]),
    "phase": st.sampled_from(["L1", "L1-N", "l2", "X", None]),
    "location": st.sampled_from(["Outlet", "Inlet", "", "Roof"]),
    "format": st.sampled_from(["Raw", "SignedData", "raw"]),
    "unitOfMeasure": st.one_of(
        st.sampled_from(["kWh", 5, None]),
        st.fixed_dictionaries(
            {}, optional={"unit": _UNITS, "multiplier": st.sampled_from([0, 3, -3, -7, 16, "1", None])}
        ),
    ),
    "signedMeterValue": st.just({"signedMeterData": "AA==", "encodingMethod": "OCMF"}),
    "half": st.just("\ud83d"),
    "huge": st.just(10**30),
}
_SAMPLES = st.fixed_dictionaries({}, optional={"value": _VALUES, **_SAID})


_READERS = pytest.mark.parametrize("read", [read_16, read_201], ids=["1.6", "2.0.1"])


@_READERS
@tried(400)
@given(said=_SAMPLES, values=st.lists(_VALUES, min_size=1, max_size=4))
def test_what_is_known_of_a_sample_changes_nothing_of_what_is_read(
    read: Reader, said: dict[str, Any], values: list[Any]
) -> None:
    layouts = Layouts(read)
    for value in values:
        item = {**said, "value": value}
        known = _read([item], layouts)
        odd: set[str] = set()
        alone = read(Fields(item, odd))

        assert known[0][0].samples == (alone,) if alone is not None else known[0] == ()
        assert known[1] - {Quirk.EMPTY_SAMPLES, Quirk.SAMPLE_DROPPED} == odd


_PLAIN_VALUES = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=0, max_value=10**13, places=3).map(str),
    st.sampled_from(["0", "0.0", "007", "1.50", "-0", "-3.2", "1.1234567", "0.0004", "999999999999.999999"]),
    st.integers(0, 10**13),
    st.floats(0, 10**13),
    _VALUES,
)


@_READERS
@tried(400)
@given(data=st.data(), saids=st.lists(_SAMPLES, min_size=1, max_size=3))
def test_what_is_known_of_a_whole_reading_changes_neither_its_samples_nor_its_key(
    read: Reader, data: st.DataObject, saids: list[dict[str, Any]]
) -> None:
    layouts = Layouts(read)
    for _ in range(3):
        items = [{**said, "value": data.draw(_PLAIN_VALUES)} for said in saids]
        odd: set[str] = set()
        alone = tuple(sample for item in items if (sample := read(Fields(item, odd))) is not None)
        found, quirks = _read(items, layouts)

        assert quirks - {Quirk.EMPTY_SAMPLES, Quirk.SAMPLE_DROPPED} == odd
        if not alone:
            assert found == ()
            continue
        [reading] = found
        assert [(each, str(each.value)) for each in reading.samples] == [(each, str(each.value)) for each in alone]
        assert reading.key == reading_key("2026-03-01T20:30:00+00:00", map(sample_of_key, alone))


def test_the_second_reading_of_a_kind_is_not_read_word_by_word() -> None:
    words: list[str] = []

    def read(fields: Fields) -> Sample | None:
        words.append(str(fields.payload["value"]))
        return read_16(fields)

    layouts = Layouts(read)
    said = {"measurand": "Energy.Active.Import.Register", "unit": "kWh"}
    for values in (("1.5", "2.25"), ("1.75", "3.5")):
        [reading], _ = _read([{**said, "value": value} for value in values], layouts)
        assert [each.value for each in reading.samples] == [1000 * Decimal(value) for value in values]
    [reading], _ = _read([{**said, "value": "1.5"}, {**said, "value": "3,1"}], layouts)

    assert [each.value for each in reading.samples] == [Decimal(1500), Decimal(3100)]
    assert words == ["1", "3,1"]  # once for what one is, and where something is odd


@pytest.mark.parametrize("length", [1, 3])
def test_what_is_remembered_is_bounded(length: int) -> None:
    layouts = Layouts(read_201)
    for number in range(3000):
        _read([{"value": 1, "customData": {"vendorId": str(number)}}] * length, layouts)

    assert len(layouts) <= max(SHAPES_MAX, LAYOUTS_MAX)
