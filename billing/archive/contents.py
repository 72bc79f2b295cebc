"""Contents of the archive as files that are named after their SHA-256. Knows no database.

A content comes in two steps. First it lies in `incoming/`, on disk for good, before any row speaks of it; when its row is
committed it moves to `objects/ab/abcd...`. So what a crash or a rollback leaves behind lies in `incoming/` and nowhere else.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import string
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

BLOCK_BYTES: Final = 1024 * 1024
WRITERS: Final = 8
READ_ONLY: Final = 0o400
PREFIXES: Final = tuple(f"{n:02x}" for n in range(256))
_NAME_LENGTH: Final = 64
_HEX: Final = frozenset(string.digits + "abcdef")


class ContentChanged(Exception):
    """A file does not have the content that it is named after."""


@dataclass(frozen=True, slots=True)
class Stranger:
    """A file in the archive that is none of its contents."""

    path: Path


class Contents:
    """The files below a directory, which is made when the first content comes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._incoming = directory / "incoming"
        self._objects = directory / "objects"

    def path(self, sha256: bytes) -> Path:
        """Where a content lies when it has arrived."""
        name = sha256.hex()
        return self._objects / name[:2] / name

    def receive(self, contents: Sequence[bytes]) -> None:
        """Write them for good into `incoming/`, but those that are here already and right."""
        _make(self._incoming)
        with ThreadPoolExecutor(WRITERS) as writers:  # what several wait for, the disk does at once
            list(writers.map(self._receive, contents))
        _sync(self._incoming)

    def _receive(self, content: bytes) -> None:
        sha256 = hashlib.sha256(content).digest()
        if not self._is_right(self.path(sha256)):
            self._write(self._incoming / sha256.hex(), content)

    def _is_right(self, path: Path) -> bool:
        try:
            return _sum(path).hex() == path.name
        except FileNotFoundError:
            return False

    def _write(self, path: Path, content: bytes) -> None:
        fresh = path.with_name(f".{secrets.token_hex(8)}")
        try:
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, READ_ONLY)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)

    def incoming(self) -> list[bytes]:
        """What has not moved yet: its row is being written, has just been, or never will be."""
        try:
            return sorted(bytes.fromhex(each.name) for each in self._incoming.iterdir() if _is_name(each.name))
        except FileNotFoundError:
            return []

    def settle(self, sums: Sequence[bytes]) -> None:
        """Move contents whose rows are committed to where they stay; those that others have moved are passed over."""
        moved: set[Path] = set()
        for sha256 in sums:
            target = self.path(sha256)
            _make(target.parent)
            with contextlib.suppress(FileNotFoundError):
                (self._incoming / target.name).replace(target)
                moved.add(target.parent)
        if moved:
            _sync_all([*moved, self._incoming])

    def forget_unfinished(self, sums: Sequence[bytes], *, before_s: float) -> int:
        """Delete these out of `incoming/`, and halves of files there, where they are older than `before_s` (seconds of the epoch); how many."""
        named = {each.hex() for each in sums}
        gone = 0
        for each in self._listed(self._incoming):
            is_half = each.name.startswith(".")
            with contextlib.suppress(FileNotFoundError):
                if (each.name in named or is_half) and each.stat().st_mtime < before_s:
                    each.unlink()
                    gone += 1
        return gone

    def _listed(self, place: Path) -> list[Path]:
        try:
            return sorted(place.iterdir())
        except FileNotFoundError:
            return []

    def read(self, sha256: bytes) -> bytes:
        """Raises:
        FileNotFoundError: it is not here.
        ContentChanged: what is here is not it.
        """
        for path in (self.path(sha256), self._incoming / sha256.hex(), self.path(sha256)):  # it may move meanwhile
            with contextlib.suppress(FileNotFoundError):
                content = _open(path).read_bytes()
                if hashlib.sha256(content).digest() != sha256:
                    raise ContentChanged(f"{path} has changed")
                return content
        raise FileNotFoundError(str(self.path(sha256)))

    def sum_of(self, sha256: bytes) -> bytes:
        """Of what lies where this content should. Raises FileNotFoundError, or OSError where it cannot be read."""
        return _sum(self.path(sha256))

    def remove(self, sums: Collection[bytes]) -> int:
        """Arrived or not; how many were there."""
        gone: dict[bytes, set[Path]] = {}
        for sha256 in sums:
            for path in (self._incoming / sha256.hex(), self.path(sha256)):
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()
                    gone.setdefault(sha256, set()).add(path.parent)
        _sync_all(set().union(*gone.values()))
        return len(gone)

    def has(self, sha256: bytes) -> bool:
        return self.path(sha256).exists()

    def listed(self, prefix: str) -> Iterator[bytes | Stranger]:
        """What lies below a prefix, in order."""
        for each in self._listed(self._objects / prefix):
            right = _is_name(each.name) and each.name.startswith(prefix) and each.is_file() and not each.is_symlink()
            yield bytes.fromhex(each.name) if right else Stranger(each)

    def strangers(self) -> Iterator[Stranger]:
        """What lies beside the places for contents."""
        known = {"incoming", "objects"}
        yield from (Stranger(each) for each in self._listed(self.directory) if each.name not in known)
        yield from (Stranger(each) for each in self._listed(self._objects) if each.name not in PREFIXES)


def _is_name(name: str) -> bool:
    return len(name) == _NAME_LENGTH and _HEX.issuperset(name)


def _open(path: Path) -> Path:
    """A link could lead out of the archive.

    Raises:
        ContentChanged: it is one.
    """
    if path.is_symlink():
        raise ContentChanged(f"{path} is a link")
    return path


def _sum(path: Path) -> bytes:
    sum_ = hashlib.sha256()
    with _open(path).open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            sum_.update(block)
    return sum_.digest()


def _make(place: Path) -> None:
    """A directory for good: its name is on disk as well."""
    if place.is_dir():
        return
    _make(place.parent)
    with contextlib.suppress(FileExistsError):
        place.mkdir(mode=0o700)
    _sync(place.parent)


def _sync_all(places: Collection[Path]) -> None:
    with ThreadPoolExecutor(WRITERS) as writers:
        list(writers.map(_sync, places))


def _sync(place: Path) -> None:
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
