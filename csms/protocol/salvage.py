"""What can be read of a frame that is not JSON: missing values, stray commas, and whatever a truncation left.

The result of `salvage` feeds a lenient reader and only ever becomes a malformed fact, so a guess is better than nothing; a text or
number cut off at the end of the frame is no guess but wrong, and left out.
"""

from __future__ import annotations

import json
import re
from typing import Any

TEXT_LENGTH_MAX = 64 * 1024
"""Characters that are looked at; what stands beyond is not read, so that one frame holds up nobody else."""
_DEPTH_MAX = 32
_PAYLOAD_INDEX = 3  # [2, id, action, payload]
_TOKEN = re.compile(
    r'(?P<text>"(?:[^"\\]|\\.)*+"?+)|(?P<number>-?\d{1,40}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,3})?)|(?P<word>true|false|null)'
    r"|(?P<mark>[\[\]{}:,])",
    re.ASCII | re.DOTALL,
)
_CLOSED_TEXT = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}


def salvage(text: str) -> dict[str, Any]:
    """The payload of a broken call, as far as it can be read; empty if nothing can."""
    tokens = list(_TOKEN.finditer(text[:TEXT_LENGTH_MAX]))
    if tokens and tokens[-1].lastgroup == "number":
        tokens.pop()
    frame = _Tokens([(str(token.lastgroup), token[0]) for token in tokens]).value(0)
    if isinstance(frame, dict):
        return frame
    if not isinstance(frame, list):
        return {}
    candidates = [item for item in frame[_PAYLOAD_INDEX - 1 :] if isinstance(item, dict)]
    return candidates[0] if candidates else {}


class _Tokens:
    """A recursive descent that never fails: what does not belong is skipped, what is not closed ends with its parent."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._next = 0

    def value(self, depth: int) -> Any:
        kind, text = self._take()
        if kind == "text":
            return _text(text)
        if kind == "number":
            return int(text) if text.lstrip("-").isdigit() else float(text)
        if text == "{" and depth < _DEPTH_MAX:
            return self._object(depth + 1)
        if text == "[" and depth < _DEPTH_MAX:
            return self._list(depth + 1)
        return _WORDS.get(text)

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while (mark := self._peek()) not in ("", "]"):
            if mark == "}":
                self._take()
                break
            kind, text = self._take()
            name = _text(text) if kind == "text" else None
            if name is None or self._peek() != ":":
                continue
            self._take()
            if self._peek() in (",", "}", "]", ":", ""):
                continue
            value = self.value(depth)
            if value is not None:
                found[name] = value
        return found

    def _list(self, depth: int) -> list[Any]:
        found: list[Any] = []
        while (mark := self._peek()) not in ("", "}"):
            if mark == "]":
                self._take()
                break
            if mark in (",", ":"):
                self._take()
                continue
            found.append(self.value(depth))
        return found

    def _peek(self) -> str:
        return self._tokens[self._next][1] if self._next < len(self._tokens) else ""

    def _take(self) -> tuple[str, str]:
        if self._next >= len(self._tokens):
            return "", ""
        token = self._tokens[self._next]
        self._next += 1
        return token


def _text(token: str) -> str | None:
    """The text of a string token, None if it was cut off."""
    if not _CLOSED_TEXT.fullmatch(token):
        return None
    try:
        return str(json.loads(token, strict=False))
    except ValueError:  # an escape that JSON does not have
        return token[1:-1]


# --- mending: what has one meaning only -------------------------------------------------------------------------------

_CLOSERS = {"[": "]", "{": "}"}
_OPENERS = frozenset(_CLOSERS)


def mend(text: str, *, may_close: bool = True) -> Any:
    """The JSON value of a text that only has stray commas or lacks its closing brackets; None where that is not all.

    `may_close` False: a text that ends too early is not mended. Unlike `salvage` it never guesses: a text that ends within a word, a number or a field is not mended, as nobody knows
    how it went on.
    """
    kept: list[str] = []
    open_: list[str] = []
    at = 0
    if len(text) > TEXT_LENGTH_MAX:
        return None
    for token in _TOKEN.finditer(text):
        if text[at : token.start()].strip():
            return None
        at = token.end()
        if not _place(token[0], kept, open_):
            return None
    if text[at:].strip() or not kept:
        return None
    is_whole = kept[-1] in _OPENERS | {"]", "}"} or _CLOSED_TEXT.fullmatch(kept[-1]) is not None
    if open_ and not (may_close and is_whole):
        return None
    kept.extend(_CLOSERS[mark] for mark in reversed(open_))
    return _loaded(kept)


def _loaded(kept: list[str]) -> Any:
    try:
        return json.loads(" ".join(kept), strict=False)  # two tokens never become one
    except (ValueError, RecursionError):
        return None


def _place(mark: str, kept: list[str], open_: list[str]) -> bool:
    """Put the next token down, without the comma before it if that separates nothing; False where it cannot stand."""
    last = kept[-1] if kept else ""
    if mark == ",":
        if last not in _OPENERS | {","} and kept:
            kept.append(mark)
        return bool(kept)
    if mark in _OPENERS:
        open_.append(mark)
        if len(open_) > _DEPTH_MAX:
            return False
    elif mark in {"]", "}"}:
        if last == ",":
            kept.pop()
        if not open_ or _CLOSERS[open_.pop()] != mark:
            return False
    kept.append(mark)
    return True
