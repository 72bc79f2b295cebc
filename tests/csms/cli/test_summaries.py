"""The list of nouns: what it says of each is what the noun says of itself, and it is shown without importing them."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from csms.cli.main import csms
from csms.cli.summaries import SUMMARIES

LISTED = "import sys; from click.testing import CliRunner; from csms.cli.main import csms; "
ROOMS = "print('asyncpg' in sys.modules, 'pydantic' in sys.modules)"


def test_the_list_says_of_each_noun_what_it_says_of_itself() -> None:
    context = click.Context(csms)
    told = {}
    for name in csms.list_commands(context):
        command = csms.get_command(context, name)
        assert command is not None
        told[name] = command.get_short_help_str(1000)

    assert told == SUMMARIES, "what differs goes into csms/cli/summaries.py"
    assert list(SUMMARIES) == sorted(SUMMARIES)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("CliRunner().invoke(csms, ['--help']).stdout", "close "),
        (
            "[each.value for each in csms.shell_complete(__import__('click').Context(csms), 'cl')]",
            "['close']",
        ),
    ],
)
def test_the_list_and_what_a_shell_offers_import_no_room(asked: str, expected: str) -> None:
    done = subprocess.run(  # noqa: S603 - ours
        [sys.executable, "-c", f"{LISTED}print({asked}); {ROOMS}"], capture_output=True, text=True, check=True
    )

    assert expected in done.stdout
    assert done.stdout.splitlines()[-1] == "False False"
