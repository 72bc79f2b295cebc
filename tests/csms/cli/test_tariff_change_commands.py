"""`csms tariff publish`, `recalculate` and `trail` on a server with a vehicle that charges."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

from cli_room import HOUR, TOKEN, TWO_HOURS, Installation, tariff_document, until

from billing import ExitCode
from csms.sessions import listing

ROW = [
    "session", "charge_point", "tariff_before", "version_before", "tariff_after", "version_after", "before_incl_tax",
    "after_incl_tax", "difference_incl_tax", "currency", "as_of", "outcome", "why_not",
]  # fmt: skip


async def test_an_operator_changes_a_price_and_then_what_open_sessions_pay(shop: Installation) -> None:
    name, tariff = "CHANGING-1", "CHANGING"

    async def says(command: str, price: str) -> None:
        body = json.dumps(tariff_document(tariff, price=price)).encode()
        await shop.data("tariff", command, "-", stdin=body)

    await says("create", "0.50")
    begin = datetime.now(UTC).replace(microsecond=0) - TWO_HOURS
    async with shop.simulated(name, "ocpp1.6", at=begin, evses=1) as station, shop.connection() as connection:
        await shop.data("tariff", "assign", tariff, "--cp", name, "--from", "2020-01-01")
        await station.plug()
        await station.start(token=TOKEN)
        await station.charge(energy_wh=Decimal(10_000), duration=HOUR)

        async def is_shown() -> bool:
            found = await listing.list_sessions(connection, charge_point=name)
            return bool(found) and found[0]["energy_wh"] == 10_000 and found[0]["total_incl_tax"] is not None

        await until(is_shown)
        which = ("tariff", "recalculate", "--tariff", tariff)
        await says("publish", "0.70")
        refused = await shop.csms(*which, "--reason", "dearer power", "-o", "json")
        await says("publish", "0.40")
        tried = await shop.data(*which, "--reason", "price cut", "--dry-run")
        done = await shop.data(*which, "--reason", "price cut", "--actor", "ada")
        again = await shop.data(*which, "--reason", "price cut")
        nothing = await shop.csms("tariff", "recalculate", "--all", "--tariff", tariff, "--reason", "both")
        unexplained = await shop.csms(*which, "--reason", " ")
        strange = await shop.csms(*which, "--to", f"{tariff}:x", "--reason", "misspelt")
        await station.stop()
    [session] = await shop.sessions("--cp", name)
    shown = await shop.data("session", "show", session["id"])
    trail = await shop.data("tariff", "trail", tariff)
    table = await shop.csms("tariff", "trail", tariff)

    [row] = refused.json
    assert (refused.code, row["outcome"], list(row)) == (ExitCode.REFUSED, "upward", ROW)
    assert "--legal-basis" in refused.err
    assert tried == [{**done[0], "dry_run": True, "as_of": tried[0]["as_of"]}]
    assert (done[0]["before_incl_tax"], done[0]["after_incl_tax"], done[0]["outcome"]) == ("5.95", "4.76", "applied")
    assert [each["outcome"] for each in again] == ["unchanged"]
    assert [each.code for each in (nothing, unexplained, strange)] == [
        ExitCode.USAGE, ExitCode.REFUSED, ExitCode.USAGE,
    ]  # fmt: skip
    assert [(each["reason"], each["actor"], each["version_after"]) for each in shown["recalculations"]] == [
        ("price cut", "ada", 3)
    ]
    assert [(each["act"], each["version"], each["session"]) for each in trail] == [
        ("published", 2, None),
        ("published", 3, None),
        ("recalculated", 3, session["id"]),
    ]
    assert "recalculated" in table.out
