"""Sites, charge points, tokens, tariffs: what operators enter and see again."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from cli_room import BOTH, Installation, environment, following, interrupted, line_of, run, tariff_document, until

SITE = ("--name", "Station Forecourt", "--country", "DE", "--time-zone", "Europe/Berlin", "--currency", "EUR")
KEPT = "SELECT count(*) FROM frame WHERE charge_point = $1 AND body LIKE $2"
RFC3339_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
SECRET = "correct-horse-battery-staple"
SHORT_SECRET = "battery-horse-staple"  # as long as a key of 1.6 may be


async def test_a_site_is_created_listed_and_shown(shop: Installation) -> None:
    made = await shop.data("site", "create", "forecourt", *SITE)
    again = await shop.csms("site", "create", "forecourt", *SITE)

    assert {**made, "created_at": ""} == {
        "id": "forecourt",
        "name": "Station Forecourt",
        "country": "DE",
        "time_zone": "Europe/Berlin",
        "currency": "EUR",
        "created_at": "",
        "charge_points": 0,
    }
    assert await shop.data("site", "show", "forecourt") == made
    assert made in await shop.data("site", "list")
    assert (again.code, again.error["code"]) == (7, "conflict")


async def test_a_site_that_makes_no_sense_is_refused(shop: Installation) -> None:
    wrong = {"--time-zone": "Europe/Nowhere", "--currency": "EURO", "--country": "Germany"}
    said = await asyncio.gather(
        *(shop.csms("site", "create", "nonsense", *SITE, option, value) for option, value in wrong.items())
    )

    assert [(each.code, each.error["code"]) for each in said] == [(5, "refused")] * len(wrong)
    assert all(value in each.error["message"] for value, each in zip(wrong.values(), said, strict=True))


async def test_the_password_of_a_charge_point_is_shown_once(shop: Installation) -> None:
    made = await shop.data("cp", "create", "REG-1", "--site", "harbour", "--max-kw", "22", "--current", "AC")
    listed, shown, again = await asyncio.gather(
        shop.csms("cp", "list", "-o", "json"),
        shop.csms("cp", "show", "reg-1", "-o", "json"),
        shop.csms("cp", "create", "reg-1", "--site", "harbour"),
    )

    assert list(made)[:2] == ["id", "password"]
    assert (made["id"], made["site"], made["security_profile"]) == ("REG-1", "harbour", 1)
    assert made["password"] not in listed.out + shown.out
    assert (shown.json["id"], shown.json["max_kw"], shown.json["online"], shown.json["evses"]) == (
        "REG-1",
        "22",
        False,
        [],
    )
    assert "REG-1" in [each["id"] for each in listed.json]
    assert (again.code, again.error["code"]) == (7, "conflict")


async def test_a_given_password_is_taken_and_a_new_one_replaces_it(shop: Installation) -> None:
    given = await shop.data("cp", "create", "REG-2", "--site", "harbour", "--password", SECRET)
    changed = await shop.data("cp", "set", "REG-2", "--new-password", "--max-kw", "11")
    kept = await shop.data("cp", "set", "REG-2", "--max-kw", "7.4")

    assert given["password"] == SECRET
    assert changed["password"] not in {SECRET, None}
    assert list(kept) == ["id", "site", "security_profile", "registration"]
    assert (await shop.data("cp", "show", "REG-2"))["max_kw"] == "7.4"


async def test_a_change_of_nothing_is_a_mistake_that_names_what_can_be_changed(shop: Installation) -> None:
    await shop.charge_point("REG-SAME")
    said = await shop.csms("cp", "set", "REG-SAME")

    assert (said.code, said.error["code"], said.out) == (2, "usage", "")
    assert all(option in said.error["message"] for option in ("--new-password", "--max-kw", "--strict/--lenient"))


@pytest.mark.parametrize("verb", ["create", "set"])
async def test_a_charge_point_without_password_is_made_with_a_warning(shop: Installation, verb: str) -> None:
    name = f"REG-OPEN-{verb}"
    if verb == "set":
        await shop.charge_point(name)
    site = ("--site", "harbour") if verb == "create" else ()
    said = await shop.csms("cp", verb, name, *site, "--security-profile", "0", "-o", "json")

    assert (said.code, said.json.get("password"), said.json["security_profile"]) == (0, None, 0)
    assert said.err.startswith("warning: ")


async def test_a_charge_point_that_makes_no_sense_is_not_made(shop: Installation) -> None:
    wrong: dict[tuple[str, ...], int] = {
        ("--password", "fifteen-letters"): 5,
        ("--password", "x" * 41): 5,
        ("--password", SECRET, "--security-profile", "0"): 5,
        ("--time-zone", "Europe/Nowhere"): 5,
        ("--max-kw", "NaN"): 2,
        ("--max-kw", "-1"): 2,
        ("--security-profile", "4"): 2,
        ("--site", "no-such-site"): 3,
    }
    said = await asyncio.gather(
        *(shop.csms("cp", "create", "REG-NEVER", "--site", "harbour", *options) for options in wrong)
    )

    assert [each.code for each in said] == list(wrong.values())
    assert [each.out for each in said] == [""] * len(wrong)
    assert all(each.error["message"] for each in said)
    assert (await shop.csms("cp", "show", "REG-NEVER")).code == 3


async def test_an_identity_must_fit_into_an_address(shop: Installation) -> None:
    wrong = ("", "has space", "a/b", "a:b", "x" * 49)
    said = await asyncio.gather(*(shop.csms("cp", "create", each, "--site", "harbour") for each in wrong))

    assert [(each.code, each.error["code"]) for each in said] == [(5, "refused")] * len(wrong)


@pytest.mark.parametrize("protocol", BOTH)
async def test_a_charge_point_shows_what_it_said_of_itself(shop: Installation, protocol: str) -> None:
    identity = f"REG-{protocol}"
    async with shop.simulated(identity, protocol):
        shown = await shop.data("cp", "show", identity)
        listed = {each["id"]: each for each in await shop.data("cp", "list", "--site", "harbour")}
    elsewhere = await shop.data("cp", "list", "--site", "no-such-site")

    assert (shown["online"], shown["protocol"], shown["vendor"]) == (True, protocol, "Fictitious Chargers")
    assert [(each["evse"], each["connector"], each["status"]) for each in shown["evses"]] == [
        (1, 1, "Available"),
        (2, 1, "Available"),
    ]
    assert listed[identity]["online"] is True
    assert elsewhere == []


async def test_a_trace_shows_both_directions_and_hides_secrets(shop: Installation) -> None:
    async with shop.simulated("REG-TRACE", "ocpp1.6"):
        await shop.csms("cp", "password", "set", "REG-TRACE", "--password", "-", stdin=SHORT_SECRET.encode())

        async with shop.connection() as connection:
            await until(lambda: connection.fetchval(KEPT, "REG-TRACE", "%AuthorizationKey%"))
        said = await shop.csms("cp", "trace", "REG-TRACE", "-o", "jsonl")
    lines = [json.loads(line) for line in said.out.splitlines()]

    assert list(lines[0]) == ["at", "direction", "action", "frame"]
    assert {line["direction"] for line in lines} == {"in", "out"}
    assert json.loads(lines[0]["frame"])[2] == "BootNotification"
    [change] = [line["frame"] for line in lines if '"AuthorizationKey"' in line["frame"]]
    assert "(hidden)" in change
    assert SHORT_SECRET not in said.out
    assert SHORT_SECRET.encode().hex() not in said.out


async def test_what_a_connector_says_has_its_time_in_utc(shop: Installation) -> None:
    async with shop.simulated("REG-TIMES", "ocpp1.6"):
        shown = await shop.data("cp", "show", "REG-TIMES")
        table = await shop.csms("cp", "show", "REG-TIMES")

    assert all(RFC3339_UTC.fullmatch(each["reported_at"]) for each in shown["evses"])
    lines = table.out.splitlines()
    begin = lines.index("evses")
    assert lines[begin + 1] == "  evse\tconnector\tstatus\terror_code\treported_at"
    assert [line.split("\t")[:3] for line in lines[begin + 2 : begin + 4]] == [
        ["  1", "1", "Available"],
        ["  2", "1", "Available"],
    ]
    assert lines[begin + 2].endswith("Z")


async def test_a_trace_for_people_begins_with_the_names_of_its_columns(shop: Installation) -> None:
    async with shop.simulated("REG-NAMES", "ocpp1.6"):
        async with shop.connection() as connection:
            await until(lambda: connection.fetchval(KEPT, "REG-NAMES", "%BootNotification%"))
        said = await shop.csms("cp", "trace", "REG-NAMES")

    assert said.out.splitlines()[0] == "at\tdirection\taction\tframe"
    assert said.out.splitlines()[1].split("\t")[1:3] == ["in", "BootNotification"]


async def test_no_trace_is_an_error_that_says_how_to_wait_for_one(shop: Installation) -> None:
    await shop.charge_point("REG-SILENT")
    said = await shop.csms("cp", "trace", "REG-SILENT")

    assert (said.code, said.error["code"]) == (3, "not_found")
    assert "--follow" in said.error["next"]


async def test_a_followed_trace_shows_what_comes_and_ends_with_ctrl_c(shop: Installation) -> None:
    async with (
        shop.simulated("REG-FOLLOW", "ocpp2.0.1") as station,
        following(shop, "cp", "trace", "REG-FOLLOW", "--follow", "-o", "jsonl") as stream,
    ):
        first = await line_of(stream)
        await station.ask(station.dialect.heartbeat_request())
        while (await line_of(stream))["action"] != "Heartbeat":
            pass
        code, err = await interrupted(stream)

    assert first["action"] == "BootNotification"
    assert (code, err) == (0, "")


async def test_tokens_are_one_whatever_their_case(shop: Installation) -> None:
    issued = await shop.data("token", "issue", "04ab12cd", "--group", "FLEET-7", "--expires", "2030-01-01")
    again = await shop.csms("token", "issue", "04AB12CD", "--group", "FLEET-7", "--expires", "2030-01-01")
    blocked = await shop.data("token", "block", "04Ab12cD", "--reason", "reported lost")
    twice = await shop.csms("token", "block", "04AB12CD")
    unblocked = await shop.data("token", "unblock", "04ab12CD")
    [listed] = [each for each in await shop.data("token", "list") if each["id"] == "04AB12CD"]

    assert issued == {
        "id": "04AB12CD",
        "status": "Accepted",
        "group": "FLEET-7",
        "class": None,
        "expires_at": "2030-01-01T00:00:00Z",
    }
    assert (again.code, twice.code) == (7, 7)
    assert (blocked["status"], unblocked["status"]) == ("Blocked", "Accepted")
    assert list(listed) == ["id", "status", "group", "class", "expires_at", "since", "reason"]
    assert listed["status"] == "Accepted"


async def test_an_expired_token_says_so(shop: Installation) -> None:
    issued = await shop.data("token", "issue", "OLD-CARD", "--expires", "2021-01-01")

    assert issued["status"] == "Expired"


async def create(shop: Installation, document: dict[str, Any], *options: str) -> Any:
    return await shop.data("tariff", "create", "-", *options, stdin=json.dumps(document).encode())


async def test_a_tariff_gets_versions_and_is_rehearsed_first(shop: Installation) -> None:
    first, second = tariff_document("DAY"), tariff_document("DAY", price="0.59")
    rehearsed = await create(shop, first, "--dry-run")
    never = await shop.csms("tariff", "show", "DAY")
    made = await create(shop, first)
    again = await create(shop, first)
    next_one = await create(shop, second, "--from", "2030-01-01")
    shown = await shop.data("tariff", "show", "DAY", "--version", "1")
    [listed] = [each for each in await shop.data("tariff", "list") if each["id"] == "DAY"]

    assert rehearsed == {"id": "DAY", "version": 1, "dry_run": True}
    assert never.code == 3
    assert made == again == {"id": "DAY", "version": 1}
    assert next_one == {"id": "DAY", "version": 2}
    assert shown["tariff"]["elements"][0]["price_components"][0]["price"] == "0.49"
    assert (listed["version"], listed["currency"]) == (2, "EUR")


async def test_a_tariff_says_beside_its_document_whether_the_stay_after_the_stop_costs(shop: Installation) -> None:
    document = tariff_document("STAY")
    made = [
        await create(shop, document),
        await create(shop, document, "--idle-after-stop", "--idle-cap-min", "240"),
        await create(shop, document, "--idle-after-stop", "--idle-cap-min", "240"),
        await create(shop, document),
    ]
    shown = [await shop.data("tariff", "show", "STAY", "--version", version) for version in (1, 2)]
    alone = await shop.csms("tariff", "create", "-", "--idle-cap-min", "5", stdin=json.dumps(document).encode())

    assert [each["version"] for each in made] == [1, 2, 2, 3]
    assert [(each["idle_after_stop"], each["idle_cap_s"]) for each in shown] == [(False, None), (True, 240 * 60)]
    assert (alone.code, "--idle-after-stop" in alone.error["message"]) == (2, True)


async def test_a_tariff_is_assigned_to_one_place_from_a_time_on(shop: Installation) -> None:
    await create(shop, tariff_document("NIGHT"))
    await shop.data("site", "create", "assigned", *SITE)
    rehearsed = await shop.data("tariff", "assign", "NIGHT", "--site", "assigned", "--from", "2030-01-01", "--dry-run")
    before = (await shop.data("tariff", "show", "NIGHT"))["assignments"]
    made = await shop.data("tariff", "assign", "NIGHT", "--site", "assigned", "--from", "2030-01-01")
    after = (await shop.data("tariff", "show", "NIGHT"))["assignments"]

    assert {**made, "assignment": 0, "entered_at": ""} == {
        "assignment": 0,
        "tariff": "NIGHT",
        "scope": "site",
        "target": "assigned",
        "token_group": None,
        "user_class": None,
        "product": None,
        "priority": 0,
        "valid_from": "2030-01-01T00:00:00Z",
        "entered_at": "",
    }
    assert rehearsed["dry_run"] is True
    assert before == []
    assert after == [made]


async def test_a_tariff_in_another_currency_than_the_place_is_refused(shop: Installation) -> None:
    await create(shop, tariff_document("CROWNS", currency="SEK"))
    refused = await shop.csms("tariff", "assign", "CROWNS", "--site", "harbour")
    nowhere = await shop.csms("tariff", "assign", "CROWNS")
    unknown = await shop.csms("tariff", "assign", "NO-SUCH-TARIFF", "--default")

    assert (refused.code, refused.error["code"]) == (5, "refused")
    assert "SEK" in refused.error["message"]
    assert nowhere.code == 2
    assert unknown.code == 3


async def test_lint_and_price_need_no_database(data_home: Path) -> None:
    nowhere = environment(data_home / "nothing")
    tariff, odd, session = data_home / "t.json", data_home / "odd.json", data_home / "s.json"
    tariff.write_text(json.dumps(EVENING))
    odd.write_text(json.dumps(ODD))
    session.write_text(json.dumps(EVENING_SESSION))
    sound, strict, priced = await asyncio.gather(
        run(nowhere, "tariff", "lint", tariff, "-o", "json"),
        run(nowhere, "tariff", "lint", odd, "--fail-on", "warning", "-o", "json"),
        run(nowhere, "tariff", "price", tariff, "--session", session, "-o", "json"),
    )

    assert (sound.code, [each for each in sound.json if each["severity"] == "error"]) == (0, [])
    assert strict.code == 6
    assert {"severity", "code", "path", "message", "next_step"} == set(strict.json[0])
    figures = priced.json
    assert (figures["currency"], figures["total_excl_tax"], figures["total_tax"]) == ("EUR", "9.02", "1.71")
    assert (figures["total_incl_tax"], figures["total_incl_tax_exact"]) == ("10.73", "10.7338")
    assert figures["total_excl_tax_exact"] == "9.02"
    assert figures["components"] == {"energy": "9.02", "time": "0.00", "parking": "0.00", "flat": "0.00"}
    assert [each["quantity_billed"] for each in figures["segments"]] == ["10", "8"]
    assert not (data_home / "nothing").exists()


async def test_what_cannot_be_priced_is_refused_with_every_reason(data_home: Path) -> None:
    nowhere = environment(data_home / "nothing")
    tariff, session = data_home / "t.json", data_home / "s.json"
    tariff.write_text(json.dumps(EVENING))
    session.write_text('{"time_zone": "Europe/Nowhere", "periods": [{"start": "soon"}]}')
    said, no_json = await asyncio.gather(
        run(nowhere, "tariff", "price", tariff, "--session", session),
        run(nowhere, "tariff", "lint", "-", stdin=b"{"),
    )

    assert (said.code, said.out) == (5, "")
    assert len(said.error["details"]["problems"]) >= 2
    assert no_json.code == 5


# Worked by hand: 10 kWh x 0.59 + 8 kWh x 0.39 = 9.02, and 19 % of it 1.7138.
EVENING: dict[str, Any] = {
    **tariff_document("EVENING"),
    "elements": [
        {
            "price_components": [{"type": "ENERGY", "price": 0.59, "vat": 19, "step_size": 1}],
            "restrictions": {"start_time": "08:00", "end_time": "20:00"},
        },
        {"price_components": [{"type": "ENERGY", "price": 0.39, "vat": 19, "step_size": 1}]},
    ],
}
EVENING_SESSION = {
    "time_zone": "UTC",
    "periods": [
        {"start": "2026-03-01T19:30:00Z", "energy_kwh": "10", "power_kw": 20},
        {"kind": "charging", "start": "2026-03-01T20:00:00Z", "end": "2026-03-01T21:00:00Z", "energy_kwh": 8},
    ],
}
# The second element can never apply: the first, without restrictions, always does.
ODD = {**EVENING, "elements": list(reversed(EVENING["elements"]))}
