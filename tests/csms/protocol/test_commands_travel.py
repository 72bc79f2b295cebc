"""Commands go through the database to the node that holds the socket: what arrives is what was asked."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from csms.nodes.disconnect import Disconnect
from csms.nodes.routing import command_from_json, command_to_json, command_to_keep
from csms.protocol.translator import COMMANDS
from csms.protocol.vocabulary import Command, SetSettings

st.register_type_strategy(Decimal, st.decimals(allow_nan=False, allow_infinity=False, places=2))
_JSON = st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.text(st.characters(codec="utf-8"))


def _of(kind: type[Command]) -> st.SearchStrategy[Command]:
    return st.builds(kind, data=_JSON) if "data" in kind.__dataclass_fields__ else st.from_type(kind)


def _everywhere(kind: type[Any]) -> set[type[Any]]:
    return {kind, *(each for child in kind.__subclasses__() for each in _everywhere(child))}


def test_every_command_is_written_by_some_version_or_carried_out_by_its_node() -> None:
    own = {each for each in _everywhere(Command) - {Command} if each.__module__.startswith("csms.")}

    assert {each.__name__ for each in own} - {Disconnect.__name__} == set(COMMANDS)


@given(st.sampled_from(sorted(COMMANDS)).flatmap(lambda name: _of(COMMANDS[name])) | _of(Disconnect))
def test_a_command_arrives_as_it_was_sent(command: Command) -> None:
    assert command_from_json(json.loads(json.dumps(command_to_json(command)))) == command


def test_what_is_kept_of_a_command_hides_its_secrets() -> None:
    command = SetSettings(values=(("AuthorizationKey", "7f3a99c2d1"), ("HeartbeatInterval", "60")))

    assert "7f3a99c2d1" not in json.dumps(command_to_keep(command))
    assert "60" in json.dumps(command_to_keep(command))
