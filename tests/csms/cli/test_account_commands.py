"""csms seller, account and audit: a customer's file as an operator keeps it."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from cli_room import environment, run

SELLER = (
    "seller", "create", "north", "--name", "Northern Example Energy GmbH", "--street", "Kai 1", "--postal-code", "20457",
    "--city", "Hamburg", "--country", "DE", "--vat-id", "DE 136 695 976", "--iban", "DE89 3704 0044 0532 0130 00",
    "--reason", "first seller",
)  # fmt: skip
ERIKA = (
    "account", "create", "C-1", "--seller", "north", "--kind", "private", "--name", "Erika Example", "--language", "de",
    "--email", "erika@example.org", "-o", "json",
)  # fmt: skip
VANS = (
    "account", "create", "F-7", "--seller", "north", "--kind", "fleet", "--name", "Example Vans BV", "--street", "Dok 2",
    "--city", "Utrecht", "--country", "NL", "--vat-id", "NL004495445B01", "--group-by", "cost_centre", "-o", "json",
)  # fmt: skip


@pytest.fixture
async def own(data_home: Path, database: str) -> dict[str, str]:
    """An installation of its own: a site, two cards, one seller."""
    env = environment(data_home / "data", CSMS_DATABASE_URL=database, CSMS_ACTOR="tester")
    made = (
        ("site", "create", "depot", "--name", "D", "--country", "DE", "--time-zone", "Europe/Berlin", "--currency", "EUR"),
        ("token", "issue", "04ab"),
        ("token", "issue", "04ac"),
        SELLER,
    )  # fmt: skip
    for each in made:
        assert (await run(env, *each)).code == 0
    return env


async def test_a_seller_is_made_changed_and_shown_with_what_was_before_in_the_log(own: dict[str, str]) -> None:
    tried = await run(
        own, "seller", "set", "north", "--street", "Kai 2", "--tax-rounding", "per_line", "--reason", "moved",
        "--dry-run", "-o", "json",
    )  # fmt: skip
    same = await run(own, "seller", "show", "north", "-o", "json")
    moved = await run(own, "seller", "set", "north", "--street", "Kai 2", "--reason", "moved", "-o", "json")
    site = await run(
        own, "seller", "site", "depot", "--seller", "north", "--from", "2026-01-01", "--reason", "sells", "-o", "json"
    )
    shown = await run(own, "seller", "show", "north", "-o", "json")
    log = await run(own, "audit", "log", "--noun", "seller", "-o", "json")

    assert (tried.json["address"]["street"], same.json["address"]["street"]) == ("Kai 2", "Kai 1")
    assert (tried.json["tax_rounding"], same.json["tax_rounding"]) == ("per_line", "per_document")
    assert (same.json["vat_id"], same.json["bank"]["iban"]) == ("DE136695976", "DE89370400440532013000")
    assert same.json["bank"]["holder"] == "Northern Example Energy GmbH"
    assert moved.json == {name: value for name, value in shown.json.items() if name != "sites"}
    assert site.json == {
        "site": "depot", "seller": "north", "brand": None, "valid_from": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    assert shown.json["sites"] == [{"site": "depot", "valid_from": "2026-01-01T00:00:00Z"}]
    assert [(each["action"], each["reason"], each["actor"]) for each in log.json] == [
        ("create", "first seller", "tester"), ("set", "moved", "tester"), ("sell_at", "sells", "tester"),
    ]  # fmt: skip
    assert log.json[1]["before"]["party"]["address"]["street"] == "Kai 1"
    assert log.json[1]["after"]["party"]["address"]["street"] == "Kai 2"


async def test_a_customer_with_its_tokens_is_one_file_and_taxes_know_what_it_is(own: dict[str, str]) -> None:
    made = await run(own, *VANS)
    given = await run(
        own, "account", "token", "give", "F-7", "04ab", "--cost-centre", "4711", "--driver", "D. Example", "-o", "json"
    )
    again = await run(own, "account", "token", "give", "F-7", "04ab", "--cost-centre", "4711", "--driver", "D. Example")
    known = await run(own, "tax", "customer", "list", "-o", "json")
    moved = await run(own, "account", "set", "F-7", "--vat-id", "FR40303265045", "--reason", "new seat", "-o", "json")
    told = await run(own, "tax", "customer", "list", "-o", "json")
    taken = await run(own, "account", "token", "take", "F-7", "04AB", "--reason", "lost", "-o", "json")
    shown = await run(own, "account", "show", "F-7", "-o", "json")
    listed = await run(own, "account", "list", "--find", "vans", "-o", "json")

    assert (made.json["grouped_by"], made.json["rhythm"], made.json["payment_days"]) == (["cost_centre"], "month", 14)
    assert (given.json["token"], given.json["cost_centre"], given.json["driver"]) == ("04AB", "4711", "D. Example")
    assert (again.code, again.error["message"].startswith("token 04AB is of account F-7")) == (7, True)
    assert [(each["token"], each["kind"], each["vat_id"]) for each in known.json] == [
        ("04AB", "business", "NL004495445B01")
    ]
    assert [each["vat_id"] for each in told.json] == ["NL004495445B01", "FR40303265045"]
    assert (moved.json["vat_id"], taken.json["account"]) == ("FR40303265045", None)
    [held] = shown.json["tokens"]
    assert (held["token"], held["cost_centre"], held["valid_to"]) == ("04AB", "4711", taken.json["valid_from"])
    assert [each["action"] for each in shown.json["changes"]] == [
        "account create",
        "token give",
        "account set",
        "token take",
    ]
    assert [each["id"] for each in listed.json] == ["F-7"]


async def test_the_periods_of_a_customer_follow_the_calendar_of_its_country_or_else_of_its_seller(
    own: dict[str, str],
) -> None:
    vans, erika = await run(own, *VANS), await run(own, *ERIKA)
    chosen = await run(own, *(each.replace("C-1", "C-2") for each in ERIKA), "--time-zone", "UTC")

    zones = [each.json["time_zone"] for each in (vans, erika, chosen)]
    assert zones == ["Europe/Amsterdam", "Europe/Berlin", "UTC"]


async def test_a_customer_that_asks_for_it_gets_all_and_is_then_forgotten(own: dict[str, str], database: str) -> None:
    for each in (
        ERIKA,
        ("account", "token", "give", "C-1", "04AC", "--driver", "Erika E."),
        ("account", "set", "C-1", "--email", "erika2@example.org", "--reason", "wrote"),
    ):
        assert (await run(own, *each)).code == 0
    exported = await run(own, "account", "export", "C-1", "-o", "json")
    early = await run(own, "account", "pseudonymise", "C-1", "--reason", "asked")
    for each in (
        ("account", "token", "take", "C-1", "04AC", "--reason", "asked"),
        ("account", "pseudonymise", "C-1", "--reason", "asked"),
    ):
        assert (await run(own, *each)).code == 0
    twice = await run(own, "account", "pseudonymise", "C-1", "--reason", "asked")
    after = await run(own, "account", "set", "C-1", "--name", "Erika", "--reason", "back")
    verified = await run(own, "audit", "verify")

    assert exported.json["changes"][-1]["personal"]["before"]["party"]["email"] == "erika@example.org"
    assert exported.json["changes"][1]["personal"] == {"after": {"driver": "Erika E."}}
    assert (early.code, "take them first" in early.error["next"]) == (5, True)
    assert (twice.code, after.code, verified.code) == (7, 5, 0)
    connection = await asyncpg.connect(database)
    try:
        for table in ("account", "account_token", "audit_entry", "audit_personal"):
            text = await connection.fetchval(f"SELECT coalesce(string_agg(t::text, ' '), '') FROM {table} t")
            assert "rika" not in text, table
    finally:
        await connection.close()


async def test_what_cannot_be_is_refused_with_the_rule_and_the_next_step(own: dict[str, str]) -> None:
    assert (await run(own, *ERIKA)).code == 0
    assert (await run(own, *VANS)).code == 0
    assert (await run(own, "account", "set", "C-1", "--payer", "F-7", "--reason", "company car")).code == 0
    twice = await run(own, *ERIKA)
    ring = await run(own, "account", "set", "F-7", "--payer", "C-1", "--reason", "x")
    empty = await run(own, "account", "set", "C-1", "--reason", "x")
    wrong = await run(own, "account", "set", "F-7", "--clear", "street", "--vat-id", "DE1", "--reason", "x")
    unknown = await run(own, "account", "token", "give", "C-1", "NOCARD")
    clash = await run(own, "account", "set", "C-1", "--email", "a@example.org", "--clear", "email", "--reason", "x")
    cleared = await run(
        own, "account", "set", "C-1", "--clear", "payer", "--clear", "email", "--reason", "pays", "-o", "json"
    )
    closed = await run(own, "account", "close", "C-1", "--reason", "left", "-o", "json")
    late = await run(own, "account", "token", "give", "C-1", "04AC")
    missing = await run(own, "account", "show", "C-99")

    assert (twice.code, ring.code, empty.code, clash.code) == (7, 5, 2, 2)
    assert "its own payer" in ring.error["message"]
    assert wrong.error["details"]["problems"] == [
        "DE1 is no VAT id: it has not the form of one that begins with DE",
        "the invoice of a business shows its address (Art. 226 (5) of the VAT directive)",
    ]
    assert (unknown.code, unknown.error["message"]) == (3, "no token NOCARD")
    assert (cleared.json["payer"], cleared.json["email"], cleared.json["name"]) == (None, None, "Erika Example")
    assert (closed.json["state"], late.code, missing.code) == ("closed", 5, 3)


async def test_an_auditor_finds_where_the_log_was_cut_off(own: dict[str, str], database: str) -> None:
    assert (await run(own, *ERIKA)).code == 0
    verified = await run(own, "audit", "verify")
    head = verified.err.split("end ")[1].strip()
    exported = await run(own, "audit", "export", "-o", "csv")
    connection = await asyncpg.connect(database)
    try:
        await connection.execute("ALTER TABLE audit_entry DISABLE TRIGGER ALL")
        await connection.execute("ALTER TABLE audit_personal DISABLE TRIGGER ALL")
        await connection.execute("DELETE FROM audit_entry WHERE id = 2")
    finally:
        await connection.close()
    silent = await run(own, "audit", "verify")
    found = await run(own, "audit", "verify", "--expect", head, "-o", "json")
    garbled = await run(own, "audit", "verify", "--expect", "2:ff")

    assert (verified.code, verified.out, head.startswith("2:")) == (0, "", True)
    assert exported.out.splitlines()[0] == "id,at,actor,noun,subject,action,reason,before,after,hash_prev,hash"
    assert "Erika" not in exported.out
    assert (silent.code, found.code, garbled.code) == (0, 6, 2)
    assert found.json == [{"entry": 2, "problem": "the entry that once was the end of the log is gone"}]


async def test_an_auditor_computes_every_hash_of_the_export_as_its_help_says(own: dict[str, str]) -> None:
    assert (await run(own, *ERIKA)).code == 0
    assert (
        await run(own, "account", "set", "C-1", "--name", "Erika Müller", "--reason", "Hochzeit \U0001f492")
    ).code == 0
    lines = [json.loads(line) for line in (await run(own, "audit", "export", "-o", "jsonl")).out.splitlines()]
    same = [json.loads(line) for line in (await run(own, "audit", "export", "-o", "json")).out.splitlines()]
    cells = [
        {
            **row,
            "id": int(row["id"]),
            "before": json.loads(row["before"] or "null"),
            "after": json.loads(row["after"] or "null"),
        }
        for row in csv.DictReader((await run(own, "audit", "export", "-o", "csv")).out.splitlines())
    ]

    assert [line["hash"] for line in lines] == [_sha256_of_the_other_columns(line) for line in lines]
    assert len(lines) > 2
    assert lines == same == cells


def _sha256_of_the_other_columns(line: dict[str, Any]) -> str:
    others = {name: value for name, value in line.items() if name != "hash"}
    text = json.dumps(others, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
