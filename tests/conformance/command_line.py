"""The command line in this process, on the database of a test: a tenth of a second instead of one."""

from __future__ import annotations

import asyncio
import shlex
from dataclasses import dataclass

from click.testing import CliRunner

from csms.cli.main import csms


@dataclass(frozen=True, slots=True)
class Printed:
    """What a command leaves behind."""

    line: str
    code: int
    out: str
    err: str


class Commands:
    """One after the other: they share this process's standard output."""

    def __init__(self, dsn: str) -> None:
        self._environment = {"CSMS_DATABASE_URL": dsn, "NO_COLOR": "1"}

    async def run(self, line: str) -> Printed:
        return await asyncio.to_thread(self._run, line)

    async def output(self, line: str) -> str:
        """What a command that must succeed prints as json."""
        said = await self.run(f"{line} -o json")
        assert said.code == 0, said
        return said.out

    def _run(self, line: str) -> Printed:
        ran = CliRunner().invoke(csms, shlex.split(line), env=self._environment)
        return Printed(line, ran.exit_code, ran.stdout, ran.stderr)
