"""Every deviation that is ever named is registered, and every registered one is really found somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import csms.protocol
from csms.protocol.quirks import MEANING, Quirk

SOURCES = Path(csms.protocol.__file__).parent


def test_every_quirk_has_one_line_of_meaning():
    assert set(MEANING) == set(Quirk)
    assert all(meaning and "\n" not in meaning for meaning in MEANING.values())
    assert len(set(MEANING.values())) == len(MEANING)


def test_every_quirk_is_found_by_some_reader():
    text = "".join(path.read_text() for path in SOURCES.rglob("*.py") if path.name != "quirks.py")

    assert {quirk.name for quirk in Quirk} == set(re.findall(r"Quirk\.([A-Z_]+)", text))


def test_names_of_quirks_are_stable_words():
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", quirk) for quirk in Quirk)
