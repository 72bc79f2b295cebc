"""What mail servers answer: a code, perhaps an enhanced status code, and words (RFC 5321 4.2, RFC 3463). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_STATUS: Final = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})(?!\d|\.)")
WORDS_LENGTH_MAX: Final = 1000
NOBODY_THERE: Final = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"})
"""Enhanced status codes that speak of the address itself: no such mailbox, no such domain, none that could be one, moved and
not forwarded, takes no mail at all (RFC 7505), switched off. A full mailbox or a rule against us (5.7.x) says nothing of it.
"""
OURS: Final = frozenset({530, 534, 535, 538})
"""Codes of RFC 4954: the server wants another login than it was given. No recipient can help it."""
CLOSING: Final = 421
CONTINUE: Final = 354
UNKNOWN_PARAMETER: Final = 555


class Stage(StrEnum):
    """Which command of a delivery was answered (RFC 5321 3.3)."""

    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    DOT = "DOT"
    """The end of the message: a positive answer makes it the server's."""


@dataclass(frozen=True, slots=True)
class Reply:
    """`words` has a line for each line of the answer."""

    code: int
    words: str

    @property
    def status(self) -> str | None:
        """The enhanced status code, where the server gives any."""
        found = _STATUS.match(self.words)
        return None if found is None else found[1]

    @property
    def is_yes(self) -> bool:
        return 200 <= self.code < 300  # noqa: PLR2004 - 2yz

    @property
    def is_for_now(self) -> bool:
        """No, but perhaps later (4yz)."""
        return 400 <= self.code < 500  # noqa: PLR2004

    @property
    def is_for_good(self) -> bool:
        """No, whenever the same is tried (5yz)."""
        return 500 <= self.code < 600  # noqa: PLR2004

    @property
    def in_short(self) -> str:
        """One line, as it may be stored and shown."""
        return f"{self.code} {shortened(self.words)}".rstrip()


def shortened(words: str) -> str:
    """Words of others as one line of no more than we want to keep, with nothing in it that a database cannot store."""
    line = " ".join(words.replace("\x00", " ").encode("utf-8", "replace").decode("utf-8").split())
    return line if len(line) <= WORDS_LENGTH_MAX else line[: WORDS_LENGTH_MAX - 1] + "…"
