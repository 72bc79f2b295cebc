"""E-mail addresses: which are ones, how an envelope carries them, how two of them compare. Pure.

What is understood is what customers have: letters, digits and the signs of RFC 5321 4.1.2 before the @, a domain of at least
two labels behind it, which may have letters of any language (IDNA). Quoted parts, address literals and letters beyond ASCII
before the @ (SMTPUTF8, which few servers take on) are not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

LENGTH_MAX: Final = 254
"""Of an address in an envelope: a path has 256 octets with its brackets (RFC 5321 4.5.3.1.3)."""
LOCAL_LENGTH_MAX: Final = 64
NAME_LENGTH_MAX: Final = 200
WRITTEN_LENGTH_MAX: Final = 1000
"""Of what may have been meant as an address; more is not looked at."""
_LOCAL: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*", re.ASCII)
_LABEL: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?", re.ASCII)
_READ_IN_TWO_WAYS: Final = frozenset("ßς\u200c\u200d")
"""Letters that name another domain in IDNA 2003, which Python has, than in IDNA 2008, which registries have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """An address, and whose it is as a person reads it."""

    address: str
    name: str = ""


def mistake_in(address: str) -> str | None:
    """Why nobody can be written to at this address; None: somebody might be."""
    try:
        envelope_form(address)
    except ValueError as wrong:
        return str(wrong)
    return None


def envelope_form(address: str) -> str:
    """The address as an envelope and a header carry it: ASCII alone.

    Raises:
        ValueError: it is none that we understand; the text says why, without the address.
    """
    local, at, domain = address[:WRITTEN_LENGTH_MAX].rpartition("@")
    if not at:
        raise ValueError("the address has no @")
    if not _LOCAL.fullmatch(local):
        raise ValueError("what stands before the @ is no name of a mailbox")
    if len(local) > LOCAL_LENGTH_MAX:
        raise ValueError(f"what stands before the @ is longer than {LOCAL_LENGTH_MAX} characters")
    written = f"{local}@{_domain(domain)}"
    if len(written) > LENGTH_MAX:
        raise ValueError(f"the address is longer than {LENGTH_MAX} characters")
    return written


def _domain(domain: str) -> str:
    if _READ_IN_TWO_WAYS & set(domain):
        raise ValueError("the domain has a letter that names two domains: write it as it is registered, xn--...")
    try:
        labels = domain.encode("idna").decode("ascii").split(".")
    except UnicodeError:
        raise ValueError("what stands behind the @ is no domain") from None
    if len(labels) < 2 or not all(_LABEL.fullmatch(each) for each in labels) or labels[-1].isdigit():  # noqa: PLR2004 - a name and where it is registered
        raise ValueError("what stands behind the @ is no domain")
    return ".".join(labels).lower()


def compared(address: str) -> str:
    """What two addresses of one mailbox have in common: case, which hardly a server tells apart, is left out."""
    try:
        return envelope_form(address).lower()
    except ValueError:
        return address.lower()


def domain_of(address: str) -> str:
    """Of an address in its envelope form."""
    return address.rpartition("@")[2]
