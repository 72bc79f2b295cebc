"""csms db verify and csms db rebuild, as scripts see them."""

from __future__ import annotations

from pathlib import Path

from cli_room import Installation, environment, run, serving

FIGURES = [
    "schema", "role_protects", "append_only_tables", "sessions", "waiting", "no_longer_kept", "bills", "differing", "tables", "differences",
]  # fmt: skip
ROW = ["session", "bill", "what", "stored", "recomputed", "next"]


async def _changed_by_hand(shop: Installation, statement: str) -> None:
    async with shop.connection() as connection:
        await connection.execute("RESET ROLE")
        await connection.execute(statement)


async def test_a_change_by_hand_is_told_on_stdout_and_by_the_exit_status_until_it_is_rebuilt(data_home: Path) -> None:
    dump = data_home / "csms.dump"
    with serving(data_home / "data") as shop:
        await shop.furnish()
        session = await shop.rated_session("VERIFY-1")
        clean = await shop.csms("db", "verify", "-o", "json")
        await _changed_by_hand(shop, "UPDATE session SET energy_wh = energy_wh + 1")
        await shop.data("db", "backup", dump)
        live = await shop.csms("db", "verify", "-o", "json")
        planned = await shop.csms("db", "rebuild", "--dry-run", "-o", "json")
        lines = await shop.csms("db", "verify", "-o", "csv")
        table = await shop.csms("db", "verify")
        done = await shop.csms("db", "rebuild", "-o", "json")
        after = await shop.csms("db", "rebuild", "-o", "json")
    backup = await run(environment(data_home / "nowhere"), "db", "verify", dump, "-o", "json")

    assert (clean.code, list(clean.json)) == (0, FIGURES)
    assert (clean.json["sessions"], clean.json["tables"]["session"], clean.json["tables"]["token_event"]) == (1, 1, 1)
    assert clean.json["bills"] == clean.json["tables"]["bill"] >= 1
    assert [each.code for each in (live, planned, backup, lines, table)] == [6] * 5
    [row] = live.json["differences"]
    assert list(row) == ROW
    assert (row["session"], row["what"], row["stored"], row["recomputed"]) == (
        session["id"], "energy_wh", "10001.000", "10000.000",
    )  # fmt: skip
    assert planned.json["differences"] == backup.json["differences"] == done.json["differences"] == [row]
    assert lines.out.splitlines()[0] == ",".join(ROW)
    assert "rows" in table.out
    assert (planned.json["rebuilt"], planned.json["left"], planned.json["dry_run"]) == (1, 0, True)
    assert (done.code, done.json["rebuilt"], done.json["left"]) == (0, 1, 0)
    assert (after.code, after.json["differences"]) == (0, [])


async def test_an_append_only_table_that_somebody_unlocked_is_told_with_what_locks_it_again(data_home: Path) -> None:
    alone = environment(data_home / "data")
    await run(alone, "db", "migrate")
    await run(alone, "db", "psql", "--owner", "-c", "ALTER TABLE bill DISABLE TRIGGER append_only_row")
    said = await run(alone, "db", "verify", "-o", "json")
    [row] = said.json["differences"]
    repair = row["next"].partition('-c "')[2].rstrip('"')
    await run(alone, "db", "psql", "--owner", "-c", repair)

    assert (said.code, row["session"], row["what"], row["stored"]) == (6, None, "table bill", "may be changed")
    assert (await run(alone, "db", "verify")).code == 0


async def test_a_file_that_is_no_backup_is_an_error_and_leaves_nothing(data_home: Path) -> None:
    nonsense = data_home / "nonsense.dump"
    nonsense.write_text("not a dump")
    said = await run(environment(data_home / "nowhere"), "db", "verify", nonsense)

    assert (said.code, said.out) == (1, "")
    assert "pg_restore failed" in said.error["message"]
    assert not (data_home / "nowhere").exists()
