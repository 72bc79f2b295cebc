"""csms session evidence: what proves a session's kWh, in one file that a stranger can verify."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from billing import SESSION_ID, AlreadyDone, Format, Output, async_command, output_options
from csms.cli.context import connect
from csms.evidence.gathering import contents_of
from csms.evidence.pack import Contents, report, to_zip, verdict_of
from csms.sessions.cli import session

__all__ = ["session"]

COLUMNS = ("name", "verdict", "meter", "begin_end", "key_fingerprint", "why")


@session.command()
@click.argument("id_", metavar="ID", type=SESSION_ID)
@click.option(
    "--file", "path", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Where the pack is written; session-ID-evidence.zip in this directory unless said.",
)  # fmt: skip
@click.option("--show", "only_shown", is_flag=True, help="Only say what was found; write nothing.")
@output_options
@click.pass_context
@async_command
async def evidence(context: click.Context, id_: int, path: Path | None, only_shown: bool, output: Output) -> None:
    """Write one zip with all that proves a session's kWh and amount: the signed values in the format of the transparency
    software, the meter's registered key, the frames, the tariff, the explanation, and how to verify it offline.

    Signed values are verified with the keys that were registered when the session began (csms cp key).

    \b
    Examples:
      csms session evidence 42
      csms session evidence 42 --show -o json
      csms session evidence 42 --file /tmp/dispute.zip
    """
    async with connect(context) as connection:
        contents = await contents_of(connection, id_, now=datetime.now(UTC))
    if only_shown:
        _show(contents, output)
        return
    target = path or Path(f"session-{id_}-evidence.zip")
    _write(target, to_zip(contents))
    output.one(
        {
            "session": id_,
            "file": str(target),
            "profile": contents.profile,
            "is_whole": contents.evidence.is_whole,
            "verdict": verdict_of(contents.evidence),
            "energy_wh": contents.evidence.energy_wh,
            "values": len(contents.evidence.values),
            "frames": len(contents.frames),
        }
    )


def _write(target: Path, made: bytes) -> None:
    """A file of the same name is kept: it may be the evidence of another day."""
    if target.exists() and target.read_bytes() != made:
        raise AlreadyDone(f"{target} exists and is another", "name another file: --file")
    target.write_bytes(made)


def _show(contents: Contents, output: Output) -> None:
    found = report(contents)
    if output.format is not Format.TABLE or output.fields:
        output.one(found)
        return
    rows = [
        {
            **each,
            "begin_end": ", ".join(f"{part['reason']} {part['value']} {part['unit']}" for part in each["readings"]),
        }
        for each in found["values"]
    ]
    output.rows([{name: row[name] for name in COLUMNS} for row in rows], columns=COLUMNS)
    names = ("profile", "is_whole", "meter", "register", "begin_wh", "end_wh", "energy_wh")
    problems = "; ".join(f"{each['rule']}: {each['why']}" for each in found["problems"])
    output.one({name: found[name] for name in names} | {"problems": problems})
