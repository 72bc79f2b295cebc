"""What a use case may answer instead of doing it: a small tree that says whose move it is."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """What a command's exit status means to the script that ran it."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    PERMISSION = 4
    REFUSED = 5
    FINDINGS = 6
    CONFLICT = 7
    PARTIAL = 8
    TIMEOUT = 124


class NotDone(Exception):
    """The request was understood and not carried out. `next_step` is what the caller can do about it."""

    exit_code: ClassVar[ExitCode] = ExitCode.FAILED

    def __init__(self, message: str, next_step: str, *, details: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.details = dict(details or {})


class NotFound(NotDone):
    """The thing named does not exist."""

    exit_code = ExitCode.NOT_FOUND


class Refused(NotDone):
    """A rule forbids it."""

    exit_code = ExitCode.REFUSED


class AlreadyDone(NotDone):
    """It was done before, or something else stands in its place."""

    exit_code = ExitCode.CONFLICT


class Unavailable(NotDone):
    """It cannot be done now; trying again later may help."""

    exit_code = ExitCode.FAILED
