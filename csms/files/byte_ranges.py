"""Parts of files by HTTP: Range of those who fetch, Content-Range of those who send (RFC 9110, 14). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_RANGE = re.compile(r"bytes\s*=\s*(\d*)\s*-\s*(\d*)", re.IGNORECASE)
_CONTENT_RANGE = re.compile(r"bytes\s+(?:(\d+)\s*-\s*(\d+)|(\*))\s*/\s*(\d+|\*)", re.IGNORECASE)
DIGITS_MAX = 15


class RangeInvalid(ValueError):
    """A Content-Range that says nothing possible."""


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes from `first` to before `end`."""

    first: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.first


def wanted_span(header: str | None, size: int) -> Span | None:
    """The part that a Range header asks for; None where there is no such part (416).

    Several ranges, other units and what makes no sense are passed over: the whole is a valid answer.
    """
    whole = Span(0, size)
    found = None if header is None else _RANGE.fullmatch(header.strip())
    if found is None or any(len(each) > DIGITS_MAX for each in found.groups()):
        return whole
    first, last = found.groups()
    if not first:
        if not last:
            return whole
        return Span(max(size - int(last), 0), size) if int(last) and size else None
    if last and int(last) < int(first):
        return whole
    if int(first) >= size:
        return None
    return Span(int(first), min(int(last) + 1, size) if last else size)


@dataclass(frozen=True, slots=True)
class Sent:
    """What a Content-Range says is sent. `span` None: nothing, how much is here is asked. `total` None: not known."""

    span: Span | None
    total: int | None


def sent_part(header: str) -> Sent:
    """Raises:
    RangeInvalid: it cannot be read, or contradicts itself.
    """
    found = _CONTENT_RANGE.fullmatch(header.strip())
    if found is None or any(each and len(each) > DIGITS_MAX for each in found.groups()):
        raise RangeInvalid("Content-Range is no bytes FIRST-LAST/TOTAL")
    first, last, star, total = found.groups()
    size = None if total == "*" else int(total)
    if star:
        return Sent(None, size)
    span = Span(int(first), int(last) + 1)
    if span.length <= 0 or (size is not None and span.end > size):
        raise RangeInvalid("Content-Range contradicts itself")
    return Sent(span, size)
