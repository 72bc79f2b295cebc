"""The file in a multipart/form-data body (RFC 7578), as it streams by. Pure: bytes in, bytes of the file out."""

from __future__ import annotations

import re
from email import message_from_bytes
from enum import Enum

HEAD_LENGTH_MAX = 8 * 1024
PREAMBLE_LENGTH_MAX = 64 * 1024
"""What may stand before the file: a preamble, and fields that we do not read, with their boundaries and heads."""
PARTS_MAX = 50
_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,70})"|([^\s;,"]{1,70}))', re.IGNORECASE)


class MultipartInvalid(ValueError):
    """A body that is no multipart/form-data with a file in it."""


class _At(Enum):
    BETWEEN = "before a boundary, in what nobody wants"
    BOUNDARY = "right behind a boundary"
    HEAD = "in the head of a part"
    FILE = "in the file"
    END = "behind the file"


def boundary_of(content_type: str) -> bytes | None:
    """The boundary of a multipart body; None for any other body."""
    if not content_type.strip().lower().startswith("multipart/"):
        return None
    found = _BOUNDARY.search(content_type)
    return None if found is None else (found[1] or found[2]).encode("latin-1")


class FileInForm:
    """Takes the first part that has a file name. `name` is known when its first bytes come."""

    def __init__(self, boundary: bytes) -> None:
        self.name: str | None = None
        self._delimiter = b"\r\n--" + boundary
        self._buffer = b"\r\n"  # so that a boundary at the very beginning looks like the others
        self._at = _At.BETWEEN
        self._fed = 0
        self._parts = 0

    @property
    def found(self) -> bool:
        """Whether the file is whole."""
        return self._at is _At.END

    def feed(self, data: bytes) -> bytes:
        """The bytes of the file in what has come.

        Raises:
            MultipartInvalid: no file in sight, or a head that goes on for ever.
        """
        if self.found:
            return b""
        self._fed += len(data)
        self._buffer += data
        out: list[bytes] = []
        goes_on = True
        while goes_on:
            goes_on = self._step(out)
            if self._at not in {_At.FILE, _At.END}:
                self._require_moderation()
        return b"".join(out)

    def finish(self) -> None:
        """Raises:
        MultipartInvalid: the body has ended before the file has.
        """
        if not self.found:
            raise MultipartInvalid("the form has ended before a file in it has")

    def _step(self, out: list[bytes]) -> bool:
        """One step on; False where more must come first."""
        match self._at:
            case _At.BETWEEN | _At.FILE:
                return self._to_boundary(out)
            case _At.BOUNDARY:
                return self._behind_boundary()
            case _At.HEAD:
                return self._head()
            case _At.END:
                return False

    def _to_boundary(self, out: list[bytes]) -> bool:
        at = self._buffer.find(self._delimiter)
        safe = at if at >= 0 else max(len(self._buffer) - len(self._delimiter) + 1, 0)
        if self._at is _At.FILE:
            out.append(self._buffer[:safe])
        self._buffer = self._buffer[safe:]
        if at < 0:
            return False
        if self._at is _At.FILE:
            self._at, self._buffer = _At.END, b""
            return False
        self._buffer = self._buffer[len(self._delimiter) :]
        self._at = _At.BOUNDARY
        self._parts += 1
        return True

    def _require_moderation(self) -> None:
        """Before the file: of everything that has come, whatever it was."""
        if self._fed - len(self._buffer) > PREAMBLE_LENGTH_MAX or self._parts > PARTS_MAX:
            raise MultipartInvalid("no file stands at the beginning of the form")

    def _behind_boundary(self) -> bool:
        if self._buffer.startswith(b"--"):
            raise MultipartInvalid("the form has no file in it")
        line, newline, rest = self._buffer.partition(b"\r\n")
        if not newline:
            if len(line) > HEAD_LENGTH_MAX:
                raise MultipartInvalid("what stands behind a boundary is no line")
            return False
        if line.strip(b" \t"):
            raise MultipartInvalid("something stands in a boundary's line")
        self._buffer = b"\r\n" + rest  # a part may have no head at all
        self._at = _At.HEAD
        return True

    def _head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end > HEAD_LENGTH_MAX or (end < 0 and len(self._buffer) > HEAD_LENGTH_MAX):
            raise MultipartInvalid("the head of a part is too long")
        if end < 0:
            return False
        head, self._buffer = self._buffer[2 : end + 2], self._buffer[end + 4 :]
        self.name = message_from_bytes(head + b"\r\n").get_filename()
        self._at = _At.BETWEEN if self.name is None else _At.FILE
        return True
