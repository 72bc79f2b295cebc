"""The addresses under which charge points fetch and send files, and the names that files get. Pure.

    https://files.example:9444/files/<token>/pump-2.1.0.bin

The token is the only thing that lets anybody in: it is a secret, expires, and is kept as a hash.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

TOKEN_BYTES = 32
TOKEN_LENGTH = 43  # of base64url without padding
NAME_LENGTH_MAX = 100
FALLBACK = "file"

# What stands before /files/ is a proxy's to add or to take away.
_PATH = re.compile(r"(?:^|/)files/(?P<token>[A-Za-z0-9_-]{43})(?:/(?P<rest>.*))?$", re.DOTALL)
_OTHER = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request's path asks for; `name` None: the charge point adds none of its own."""

    token: str
    name: str | None


def asked(path: str) -> Asked | None:
    """Out of a request's path; None where it is none of ours."""
    found = _PATH.search(path)
    if found is None:
        return None
    rest = found["rest"]
    return Asked(found["token"], clean_name(rest) if rest and clean_name(rest) != FALLBACK else None)


def token_hash(token: str) -> bytes:
    """What is kept of a token: whoever reads the database can use no address."""
    return hashlib.sha256(token.encode()).digest()


def address(base: str, token: str, name: str = "") -> str:
    """`base` is the public URL of the endpoint. An upload's address ends with a slash, as directories do."""
    assert len(token) == TOKEN_LENGTH, "made by secrets.token_urlsafe(TOKEN_BYTES)"
    return f"{base.rstrip('/')}/files/{token}/{quote(name)}"


def clean_name(raw: str) -> str:
    """A file name that is safe in paths, headers and terminals: the last part, of letters, digits, dot, dash, _."""
    last = re.split(r"[/\\]", unquote(raw).strip().rstrip("/\\"))[-1]
    plain = _OTHER.sub("_", last).lstrip(".")
    if len(plain) > NAME_LENGTH_MAX:  # the ending tells what is in it
        plain = plain[: NAME_LENGTH_MAX - 20] + plain[-20:]
    return plain if plain.strip("_") else FALLBACK
