"""The last step before Postgres: give up root, ask to be stopped with our parent, become Postgres.

Runs as a program of its own (`python -I -S launch.py UID GID PARENT PROGRAM ARGUMENT...`), so that no Python code runs
between fork and exec of a process that has threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    uid, gid, parent = (int(argument) for argument in arguments[:3])
    if os.geteuid() != uid:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        # After setuid, which clears it. SIGINT is Postgres' fast shutdown: a kill -9 of csms leaves a clean cluster.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)
    if os.getppid() != parent:
        sys.exit("csms has gone before Postgres was started")
    os.execv(arguments[3], arguments[3:])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
