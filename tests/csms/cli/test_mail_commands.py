"""csms mail: what operators see of mails, and decide of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from cli_room import Said, environment, run

from tests.billing.mail.mail_room import HOST, Got, Inbox, PostOffice, letter, serving
from tests.billing.mail.test_mail_reports import FAILED, FULL, report

SENDER = {"CSMS_MAIL_SENDER": "Example Charging <billing@operator.example>", "CSMS_SMTP_TLS": "none"}


@pytest.fixture
def env(data_home: Path, database: str) -> dict[str, str]:
    return environment(data_home / "data", CSMS_DATABASE_URL=database, CSMS_ACTOR="Olga")


@pytest.fixture
def office(pool: asyncpg.Pool) -> PostOffice:
    return PostOffice(pool)


@pytest.fixture
async def server() -> AsyncIterator[tuple[Inbox, int]]:
    inbox = Inbox()
    async with serving(inbox) as port:
        yield inbox, port


async def doubtful(office: PostOffice, port: int, inbox: Inbox) -> None:
    """A mail of which nobody knows whether the server has it."""

    async def say_nothing_of_use(_got: Got) -> str:
        return "199 well"

    inbox.on_message = say_nothing_of_use
    await office.queue(letter("invoice 1", account=None))
    await office.service(port).sweep()
    inbox.on_message = None


async def test_mails_are_listed_and_shown_with_all_that_became_of_them(
    env: dict[str, str], office: PostOffice, server: tuple[Inbox, int]
) -> None:
    inbox, port = server
    inbox.on_recipient = lambda address: "550 5.1.1 User unknown" if "ben" in address else None
    await office.queue(
        letter("invoice 1", ["anna@customer.example", "ben@customer.example"]), letter("2", kind="reminder")
    )
    await office.service(port).sweep()

    listed = await run(env, "mail", "list", "-o", "json")
    failed = await run(
        env, "mail", "list", "--state", "failed", "--kind", "invoice", "--since", "2026-01-01", "-o", "json"
    )
    other = await run(env, "mail", "list", "--key", "2", "--account", "A-1", "-o", "json")
    shown = await run(env, "mail", "show", str(failed.json[0]["id"]), "-o", "json")
    table = await run(env, "mail", "show", str(failed.json[0]["id"]))
    none = await run(env, "mail", "show", "99")

    assert [(each["key"], each["address"], each["state"]) for each in listed.json] == [
        ("invoice 1", "ben@customer.example", "failed"), ("invoice 1", "anna@customer.example", "sent"),
        ("2", "anna@customer.example", "sent"),
    ]  # fmt: skip
    assert [(each["event"], each["code"], each["words"]) for each in failed.json] == [
        ("refused", 550, "RCPT: 550 5.1.1 User unknown"),
    ]  # fmt: skip
    assert other.json == []
    assert shown.json["content"]["subject"] == "Your invoice invoice 1"
    assert [each["kind"] for each in shown.json["events"]] == ["refused"]
    assert "ben@customer.example" in table.out
    assert (none.code, none.error["message"]) == (3, "no mail 99")


async def test_a_doubtful_mail_is_settled_once_with_who_and_why(
    env: dict[str, str], office: PostOffice, server: tuple[Inbox, int]
) -> None:
    await doubtful(office, server[1], server[0])
    why = ("--reason", "in the log of the mail server")

    neither = await run(env, "mail", "settle", "1", *why)
    silent = await run(env, "mail", "settle", "1", "--delivered")
    retried = await run(env, "mail", "retry", "1", *why)
    tried = await run(env, "mail", "settle", "1", "--resend", *why, "--dry-run", "-o", "json")
    settled = await run(env, "mail", "settle", "1", "--delivered", *why, "-o", "json")
    again = await run(env, "mail", "settle", "1", "--resend", *why)
    shown = await run(env, "mail", "show", "1", "-o", "json")

    assert (neither.code, silent.code) == (2, 2)
    assert (retried.code, retried.error["next"]) == (5, "find out, then: csms mail settle 1 --delivered, or --resend")
    assert tried.json == {"id": 1, "state": "retry", "dry_run": True}
    assert settled.json == {"id": 1, "state": "sent"}
    assert again.code == 5
    assert [(each["kind"], each["actor"], each["reason"]) for each in shown.json["events"]] == [
        ("unanswered", None, None), ("settled", "Olga", "in the log of the mail server"),
    ]  # fmt: skip


async def test_mails_are_cancelled_and_tried_again(env: dict[str, str], office: PostOffice) -> None:
    await office.queue(letter("1"), letter("2", "no address"))
    why = ("--reason", "the invoice was credited")

    cancelled = await run(env, "mail", "cancel", "1", *why, "-o", "json")
    twice = await run(env, "mail", "cancel", "1", *why)
    again = await run(env, "mail", "retry", "1", *why, "-o", "json")
    no_address = await run(env, "mail", "retry", "--failed-since", "2026-01-01", *why)
    none = await run(env, "mail", "retry", "--failed-since", "2026-01-01", "--kind", "reminder", *why, "-o", "json")
    usage = [await run(env, "mail", "retry", *each, *why) for each in ((), ("1", "--kind", "invoice"))]

    assert cancelled.json == {"id": 1, "state": "cancelled"}
    assert twice.code == 7
    assert again.json == [{"id": 1, "state": "retry"}]
    assert (no_address.code, "which is no address" in no_address.error["message"]) == (5, True)
    assert none.json == []
    assert [each.code for each in usage] == [2, 2]


async def test_reports_are_taken_in_and_suppressions_lifted(
    env: dict[str, str], office: PostOffice, server: tuple[Inbox, int], tmp_path: Path
) -> None:
    inbox, port = server
    await office.queue(letter("1"), letter("2", "ben@customer.example"))
    await office.service(port).sweep()
    anna, ben = (each.envelope_id for each in inbox.got)
    files = {
        "anna.eml": report(FAILED, envelope_id=anna),
        "ben.eml": report(FULL, envelope_id=ben),
        "other.eml": report(FAILED),
        "away.eml": b"Subject: out of office\n\nback on Monday\n",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    paths = [tmp_path / name for name in files]

    tried = await run(env, "mail", "bounce", "import", paths[0], "--dry-run", "-o", "json")
    taken = await run(env, "mail", "bounce", "import", *paths, "-o", "json")
    again = await run(env, "mail", "bounce", "import", paths[0], "-o", "json")
    piped = await run(env, "mail", "bounce", "import", "-", "-o", "json", stdin=files["away.eml"])
    held = await run(env, "mail", "suppression", "list", "-o", "json")
    lifted = await run(
        env, "mail", "suppression", "lift", "Anna@customer.example", "--reason", "she is back", "-o", "json"
    )
    twice = await run(env, "mail", "suppression", "lift", "anna@customer.example", "--reason", "she is back")
    after = await run(env, "mail", "suppression", "list", "-o", "json")
    history = await run(env, "mail", "suppression", "list", "--lifted", "-o", "json")

    assert [(each["delivery"], each["dry_run"]) for each in tried.json] == [(1, True)]
    assert taken.code == 8
    assert [(each["delivery"], each["event"], each["bounced"], each["suppressed"]) for each in taken.json] == [
        (1, "bounced", True, True), (2, "bounced", True, False),
    ]  # fmt: skip
    assert "the report is of no mail of ours" in taken.err
    assert "away.eml" in taken.err
    assert (again.code, again.json) == (0, [])
    assert piped.code == 8
    assert [(each["address"], each["status"], each["key"]) for each in held.json] == [
        ("anna@customer.example", "5.1.1", "1")
    ]
    assert (lifted.json["lifted_by"], lifted.json["lifted_reason"]) == ("Olga", "she is back")
    assert twice.code == 3
    assert (after.json, [each["lifted_by"] for each in history.json]) == ([], ["Olga"])


async def test_a_test_mail_shows_what_the_server_says(env: dict[str, str], server: tuple[Inbox, int]) -> None:
    inbox, port = server
    to = {**env, **SENDER, "CSMS_SMTP_HOST": HOST, "CSMS_SMTP_PORT": str(port)}

    sent = await run(to, "mail", "test", "--to", "me@operator.example", "-o", "json")
    inbox.on_recipient = lambda _address: "550 5.7.1 not from you"
    refused = await run(to, "mail", "test", "--to", "me@operator.example", "-o", "json")
    nobody = await run(to, "mail", "test", "--to", "me")
    unset = await run(env, "mail", "test", "--to", "me@operator.example")

    assert sent.code == 0
    assert [each["step"].split()[0] for each in sent.json] == ["connect", "EHLO", "MAIL", "RCPT", "DATA", "message"]
    assert [got.mail["From"] for got in inbox.got] == ["Example Charging <billing@operator.example>"]
    assert (refused.code, refused.error["message"]) == (
        1, "the mail was not accepted: RCPT was answered with 550 5.7.1 not from you",
    )  # fmt: skip
    assert (nobody.code, unset.code) == (5, 5)
    assert "CSMS_SMTP_HOST" in unset.error["next"]


async def test_a_server_that_is_not_there_is_told(env: dict[str, str]) -> None:
    async with serving(Inbox()) as port:
        pass
    to = {**env, **SENDER, "CSMS_SMTP_HOST": HOST, "CSMS_SMTP_PORT": str(port)}

    said = await run(to, "mail", "test", "--to", "me@operator.example")

    assert said.code == 1
    assert str(port) in said.error["message"]


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"CSMS_SMTP_HOST": HOST}, "CSMS_MAIL_SENDER"),
        ({"CSMS_MAIL_SENDER": "nobody"}, "no ADDRESS or NAME <ADDRESS>"),
        ({"CSMS_SMTP_TLS": "sometimes"}, "CSMS_SMTP_TLS"),
        ({"CSMS_SMTP_USER": "csms"}, "CSMS_SMTP_PASSWORD_FILE"),
        ({"CSMS_SMTP_PASSWORD": "s3cret-password"}, "CSMS_SMTP_USER"),
        (
            {"CSMS_SMTP_USER": "csms", "CSMS_SMTP_PASSWORD": "s3cret-password", "CSMS_SMTP_TLS": "none", "CSMS_SMTP_HOST": "mail.example"},
            "does not go unencrypted",
        ),
        (
            {"CSMS_SMTP_USER": "csms", "CSMS_SMTP_PASSWORD": "s3cret-password", "CSMS_SMTP_PASSWORD_FILE": "/dev/null"},
            "one of them",
        ),
        ({"CSMS_MAIL_RETURN_PATH": "bounces+{id}"}, "CSMS_MAIL_RETURN_PATH"),
        ({"CSMS_SMTP_CLIENT_NAME": "two words"}, "CSMS_SMTP_CLIENT_NAME"),
    ],
)  # fmt: skip
async def test_settings_of_mail_that_cannot_be_are_refused_without_the_password(
    env: dict[str, str], given: dict[str, str], word: str
) -> None:
    said: Said = await run({**env, **given}, "mail", "list")

    assert said.code == 2
    assert word in said.error["message"]
    assert "s3cret-password" not in said.err


async def test_the_password_may_lie_in_a_file(env: dict[str, str], tmp_path: Path) -> None:
    inbox = Inbox()
    file = tmp_path / "password"
    file.write_text("s3cret-password\n")
    async with serving(inbox, login=("csms", "s3cret-password")) as port:
        to = {
            **env, **SENDER, "CSMS_SMTP_HOST": HOST, "CSMS_SMTP_PORT": str(port), "CSMS_SMTP_USER": "csms",
            "CSMS_SMTP_PASSWORD_FILE": str(file),
        }  # fmt: skip
        sent = await run(to, "mail", "test", "--to", "me@operator.example", "-o", "json")
        file.unlink()
        gone = await run(to, "mail", "test", "--to", "me@operator.example")

    assert [each for each in sent.json if each["step"] == "AUTH ***"] == [{"step": "AUTH ***", "answer": "235"}]
    assert "s3cret-password" not in sent.out + sent.err
    assert len(inbox.got) == 1
    assert (gone.code, "CSMS_SMTP_PASSWORD_FILE" in gone.error["next"]) == (5, True)
