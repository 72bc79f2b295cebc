"""Logs go where customer files do not: a token is told in them by a keyed hash only."""

from __future__ import annotations

import io
import json
import logging
import re
from typing import Any

import pytest
import structlog

from csms import logs

TAG = "04AB12CD34"
NAME = re.compile(r"token:[0-9a-f]{16}")


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    logs.configure("debug")
    return stream


def lines(written: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


@pytest.mark.parametrize("name", sorted(logs.TOKENS))
def test_an_event_that_tells_a_token_tells_its_name(written: io.StringIO, name: str) -> None:
    structlog.get_logger().info("charged", charge_point="CP-1", **{name: TAG})

    [line] = lines(written)
    assert NAME.fullmatch(line[name])
    assert (line["charge_point"], TAG in written.getvalue()) == ("CP-1", False)


def test_a_token_has_one_name_however_it_is_written_and_another_one_in_another_installation() -> None:
    logs.name_tokens_by(b"one installation")
    names = {logs.token_name(each) for each in (TAG, TAG.lower(), f" {TAG} ")}
    logs.name_tokens_by(b"another installation")

    assert len(names) == 1
    assert logs.token_name(TAG) not in names
    assert logs.token_name("04AB12CD35") != logs.token_name(TAG)


def test_what_postgres_tells_of_a_row_is_left_out_also_of_other_libraries_and_in_traces(written: io.StringIO) -> None:
    refused = (
        'insert violates foreign key "session_token"\n'
        f'DETAIL:  Key (token, at)=({TAG}, 2026-03-01) is not present in table "token".'
    )
    row = f"new row violates a check\nDETAIL:  Failing row contains (17, {TAG}, null)."
    structlog.get_logger().warning("not_kept", error=refused)
    logging.getLogger("library").warning("%s", row)
    try:
        int(refused)
    except ValueError:
        structlog.get_logger().exception("failed")

    assert TAG not in written.getvalue()
    told = lines(written)
    assert "Key (token, at)=(...) is not present" in told[0]["error"]
    assert "Failing row contains (...)." in told[1]["event"]
    assert "ValueError" in told[2]["exception"]
