"""Which operating system account runs Postgres: ourselves, or for root an ordinary one, as Postgres refuses root."""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from csms.database.errors import PostgresNotStarted

CANDIDATES_FOR_ROOT = ("postgres", "nobody")
"""`postgres` first: `nobody` may be shared with other services."""

QUIET_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
"""Nothing of our own environment reaches Postgres: PGDATA, PGOPTIONS and the like would change what it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An entry of the passwd database; initdb insists on one."""

    name: str
    uid: int
    gid: int

    @property
    def is_ours(self) -> bool:
        return self.uid == os.geteuid()

    def process_options(self) -> dict[str, Any]:
        """Arguments of a subprocess call that make it run as this account, away from our directory and environment."""
        options: dict[str, Any] = {"cwd": "/", "env": QUIET_ENVIRONMENT, "stdin": subprocess.DEVNULL}
        if not self.is_ours:
            options |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        return options

    def can_reach(self, path: Path) -> bool:
        """Pass through a directory, run a program. Asked of the kernel: ACLs and mounts have a say beside mode bits."""
        if self.is_ours:
            return os.access(path, os.X_OK)
        test = ["/bin/sh", "-c", 'test -x "$0" && { test -d "$0" || test -r "$0"; }', str(path)]
        done = subprocess.run(test, check=False, **self.process_options())  # noqa: S603 - a fixed program
        return done.returncode == 0

    def hand_over(self, path: Path, *, mode: int) -> None:
        path.chmod(mode)
        if not self.is_ours:
            os.chown(path, self.uid, self.gid)


def account_for(cluster: Path) -> Account:
    """The owner of an existing cluster; for a new one ourselves, or as root the first candidate that exists.

    Raises:
        PostgresNotStarted: no usable account.
    """
    if os.geteuid() != 0:
        return _by_uid(os.geteuid())
    if cluster.exists() and cluster.stat().st_uid != 0:
        return _by_uid(cluster.stat().st_uid)
    for name in CANDIDATES_FOR_ROOT:
        try:
            return _account(pwd.getpwnam(name))
        except KeyError:
            continue
    raise PostgresNotStarted(
        f"Postgres never runs as root and none of the accounts {', '.join(CANDIDATES_FOR_ROOT)} exists",
        next_step="create one (useradd --system postgres), or start csms as an ordinary user",
    )


def _by_uid(uid: int) -> Account:
    try:
        return _account(pwd.getpwuid(uid))
    except KeyError:
        raise PostgresNotStarted(
            f"uid {uid} has no entry in the passwd database, which Postgres needs to initialise its data",
            next_step="run as a user that has one, or set CSMS_DATABASE_URL",
        ) from None


def _account(entry: pwd.struct_passwd) -> Account:
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)
