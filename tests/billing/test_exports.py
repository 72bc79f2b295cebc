"""What `billing` shows to others: each name is loaded when it is asked for, and all of them exist."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import billing


def test_every_name_is_found_where_it_is_defined() -> None:
    assert sorted(billing._HOMES) == sorted(billing.__all__)
    for name in billing.__all__:
        assert getattr(billing, name) is not None
    assert not hasattr(billing, "no_such_name")


def test_a_command_that_prices_nothing_starts_without_the_engine() -> None:
    loaded = "import sys, csms.cli.main, csms.sites.cli; print('billing.rating.engine' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", loaded], capture_output=True, check=True).stdout == b"False\n"  # noqa: S603 - ours


def test_no_export_has_the_name_of_a_room() -> None:
    """Importing billing.accounts binds that name in billing: what was exported under it would be gone."""
    rooms = {each.name.removesuffix(".py") for each in Path(billing.__file__).parent.iterdir()}

    assert set(billing.__all__) & rooms == set()
