"""Time zones by name: known once, known always; what cannot be looked up now is not guessed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from billing.time_zones import NoSuchZone, zone_named, zone_of_country

NO_MORE_FILES = """
import os, resource
free = os.dup(0)
os.close(free)
resource.setrlimit(resource.RLIMIT_NOFILE, (free, free))
"""


def without_files(before: str, then: str) -> str:
    """What a process of its own prints, that can open no more files after `before`; "EMFILE" where it fails for that."""
    told = f"try:\n    print({then})\nexcept OSError as trouble:\n    print(errno.errorcode[trouble.errno])"
    imports = "import errno\nfrom billing.time_zones import zone_named\nfrom csms.protocol.times import parse_time"
    program = [sys.executable, "-c", f"{imports}\n{before}\n{NO_MORE_FILES}\n{told}"]
    return subprocess.run(program, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603 - ours


def test_a_zone_that_was_read_needs_no_file_again() -> None:
    assert without_files("zone_named('Europe/Berlin')", "zone_named('Europe/Berlin')") == "Europe/Berlin"


def test_whether_there_is_a_zone_is_not_guessed_while_no_file_can_be_opened() -> None:
    assert without_files("", "zone_named('Europe/Berlin')") == "EMFILE"


def test_a_time_without_a_zone_is_not_read_in_another_one_while_no_file_can_be_opened() -> None:
    parsed = "parse_time('2026-03-01T12:00:00', set(), zone='Europe/Berlin')"

    assert without_files("", parsed) == "EMFILE"
    assert without_files(parsed, parsed) == "2026-03-01 11:00:00+00:00"


@pytest.mark.parametrize("name", ["Europe/Atlantis", "Europe", "", "../etc/passwd", "x" * 300, "Europe/Berl\x00n"])
def test_what_is_no_zone_is_none(name: str) -> None:
    with pytest.raises(NoSuchZone):
        zone_named(name)


@pytest.mark.parametrize(
    ("country", "zone"), [("NL", "Europe/Amsterdam"), ("DE", "Europe/Berlin"), ("US", None), ("XX", None), ("", None)]
)
def test_a_country_gives_its_zone_where_that_is_not_a_guess(country: str, zone: str | None) -> None:
    assert zone_of_country(country) == zone
