"""What commands print: data as asked, failures as one JSON object and a documented status."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from billing import (
    INSTANT,
    AlreadyDone,
    CliError,
    CommandGroup,
    ExitCode,
    NotFound,
    Output,
    Refused,
    async_command,
    output_options,
    printable,
)

BERLIN_SUMMER = timezone(timedelta(hours=2))
ROWS: list[dict[str, object]] = [
    {"id": "CP-1", "paid": Decimal("12.30"), "at": datetime(2026, 7, 1, 12, tzinfo=BERLIN_SUMMER), "holds": {"b", "a"}},
    {"id": "K\u00f6ln", "paid": None, "at": None, "holds": set[str]()},
]


@click.group(cls=CommandGroup)
def tool() -> None:
    pass


@tool.command("list")
@click.option("--empty", is_flag=True)
@output_options
@async_command
async def list_rows(output: Output, empty: bool) -> None:
    rows: list[dict[str, object]] = [] if empty else ROWS
    output.rows(rows, columns=("id", "paid", "at", "holds"))


@tool.command()
@output_options
def show(output: Output) -> None:
    output.note("looking")
    output.one({"name": "a\x1b[31m\udc80", "ok": True})


@tool.command()
@click.argument("how")
@async_command
async def fail(how: str) -> None:
    failures = {
        "missing": NotFound("no session 7", "list them with csms session list"),
        "refused": Refused("another currency", "take one in EUR", details={"currency": "CHF"}),
        "done": AlreadyDone("already released", "nothing"),
        "late": CliError("no answer", "ask again", ExitCode.TIMEOUT),
        "abort": click.Abort(),
    }
    raise failures[how]


@tool.command()
@click.option("--from", "start", type=INSTANT)
@output_options
def since(start: datetime, output: Output) -> None:
    output.one({"start": start})


def run(*arguments: str) -> Result:
    return CliRunner().invoke(tool, arguments)


def test_json_has_amounts_as_strings_and_times_in_utc() -> None:
    first, second = json.loads(run("list", "-o", "json").stdout)

    assert first == {"id": "CP-1", "paid": "12.30", "at": "2026-07-01T10:00:00Z", "holds": ["a", "b"]}
    assert second == {"id": "K\u00f6ln", "paid": None, "at": None, "holds": []}


def test_jsonl_is_one_object_a_line() -> None:
    lines = run("list", "--output", "jsonl").stdout.splitlines()

    assert [json.loads(line)["id"] for line in lines] == ["CP-1", "K\u00f6ln"]


def test_csv_has_a_header_even_without_rows() -> None:
    assert run("list", "-o", "csv", "--empty").stdout == "id,paid,at,holds\n"
    assert run("list", "-o", "csv").stdout.splitlines()[1] == 'CP-1,12.30,2026-07-01T10:00:00Z,"[""a"", ""b""]"'


def test_a_table_into_a_pipe_is_tab_separated() -> None:
    assert run("list").stdout.splitlines()[1] == "CP-1\t12.30\t2026-07-01T10:00:00Z\ta, b"


def test_fields_choose_and_order() -> None:
    assert run("list", "-o", "csv", "--fields", "paid,id").stdout.splitlines() == [
        "paid,id",
        "12.30,CP-1",
        ",K\u00f6ln",
    ]


def test_an_unknown_field_is_a_usage_error_that_names_the_fields() -> None:
    result = run("list", "--fields", "price")

    assert result.exit_code == ExitCode.USAGE
    assert "paid" in json.loads(result.stderr)["message"]


def test_escape_sequences_of_a_charge_point_are_shown_not_obeyed() -> None:
    result = run("show")

    assert "\x1b" not in result.stdout
    assert "\\x1b[31m\\udc80" in result.stdout
    assert result.stderr == "looking\n"
    assert json.loads(run("show", "-o", "json").stdout)["name"] == "a\x1b[31m\udc80"


@pytest.mark.parametrize(("how", "status"), [("missing", 3), ("refused", 5), ("done", 7), ("late", 124), ("abort", 1)])
def test_a_failure_is_one_json_object_on_stderr_with_its_status(how: str, status: int) -> None:
    result = run("fail", how)
    error = json.loads(result.stderr)

    assert result.exit_code == status
    assert error["code"]
    assert error["message"]
    assert error["next"]
    assert result.stdout == ""


def test_usage_errors_have_the_same_form() -> None:
    result = run("fail")

    assert result.exit_code == ExitCode.USAGE
    assert json.loads(result.stderr)["code"] == "usage"


@pytest.mark.parametrize("text", ["2026-07-01T12:00:00+02:00", "2026-07-01T10:00:00Z", "2026-07-01T10:00:00"])
def test_an_instant_without_offset_is_utc(text: str) -> None:
    assert INSTANT.convert(text, None, None) == datetime(2026, 7, 1, 10, tzinfo=UTC)
    assert json.loads(run("since", "--from", text, "-o", "json").stdout) == {"start": "2026-07-01T10:00:00Z"}


def test_text_that_is_no_instant_is_refused() -> None:
    assert run("since", "--from", "yesterday").exit_code == ExitCode.USAGE


def test_printable_keeps_letters_of_every_script() -> None:
    assert printable("Köln 東京") == "Köln 東京"


NESTED: dict[str, object] = {
    "id": "CP-1",
    "evses": [{"evse": 1, "at": datetime(2026, 7, 1, 12, tzinfo=BERLIN_SUMMER)}, {"evse": 2, "at": None}],
    "tariff": {"id": "day", "elements": [{"prices": [{"type": "ENERGY", "price": "0.49"}]}, {"prices": []}]},
    "nothing": [],
}


@tool.command("parts")
@output_options
def show_parts(output: Output) -> None:
    output.one(NESTED)


@tool.command("watch")
@output_options
def watch_rows(output: Output) -> None:
    stream = output.stream(("id", "paid"), also=("at", "holds"))
    for row in ROWS:
        stream.send(row)


def test_parts_of_a_thing_are_indented_below_its_name() -> None:
    assert run("parts").stdout.splitlines() == [
        "id\tCP-1",
        "evses",
        "  evse\tat",
        "  1\t2026-07-01T10:00:00Z",
        "  2\t",
        "tariff",
        "  id\tday",
        "  elements",
        "    -",
        "      prices",
        "        type\tprice",
        "        ENERGY\t0.49",
        "    -",
        "      prices\t",
        "nothing\t",
    ]


def test_parts_of_a_thing_are_tables_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")  # no styles
    Output().one(NESTED)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]

    assert [line.split() for line in lines] == [
        ["id", "CP-1"],
        ["evses", "evse", "at"],
        ["1", "2026-07-01T10:00:00Z"],
        ["2"],
        ["tariff", "id", "day"],
        ["elements", "prices"],
        ["type", "price"],
        ["ENERGY", "0.49"],
        [],
        ["nothing"],
    ]


def test_parts_stay_what_they_are_for_machines() -> None:
    shown = json.loads(run("parts", "-o", "json").stdout)

    assert shown["tariff"] == NESTED["tariff"]
    assert shown["evses"][0] == {"evse": 1, "at": "2026-07-01T10:00:00Z"}


def test_a_stream_says_its_names_once() -> None:
    assert run("watch").stdout == "id\tpaid\nCP-1\t12.30\nK\u00f6ln\t\n"
    assert run("watch", "-o", "csv", "--fields", "paid,id").stdout == "paid,id\n12.30,CP-1\n,K\u00f6ln\n"
    lines = [json.loads(line) for line in run("watch", "-o", "jsonl").stdout.splitlines()]
    assert [list(line) for line in lines] == [["id", "paid", "at", "holds"]] * 2
    assert [json.loads(line) for line in run("watch", "-o", "jsonl", "--fields", "at").stdout.splitlines()] == [
        {"at": "2026-07-01T10:00:00Z"},
        {"at": None},
    ]


def test_a_stream_refuses_a_field_that_it_will_never_have() -> None:
    result = run("watch", "--fields", "price")

    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    assert "holds" in json.loads(result.stderr)["message"]
