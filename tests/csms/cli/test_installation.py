"""The installation itself: serve, who owns the database, settings, help, errors."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from cli_room import Installation, environment, run, serving
from click.testing import CliRunner

from csms.cli.main import csms
from csms.database.cluster import owner_of

COMMANDS = {
    "account": {"close", "create", "export", "list", "pseudonymise", "set", "show", "token"},
    "archive": {"expire", "export", "hold", "list", "retention", "show", "verify"},
    "audit": {"export", "log", "verify"},
    "bill": {"cdr", "list", "run", "show"},
    "brand": {"create", "list", "set", "show"},
    "certificate": {
        "alarms", "authority", "delete", "expiring", "inquiries", "install", "list", "renew", "revoke", "show",
    },
    "close": {"lock", "pack", "reopen", "run", "status"},
    "completion": None,
    "contract": {"change", "create", "discount", "list", "margin", "milestone", "milestones", "orders", "reminders", "renew", "run", "show", "subscribe", "template", "terminate", "token", "unsubscribe"},
    "cp": {
        "availability", "clear-cache", "config", "create", "customer-information", "data-transfer", "disconnect", "doctor", "key", "list", "password", "quirks", "reset", "security-profile", "set", "show", "start", "stop", "trace", "trigger", "unlock",
    },
    "credit": {"correct", "create", "list", "reissue"},
    "db": {"backup", "migrate", "psql", "rebuild", "restore", "status", "verify"},
    "demo": None,
    "discount": {"add", "end", "list", "redeem", "show", "which"},
    "display": {"clear", "list", "set"},
    "document": {"fields", "preview", "template"},
    "file": {"add", "delete", "get", "list", "show"},
    "firmware": {"add", "delete", "list", "publish", "rollout", "status", "unpublish", "update"},
    "incentive": {"add", "claims", "end", "list", "show"},
    "invoice": {"draft", "einvoice", "list", "render", "run", "self-bill", "send", "series", "show", "validate", "verify"},
    "item": {"add", "cancel", "list"},
    "ledger": {
        "accounts", "balance", "check", "datev", "export", "exports", "map", "postings", "reverse", "rules",
    },
    "local-list": {"list", "send", "show"},
    "log": {"collect", "get", "list", "status"},
    "mail": {"bounce", "cancel", "list", "retry", "settle", "show", "suppression", "test"},
    "monitor": {"base", "clear", "events", "level", "list", "set"},
    "node": {"haproxy-example", "list"},
    "plan": {"create", "list", "show", "version"},
    "policy": {"list", "set", "show"},
    "price-series": {"import", "list", "show"},
    "profile": {"clear", "composite", "list", "set", "show"},
    "quirk": {"list", "show"},
    "report": {"open-items", "revenue", "tax", "trial-balance", "unbilled"},
    "reservation": {"cancel", "create", "list", "show"},
    "review": {"drop", "list", "release", "show"},
    "security": {"list", "show", "summary"},
    "seller": {"create", "list", "set", "show", "site", "sites"},
    "serve": None,
    "session": {"evidence", "explain", "facts", "limit", "list", "orphans", "rerate", "show", "watch"},
    "sim": {"fleet", "replay", "run"},
    "site": {"create", "groups", "join", "leave", "limit", "list", "profile", "show"},
    "surcharge": {"add", "end", "list", "show"},
    "tariff": {
        "assign", "assignments", "create", "export", "jurisdictions", "lint", "list", "price", "publish", "recalculate", "show",
        "simulate", "trail", "unassign", "which",
    },
    "tax": {"customer", "rule", "which"},
    "template": {"apply", "create", "diff", "drift", "list", "show"},
    "token": {"block", "issue", "limit", "list", "unblock"},
}  # fmt: skip


def paths(command: click.Command, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every group and command, as typed."""
    if not isinstance(command, click.Group):
        return [path]
    context = click.Context(command)
    found = [path]
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        assert below is not None
        found += paths(below, (*path, name))
    return found


def test_the_commands_are_those_that_scripts_rely_on() -> None:
    typed = paths(csms)
    below = {name: {path[1] for path in typed if path[0:1] == (name,) and len(path) > 1} or None for name in COMMANDS}

    assert {path[0] for path in typed if path} == set(COMMANDS)
    assert below == COMMANDS
    assert {path[2] for path in typed if path[:2] == ("cp", "config") and len(path) > 2} == {
        "diff",
        "get",
        "network",
        "report",
        "set",
        "show",
    }


@pytest.mark.parametrize("path", paths(csms), ids=lambda path: " ".join(("csms", *path)))
def test_help_begins_with_a_sentence_and_has_an_example(path: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(csms, [*path, "--help"])

    assert shown.exit_code == 0, shown.output
    usage, _, rest = shown.stdout.partition("\n\n")
    sentence, *more = rest.split("\n\n")
    assert usage.startswith("Usage: csms")
    assert sentence.strip().partition(".")[0][0].isupper()
    assert "." in sentence
    examples = next(part for part in more if part.lstrip().startswith("Example")).splitlines()
    assert examples[0].strip() in {"Example:", "Examples:"}, rest
    assert all("csms" in line for line in examples[1:]), rest


def test_serve_says_once_where_it_listens(shop: Installation) -> None:
    ready = shop.ready

    assert list(ready) == ["event", "ocpp_url", "http_url", "data_dir", "version"]
    assert ready["event"] == "ready"
    assert ready["ocpp_url"].startswith("ws://127.0.0.1:")
    assert ready["ocpp_url"].endswith("/ocpp")
    assert ready["http_url"].startswith("http://127.0.0.1:")
    assert (ready["data_dir"], ready["version"]) == (str(shop.data_dir), version("csms"))
    for path, wanted in {"/healthz": "alive", "/readyz": "ready", "/metrics": "csms_connections"}.items():
        with urllib.request.urlopen(ready["http_url"] + path, timeout=10) as answer:  # noqa: S310 - ours
            assert wanted in answer.read().decode()


async def test_a_second_server_on_the_same_data_refuses_and_names_the_first(shop: Installation) -> None:
    second = await shop.csms("serve", "--ocpp-port", "0", "--http-port", "0")

    assert (second.code, second.out) == (7, "")
    assert second.error["code"] == "cluster_in_use"
    assert f"pid {shop.pid}" in second.error["message"]


async def test_a_command_attaches_to_the_server_and_owns_the_database_without_one(
    shop: Installation, data_home: Path
) -> None:
    alone = environment(data_home / "alone")
    await run(alone, "db", "migrate")
    listed = await run(alone, "site", "list", "-o", "json")

    assert (await shop.data("db", "status"))["owner_pid"] == shop.pid
    assert listed.json == []
    assert (data_home / "alone" / "postgres" / "PG_VERSION").exists()
    assert owner_of(data_home / "alone") is None


async def test_the_data_directory_may_stand_before_and_behind_the_verb(shop: Installation) -> None:
    elsewhere = environment(None)
    before, behind = await asyncio.gather(
        run(elsewhere, "--data-dir", shop.data_dir, "site", "show", "harbour", "-o", "json"),
        run(elsewhere, "site", "show", "harbour", "-o", "json", "--data-dir", shop.data_dir),
    )

    assert before.json == behind.json
    assert before.json["name"] == "Harbour Car Park"


async def test_any_postgres_will_do(database: str, data_home: Path) -> None:
    there = {"CSMS_DATABASE_URL": database}
    with serving(data_home / "data", **there) as shop:
        made = await shop.data(
            "site", "create", "north", "--name", "North", "--country", "PL", "--time-zone", "Europe/Warsaw",
            "--currency", "PLN",
        )  # fmt: skip
        password = await shop.csms("cp", "create", "CP-1", "--site", "north", "-o", "json")

    assert made["currency"] == "PLN"
    assert len(password.json["password"]) == 40
    assert not (data_home / "data" / "postgres").exists()
    status = await run(environment(data_home / "data", **there), "db", "status", "-o", "json")
    assert (status.json["owner_pid"], status.json["migrations_pending"]) == (None, [])


async def test_every_wrong_setting_is_reported_at_once(data_home: Path) -> None:
    wrong = environment(data_home, CSMS_NO_SUCH="1", CSMS_OCPP_PORT="none", CSMS_PING_INTERVAL_S="-1")
    said = await run(wrong, "serve")

    assert (said.code, said.out) == (2, "")
    named = [problem.split(":")[0] for problem in said.error["details"]["problems"]]
    assert sorted(named) == ["CSMS_NO_SUCH", "CSMS_OCPP_PORT", "CSMS_PING_INTERVAL_S"]
    assert "there is no such setting" in said.error["message"]


async def test_commands_to_charge_points_need_a_server(database: str, data_home: Path) -> None:
    alone = environment(data_home, CSMS_DATABASE_URL=database)
    await run(alone, "site", "create", "s", "--name", "S", "--country", "DE", "--time-zone", "UTC", "--currency", "EUR")
    await run(alone, "cp", "create", "CP-1", "--site", "s")
    said = await run(alone, "cp", "reset", "CP-1")

    assert (said.code, said.out) == (1, "")
    assert said.error["next"] == "start it with csms serve"


async def test_an_error_is_one_object_that_says_what_to_do(shop: Installation) -> None:
    wrong: list[tuple[tuple[str, ...], int, str]] = [
        (("no-such-group",), 2, "usage"),
        (("session", "show", "first"), 2, "usage"),
        (("session", "show", "99999999999999999999"), 2, "usage"),
        (("session", "list", "--since", "yesterday"), 2, "usage"),
        (("session", "show", "2000000000"), 3, "not_found"),
        (("cp", "show", "NO-SUCH-CP"), 3, "not_found"),
        (("cp", "reset", "NO-SUCH-CP"), 3, "not_found"),
        (("bill", "show", "2000000000"), 3, "not_found"),
        (("site", "list", "--fields", "id,no_such"), 2, "usage"),
        (("token", "block", "NEVER-ISSUED"), 3, "not_found"),
        (("token", "issue", b"\xff\xfe".decode(errors="surrogateescape")), 2, "usage"),
    ]
    said = await asyncio.gather(*(shop.csms(*arguments) for arguments, _, _ in wrong))

    assert [(each.code, each.error["code"]) for each in said] == [(code, kind) for _, code, kind in wrong]
    assert [each.out for each in said] == [""] * len(wrong)


async def test_a_list_comes_in_four_forms_with_the_same_names(shop: Installation) -> None:
    table, text, lines, comma = await asyncio.gather(
        *(
            shop.csms("site", "list", "-o", form, "--fields", "id,currency")
            for form in ("table", "json", "jsonl", "csv")
        )
    )

    assert {"id": "harbour", "currency": "EUR"} in text.json
    assert [json.loads(line) for line in lines.out.splitlines()] == text.json
    assert comma.out.splitlines()[0] == "id,currency"
    assert table.out.splitlines()[0] == "id\tcurrency"
    assert [line.split("\t") for line in table.out.splitlines()] == [line.split(",") for line in comma.out.splitlines()]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_a_shell_learns_to_complete_commands(data_home: Path, shell: str) -> None:
    script = await run(environment(data_home), "completion", shell)
    asked = {
        "bash": {"COMP_WORDS": "csms session ex", "COMP_CWORD": "2"},
        "zsh": {"COMP_WORDS": "csms session ex", "COMP_CWORD": "2"},
        "fish": {"COMP_WORDS": "csms session ex", "COMP_CWORD": "ex"},
    }[shell]
    completed = await run({**environment(data_home), "_CSMS_COMPLETE": f"{shell}_complete", **asked})

    assert script.code == 0
    assert f"_CSMS_COMPLETE={shell}_complete" in script.out
    assert "explain" in completed.out
