"""`csms db`: what an operator types."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from csms.cli.main import csms
from csms.database.cluster import open_cluster
from csms.database.pool import connect_once


def run(data_dir: Path, *arguments: str) -> Result:
    return CliRunner().invoke(csms, ["--data-dir", str(data_dir), "db", *arguments])


def status(data_dir: Path) -> dict[str, Any]:
    answer = run(data_dir, "status", "-o", "json")
    assert answer.exit_code == 0, answer.output
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def in_database(data_dir: Path, statement: str) -> Any:
    async def ask() -> Any:
        async with open_cluster(data_dir, "attach_or_own") as dsn, connect_once(dsn) as connection:
            return await connection.fetchval(statement)

    return asyncio.run(ask())


def test_status_tells_what_is_pending_then_what_was_applied_and_what_protects(data_home: Path) -> None:
    in_database(data_home, "SELECT 1")  # a cluster, and nothing in it
    before = status(data_home)
    assert before["migrations_applied"] == []
    assert "0000_append_only" in before["migrations_pending"]

    planned = run(data_home, "migrate", "--dry-run", "-o", "json")
    assert [f"{each['version']:04}_{each['name']}" for each in json.loads(planned.stdout)] == before[
        "migrations_pending"
    ]
    assert status(data_home) == before

    applied = run(data_home, "migrate", "-o", "json")
    assert applied.exit_code == 0
    assert json.loads(applied.stdout) == json.loads(planned.stdout)
    assert all(each["purpose"] for each in json.loads(applied.stdout))

    after = status(data_home)
    assert after["migrations_pending"] == after["migrations_newer"] == []
    assert after["migrations_applied"] == before["migrations_pending"]
    assert after["role_protects"] is True
    assert "bill" in after["append_only_tables"]
    assert after["owner_pid"] is None


@pytest.fixture
def with_a_policy(data_home: Path) -> Path:
    """A data directory whose database holds one row that is append-only."""
    data_dir = data_home / "old"
    assert run(data_dir, "migrate").exit_code == 0
    in_database(data_dir, "INSERT INTO policy (kind, version, body) VALUES ('review', 7, '{\"limit\": 150}')")
    return data_dir


def test_a_backup_restores_into_an_empty_database_append_only_tables_included(
    with_a_policy: Path, data_home: Path
) -> None:
    dump = data_home / "csms.dump"
    assert json.loads(run(with_a_policy, "backup", str(dump), "-o", "json").stdout)["size_bytes"] == dump.stat().st_size

    restored = run(data_home / "new", "restore", str(dump), "-o", "json")

    assert restored.exit_code == 0, restored.output
    assert in_database(data_home / "new", "SELECT body->>'limit' FROM policy WHERE version = 7") == "150"
    assert status(data_home / "new")["append_only_tables"] == status(with_a_policy)["append_only_tables"]
    assert status(data_home / "new")["role_protects"] is True


def test_a_restore_into_a_database_that_is_not_empty_is_refused(with_a_policy: Path, data_home: Path) -> None:
    dump = data_home / "csms.dump"
    run(with_a_policy, "backup", str(dump))

    refused = run(with_a_policy, "restore", str(dump))

    assert refused.exit_code == 5
    assert "not empty" in refused.stderr


def test_a_backup_overwrites_nothing_and_leaves_no_half_of_itself(with_a_policy: Path, data_home: Path) -> None:
    dump = data_home / "precious"
    dump.write_text("something else")

    refused = run(with_a_policy, "backup", str(dump))

    assert refused.exit_code == 7
    assert dump.read_text() == "something else"
    assert not dump.with_name("precious.part").exists()


def test_a_file_that_is_no_backup_changes_nothing(data_home: Path) -> None:
    nonsense = data_home / "nonsense.dump"
    nonsense.write_text("not a dump")

    failed = run(data_home / "new", "restore", str(nonsense))

    assert failed.exit_code == 1
    assert "pg_restore failed" in failed.stderr
    assert status(data_home / "new")["migrations_applied"] == []


def test_psql_acts_as_the_application_and_hands_its_failure_on(with_a_policy: Path) -> None:
    assert run(with_a_policy, "psql", "-qc", "SELECT 1 FROM policy").exit_code == 0
    assert run(with_a_policy, "psql", "-qc", "DELETE FROM policy").exit_code == 1
    assert in_database(with_a_policy, "SELECT count(*) FROM policy") >= 1
