"""Where facts go."""

from __future__ import annotations

from typing import get_args

from csms.reception import RECORDERS, ToldFact


def test_every_kind_of_fact_that_a_room_keeps_has_its_room() -> None:
    assert set(RECORDERS) == set(get_args(ToldFact))
