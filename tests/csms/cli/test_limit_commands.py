"""Limits of costs: what an operator sets, sees and is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from cli_room import HOUR, TOKEN, Installation, serving

LIMIT = ["id", "scope", "target", "amount", "currency", "total", "valid_from", "reason", "actor", "entered_at"]


async def test_limits_of_tokens_and_groups_are_set_listed_and_cleared(shop: Installation) -> None:
    await shop.data("token", "issue", "PREPAID-1", "--group", "BUDGET-1")
    euros = ("--currency", "EUR", "--reason", "card")
    tried = await shop.data("token", "limit", "set", "prepaid-1", "--amount", "20", *euros, "--dry-run")
    made = await shop.data("token", "limit", "set", "prepaid-1", "--amount", "20", *euros)
    again = await shop.csms("token", "limit", "set", "PREPAID-1", "--amount", "20.00", *euros)
    budget = await shop.data(
        "token", "limit", "set", "--group", "BUDGET-1", "--amount", "900", "--total", "--from", "2099-12-01", *euros
    )
    cleared = await shop.data("token", "limit", "clear", "PREPAID-1", "--reason", "pays by invoice")
    listed = await shop.data("token", "limit", "list", "--group", "BUDGET-1")
    of_token = await shop.data("token", "limit", "list", "--token", "prepaid-1")

    assert (tried["amount"], tried["dry_run"]) == ("20.00", True)
    assert list(made) == LIMIT
    assert (made["scope"], made["target"], made["amount"], made["currency"]) == (
        "token", "PREPAID-1", "20.00", "EUR",
    )  # fmt: skip
    assert (again.code, budget["total"], cleared["amount"]) == (7, True, None)
    assert [(each["amount"], each["state"], each["left"]) for each in of_token] == [
        ("20.00", "past", None),
        (None, "past", None),
    ]
    assert [(each["target"], each["amount"], each["state"]) for each in listed] == [("BUDGET-1", "900.00", "to come")]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("set", TOKEN, "--amount", "5", "--currency", "XOF", "--reason", "x"), 5, "no site charges in XOF"),
        (("set", TOKEN, "--amount", "5.001", "--currency", "EUR", "--reason", "x"), 5, "finer"),
        (("set", TOKEN, "--amount", "plenty", "--reason", "x"), 2, "no amount"),
        (("set", "NEVER", "--amount", "5", "--reason", "x"), 3, "no token NEVER"),
        (("set", "--group", "NONE", "--amount", "5", "--reason", "x"), 3, "group NONE"),
        (("set", TOKEN, "--group", "FLEET-7", "--amount", "5", "--reason", "x"), 2, "name a token"),
        (("clear", TOKEN, "--reason", "x"), 7, "no limit"),
    ],
)
async def test_what_cannot_be_a_limit_is_refused_with_a_next_step(
    shop: Installation, words: tuple[str, ...], code: int, told: str
) -> None:
    said = await shop.csms("token", "limit", *words)

    assert (said.code, said.out) == (code, "")
    assert told in said.error["message"]
    assert said.error["next"]


async def test_a_session_that_was_started_with_a_limit_is_stopped_at_it(data_home: Path) -> None:
    with serving(data_home / "data") as shop:
        await shop.furnish()
        begin = datetime.now(UTC).replace(microsecond=0) - 2 * HOUR
        async with shop.simulated("CP", "ocpp2.0.1", at=begin, evses=1) as station:
            started = await shop.data("cp", "start", "CP", "--token", TOKEN, "--limit", "1.00")
            session = started["session"]
            wrong = await shop.csms("session", "limit", session, "--amount", "5", "--currency", "PLN")
            await station.charge(energy_wh=Decimal(2000), duration=HOUR / 4)
            ended = await shop.await_session("CP", "rated")
        listed = await shop.data("session", "limit", session)
        shown = await shop.data("session", "show", session)
        late = await shop.csms("session", "limit", session, "--amount", "5")

    assert [(each["amount"], each["reason"]) for each in listed] == [("1.00", "chosen at the remote start")]
    assert (wrong.code, late.code) == (5, 5)
    assert "charged in EUR" in wrong.error["message"]
    limit = shown["cost_limit"]
    assert (limit["may_cost"], limit["scope"], limit["final"]) == ("1.00", "session", ended["total_incl_tax"])
    assert Decimal(limit["overshoot"]) == Decimal(limit["final"]) - 1
