"""csms tax: rules as an operator enters them, and who is told what."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_room import environment, run

CSV = """\
id,country,customer,vat_id,supply,rate,category,note,valid_from,valid_to
DE-2007,DE,,,,19,S,,2007-01-01,2020-06-30
DE-2020,DE,,,,16,S,,2020-07-01,2020-12-31
DE-2021,DE,,,,19,S,,2021-01-01,
DE-AE,DE,business,foreign,,0,AE,Reverse charge,2021-01-01,
"""


@pytest.fixture
async def own(data_home: Path, database: str) -> dict[str, str]:
    """An installation whose rules are nobody else's: a site in Germany, one charge point, one card."""
    env = environment(data_home / "data", CSMS_DATABASE_URL=database)
    made = (
        ("site", "create", "depot", "--name", "D", "--country", "DE", "--time-zone", "Europe/Berlin", "--currency", "EUR"),
        ("cp", "create", "CP-1", "--site", "depot"),
        ("token", "issue", "04ab", "--group", "VANS"),
    )  # fmt: skip
    for each in made:
        assert (await run(env, *each)).code == 0
    return env


async def test_a_file_of_rules_is_taken_in_all_or_none(own: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "rules.csv"
    file.write_text(CSV)
    tried = await run(own, "tax", "rule", "import", file, "--dry-run", "-o", "json")
    empty = await run(own, "tax", "rule", "list", "-o", "json")
    made = await run(own, "tax", "rule", "import", file, "-o", "json")
    again = await run(own, "tax", "rule", "import", file, "-o", "json")
    file.write_text(CSV + "DE-E,DE,,,,7,E,,soon,\nDE-Q,DE,,,,x,S,,2021-01-01,\n")
    wrong = await run(own, "tax", "rule", "import", file)
    listed = await run(own, "tax", "rule", "list", "--country", "DE", "-o", "json")

    assert [(each["new"], each["dry_run"]) for each in tried.json] == [(True, True)] * 4
    assert empty.json == []
    assert [each["new"] for each in made.json] == [True] * 4
    assert [each["new"] for each in again.json] == [False] * 4
    assert (wrong.code, wrong.error["details"]["problems"]) == (
        5,
        [
            "line 6: valid_from is a day such as 2021-01-01, not 'soon'",
            "line 7: rate is a percentage such as 19, not 'x'",
        ],
    )
    assert [each["id"] for each in listed.json] == ["DE-2007", "DE-2020", "DE-2021", "DE-AE"]
    assert list(listed.json[0]) == [
        "id", "country", "customer", "vat_id", "supply", "rate", "category", "note", "valid_from", "valid_to",
        "withdrawn", "actor", "entered_at",
    ]  # fmt: skip
    assert (listed.json[1]["rate"], listed.json[1]["valid_to"]) == ("16", "2020-12-31")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("id,country\n", "the header has no category"),
        ("id,country,rate,category,valid_from,colour\n", "no rule has colour"),
        ("id,country,rate,category,valid_from\nA,DE\n", "no rule was taken in: line 2: has not as many cells"),
        ("id,country,rate,category,valid_from\nA,DE,19,E,2021-01-01\n", "its rate is 0"),
        ("id,country,rate,category,valid_from\nA,DE,19,,2021-01-01\n", "names no category"),
        ("", "the header has no"),
        ('id,country,rate,category,valid_from\n"A,DE', "is no CSV"),
    ],
)
async def test_a_file_that_is_none_is_refused(data_home: Path, tmp_path: Path, text: str, word: str) -> None:
    file = tmp_path / "rules.csv"
    file.write_text(text)

    said = await run(environment(data_home), "tax", "rule", "import", file)

    assert (said.code, said.out) == (5, "")
    assert word in said.error["message"]


async def test_a_rule_is_added_ended_and_withdrawn(own: dict[str, str]) -> None:
    rule = ("--country", "DE", "--rate", "19", "--category", "S", "--from", "2021-01-01")
    tried = await run(own, "tax", "rule", "add", "DE-19", *rule, "--dry-run", "-o", "json")
    made = await run(own, "tax", "rule", "add", "DE-19", *rule, "-o", "json")
    again = await run(own, "tax", "rule", "add", "DE-19", *rule)
    other = await run(own, "tax", "rule", "add", "DE-20", *rule)
    ended = await run(own, "tax", "rule", "end", "DE-19", "--on", "2026-12-31", "-o", "json")
    gone = await run(own, "tax", "rule", "end", "DE-19", "--withdraw", "-o", "json")
    usage = await run(own, "tax", "rule", "end", "DE-19")

    assert (tried.json["dry_run"], made.json["rate"], made.json["valid_to"]) == (True, "19", None)
    assert (again.code, again.err) == (0, "it was there already\n")
    assert (other.code, other.error["next"]) == (5, "end it first: csms tax rule end DE-19 --on DAY")
    assert (ended.json["valid_to"], ended.json["withdrawn"]) == ("2026-12-31", False)
    assert (gone.json["valid_to"], gone.json["withdrawn"]) == (None, True)
    assert usage.code == 2


async def test_which_tells_the_decision_and_why_every_other_rule_does_not(own: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "rules.csv"
    file.write_text(CSV)
    asked = ("tax", "which", "--cp", "cp-1", "--at", "2026-05-01", "--supply", "energy", "-o", "json")
    none = await run(own, *asked)
    await run(own, "tax", "rule", "import", file)
    guest = await run(own, *asked)
    customer = await run(
        own, "tax", "customer", "set", "--token-group", "VANS", "--kind", "business", "--vat-id", "nl123456789b01",
        "--from", "2026-01-01", "-o", "json",
    )  # fmt: skip
    listed = await run(own, "tax", "customer", "list", "-o", "json")
    before = await run(own, "tax", "which", "--cp", "CP-1", "--at", "2006-01-01", "-o", "json")

    assert (none.code, none.json) == (0, [])
    assert guest.code == 0
    assert [(each["rule"], each["applies"]) for each in guest.json] == [
        ("DE-2021", True), ("DE-2007", False), ("DE-2020", False), ("DE-AE", False),
    ]  # fmt: skip
    assert guest.json[3]["why"] == "for business customers, this one is private"
    assert list(guest.json[0]) == ["supply", "applies", "rule", "rate", "category", "note", "why"]
    assert (customer.json["vat_id"], customer.json["token_group"]) == ("NL123456789B01", "VANS")
    assert [each["kind"] for each in listed.json] == ["business"]
    assert before.code == 6
    assert len(before.json) == 20


async def test_a_token_of_a_business_has_the_rule_for_its_vat_id(own: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "rules.csv"
    file.write_text(CSV)
    await run(own, "tax", "rule", "import", file)
    said = await run(
        own, "tax", "customer", "set", "--token", "04ab", "--kind", "business", "--vat-id", "NL123456789B01"
    )
    wrong = await run(own, "tax", "customer", "set", "--token", "04ab", "--kind", "business", "--vat-id", "NL1")
    both = await run(own, "tax", "customer", "set", "--token", "04ab", "--token-group", "VANS", "--kind", "private")
    which = await run(own, "tax", "which", "--cp", "CP-1", "--token", "04AB", "--supply", "flat")

    assert said.code == 0
    assert (wrong.code, wrong.error["message"]) == (
        5, "NL1 is no VAT id: it has not the form of one that begins with NL",
    )  # fmt: skip
    assert both.code == 2
    assert which.code == 0
    assert which.out.splitlines()[1].split("\t")[:3] == ["flat", "yes", "DE-AE"]
    assert "DE, business customer with VAT id NL123456789B01, tax point" in which.err
