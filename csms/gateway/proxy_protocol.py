"""The PROXY protocol, versions 1 and 2, as a balancer in front sends it: who came to it, and whether by TLS. Pure.

Specification: https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt. Whether a header comes is never guessed: from
listed addresses there must be one, from all others there may be none.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V1_PREFIX = b"PROXY "
V1_LENGTH_MAX = 107
V2_LENGTH_MAX = 4096
"""A header of version 2 may have 64 KiB; what balancers send has some hundred bytes."""
TLS_VERSIONS = frozenset({"TLSv1.2", "TLSv1.3"})
"""What counts as TLS (A00.FR.313)."""

_PREFIX = struct.Struct("!12sBBH")
_TLV = struct.Struct("!BH")
_TYPE_SSL = 0x20
_SUBTYPE_SSL_VERSION = 0x21
_CLIENT_SSL = 0x01
_ADDRESS_BYTES = {0x1: 4, 0x2: 16}
"""Bytes of an address by family: AF_INET, AF_INET6."""

Networks = Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]


class HeaderMissing(Exception):
    """These bytes are not the beginning of a PROXY header."""


class HeaderInvalid(Exception):
    """A PROXY header that breaks its specification."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxied:
    """What a proxy says of a connection. `remote` None: it speaks for itself, as in a health check.

    `tls`: the charge point came by TLS 1.2 or later, which ended at the proxy.
    """

    remote: str | None
    tls: bool = False


def is_header(data: bytes) -> bool:
    """Whether these bytes can be nothing else than the beginning of a PROXY header."""
    return data.startswith((V1_PREFIX, SIGNATURE))


def trusted(address: str, proxies: Networks) -> bool:
    """Whether `address` is one of the proxies."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    plain = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(plain in each for each in proxies)


def missing(data: bytes) -> int:
    """How many bytes at least are still to be read of the header that begins with `data`; 0: it is complete.

    Reading no more than these never takes a byte of what comes after the header.

    Raises:
        HeaderMissing: it is none.
        HeaderInvalid: it is too long.
    """
    if not SIGNATURE.startswith(data[: len(SIGNATURE)]) and not V1_PREFIX.startswith(data[: len(V1_PREFIX)]):
        raise HeaderMissing
    if len(data) < len(SIGNATURE):
        return len(SIGNATURE) - len(data)
    if data.startswith(SIGNATURE):
        return _missing_of_v2(data)
    if data.endswith(b"\r\n"):
        return 0
    left = V1_LENGTH_MAX - len(data)
    if left <= 0:
        raise HeaderInvalid(f"a header of version 1 ends within {V1_LENGTH_MAX} bytes")
    return 1 if data.endswith(b"\r") else min(left, 2)


def _missing_of_v2(data: bytes) -> int:
    if len(data) < _PREFIX.size:
        return _PREFIX.size - len(data)
    length: int = _PREFIX.unpack_from(data)[3]
    if length > V2_LENGTH_MAX:
        raise HeaderInvalid(f"{length} bytes of header are more than the {V2_LENGTH_MAX} that are taken")
    return max(0, _PREFIX.size + length - len(data))


def parse(data: bytes) -> Proxied:
    """A complete header, exactly.

    Raises:
        HeaderInvalid: it breaks the specification.
    """
    return _parse_v2(data) if data.startswith(SIGNATURE) else _parse_v1(data)


def _parse_v1(data: bytes) -> Proxied:
    """`PROXY TCP4 192.0.2.1 192.0.2.2 56324 443`; TLS cannot be told in it."""
    try:
        words = data.removesuffix(b"\r\n").decode("ascii").split(" ")
    except UnicodeDecodeError:
        raise HeaderInvalid("a header of version 1 is ASCII") from None
    if len(words) > 1 and words[1] == "UNKNOWN":
        return Proxied(remote=None)
    family = {"TCP4": ipaddress.IPv4Address, "TCP6": ipaddress.IPv6Address}.get(words[1] if len(words) > 1 else "")
    if family is None or len(words) != 6:  # noqa: PLR2004 - PROXY, family, two addresses, two ports
        raise HeaderInvalid("a header of version 1 is PROXY TCP4|TCP6 SOURCE DESTINATION PORT PORT, or PROXY UNKNOWN")
    try:
        source = family(words[2])
    except ValueError:
        raise HeaderInvalid("the source is no address of its family") from None
    return Proxied(remote=str(source))


def _parse_v2(data: bytes) -> Proxied:
    _, version_command, family_protocol, length = _PREFIX.unpack_from(data)
    version, command = version_command >> 4, version_command & 0xF
    if version != 2 or command > 1:  # noqa: PLR2004 - the version
        raise HeaderInvalid(f"version {version}, command {command}: only 2 with LOCAL or PROXY is known")
    if command == 0:  # LOCAL: the proxy's own connection, whatever else stands there
        return Proxied(remote=None)
    body = data[_PREFIX.size : _PREFIX.size + length]
    size = _ADDRESS_BYTES.get(family_protocol >> 4)
    if size is None:
        raise HeaderInvalid("neither IPv4 nor IPv6: whoever the proxy speaks for cannot be named")
    rest = 2 * size + 4  # two addresses, two ports
    if len(body) < rest:
        raise HeaderInvalid("the addresses are cut off")
    return Proxied(remote=str(ipaddress.ip_address(body[:size])), tls=_is_tls(body[rest:]))


def _is_tls(extensions: bytes) -> bool:
    """PP2_TYPE_SSL says it, and which version: that must be there where TLS was spoken."""
    for kind, value in _extensions(extensions):
        if kind != _TYPE_SSL:
            continue
        if len(value) < 5:  # noqa: PLR2004 - client flags and result of verification
            raise HeaderInvalid("PP2_TYPE_SSL is cut off")
        if not value[0] & _CLIENT_SSL:
            return False
        return any(
            each == _SUBTYPE_SSL_VERSION and version.decode("ascii", "replace") in TLS_VERSIONS
            for each, version in _extensions(value[5:])
        )
    return False


def _extensions(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        if at + _TLV.size > len(data):
            raise HeaderInvalid("an extension is cut off")
        kind, length = _TLV.unpack_from(data, at)
        at += _TLV.size
        if at + length > len(data):
            raise HeaderInvalid("an extension is cut off")
        yield kind, data[at : at + length]
        at += length
