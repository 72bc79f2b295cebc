"""The README's table of messages is the code's."""

from __future__ import annotations

import click
import pytest

from csms.cli.main import csms
from csms.protocol.translator import COMMANDS
from csms.protocol.validation import SENDS, actions
from csms.protocol.vocabulary import Protocol
from tests.messages.commands import ASKED_BY, SERVER
from tests.messages.table import BEGIN, END, ROOT, TO_US, as_markdown, rows


def test_the_table_in_the_readme_is_what_the_code_says() -> None:
    """`python -m tests.messages --write` puts it there."""
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]

    assert table.strip() == as_markdown()


@pytest.mark.parametrize("protocol", list(Protocol))
def test_every_message_of_the_official_schemas_has_a_row(protocol: Protocol) -> None:
    named = {row.action for row in rows() if row.protocol is protocol}

    assert named == actions(protocol) | SENDS[protocol]
    assert named >= TO_US[protocol]


def test_every_command_says_who_asks_for_it() -> None:
    assert ASKED_BY.keys() == COMMANDS.keys()


@pytest.mark.parametrize("path", sorted({*ASKED_BY.values()} - {SERVER}))
def test_the_command_lines_of_the_table_are_there(path: str) -> None:
    command: click.Command | None = csms
    for word in path.split():
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), word)

    assert command is not None


def test_every_message_that_is_handled_has_a_test() -> None:
    assert [f"{row.protocol} {row.action}" for row in rows() if row.handled and not row.test] == []
