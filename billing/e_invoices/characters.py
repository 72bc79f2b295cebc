"""What of a text may stand in XML 1.0: everything but most control characters, lone surrogates and two noncharacters."""

from __future__ import annotations

import re
from typing import Final

_FORBIDDEN: Final = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Everything outside `Char` of XML 1.0, and the carriage return, which a parser would turn into a line feed."""


def said(text: str) -> str:
    """A text as it is written: forbidden characters become blanks, and it neither begins nor ends with a blank."""
    return _FORBIDDEN.sub(" ", text).strip()


def cleaned(text: str | None) -> str | None:
    """The same; None where nothing is left of it."""
    return (said(text) or None) if text is not None else None
