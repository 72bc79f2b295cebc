"""Readings as they are stored: figures beside a layout (csms/sessions/packing.py)."""

from __future__ import annotations

import json
from decimal import Decimal

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.protocol.vocabulary import Measurand, Sample
from csms.sessions import packing
from csms.sessions.packing import SAMPLES_MAX, pack, unpack
from csms.sessions.records import sample_to_row
from csms.sessions.samples import DECISIVE
from tests.examples import tried

_WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
_FIGURES = st.decimals(allow_nan=False, allow_infinity=False).filter(lambda each: abs(each.adjusted()) < 40)
SAMPLES = st.builds(
    Sample,
    value=_FIGURES,
    measurand=st.sampled_from([*Measurand, *DECISIVE, "Voltage", "Temperature"]),
    unit=st.sampled_from(["Wh", "W", "A", "V"]) | _WORDS,
    context=_WORDS,
    phase=st.none() | st.sampled_from(["L1", "N"]) | _WORDS,
    location=st.sampled_from(["Outlet", "Body"]) | _WORDS,
    signed=st.none(),
)


@tried(50)
@given(samples=st.lists(SAMPLES, min_size=1, max_size=12))
def test_what_is_packed_comes_out_as_it_went_in(samples: list[Sample]) -> None:
    packed = pack(samples)
    assert packed.layout is not None
    assert packed.figures is not None
    stored = packing.learn(json.loads(packed.layout.to_json()))

    assert stored.id == packed.layout.id
    found = unpack(stored, packed.figures)
    wanted = [each for each in samples if each.measurand in DECISIVE]
    assert [(each, str(each.value)) for each in found] == [(each, str(each.value)) for each in wanted]


@pytest.mark.parametrize(
    "odd",
    [Sample(None), Sample(None, signed="OCMF|{}"), Sample(Decimal(7), signed="AA==")],
    ids=["no figure", "signed", "signed with a figure"],
)
def test_what_has_no_figure_or_is_signed_stays_as_it_is(odd: Sample) -> None:
    samples = [Sample(Decimal(1)), odd]
    packed = pack(samples)

    assert (packed.layout, packed.figures) == (None, None)
    assert json.loads(packed.samples or "") == [sample_to_row(each) for each in samples]


def test_of_very_many_samples_nothing_is_shared() -> None:
    assert pack([Sample(Decimal(1))] * (SAMPLES_MAX + 1)).layout is None


def test_what_is_remembered_of_layouts_is_bounded() -> None:
    for number in range(3 * packing.REMEMBERED_MAX):
        packed = pack([Sample(Decimal(1), unit=str(number))])
        assert packed.layout is not None
        learnt = packing.learn(json.loads(packed.layout.to_json()))
        assert packing.remembered([learnt.id]) == {learnt.id: packed.layout}

    everything = [
        packing.learn([["Voltage", str(number), "", None, ""]]).id for number in range(3 * packing.REMEMBERED_MAX)
    ]
    assert len(packing.remembered(everything)) <= packing.REMEMBERED_MAX


async def test_the_database_shows_what_was_packed_sample_by_sample(pool: asyncpg.Pool) -> None:
    samples = [
        Sample(Decimal("1.50")),
        Sample(Decimal("1E+3"), Measurand.POWER_IMPORT, "W", phase="L1"),
        Sample(Decimal(-7)),
    ]
    packed = pack(samples)
    assert packed.layout is not None
    shown = await pool.fetchval("SELECT csms_samples($1, $2)", json.loads(packed.layout.to_json()), packed.figures)

    assert shown == [sample_to_row(each) for each in samples]
