"""What the headers of the PROXY protocol say, and that reading one never takes a byte too many."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proxy_headers import HERE, extension, tls_extension, v1, v2

from csms.gateway.proxy_protocol import (
    SIGNATURE,
    V2_LENGTH_MAX,
    HeaderInvalid,
    HeaderMissing,
    Proxied,
    is_header,
    missing,
    parse,
    trusted,
)

ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)


def read_from(stream: bytes) -> tuple[bytes, bytes]:
    """The header and what is left of the stream, read as a port reads it."""
    header = b""
    while more := missing(header):
        if not stream:
            raise HeaderInvalid("the stream ended")
        header, stream = header + stream[:more], stream[more:]
    return header, stream


@given(
    ADDRESSES,
    st.sampled_from(["v1", "v2", "v2 and TLS"]),
    st.binary(max_size=200),
)
def test_the_source_is_read_and_what_follows_the_header_is_left_alone(source: str, kind: str, after: bytes) -> None:
    header = {"v1": v1(source), "v2": v2(source), "v2 and TLS": v2(source, extensions=tls_extension())}[kind]

    read, left = read_from(header + after)

    assert (read, left) == (header, after)
    assert is_header(header)
    assert parse(read) == Proxied(remote=str(ipaddress.ip_address(source)), tls=kind == "v2 and TLS")


@given(st.binary(max_size=300), st.sampled_from([b"", SIGNATURE, SIGNATURE + b"\x21\x11\x00\x20", b"PROXY TCP4 "]))
def test_any_bytes_are_a_header_or_refused_and_never_a_crash(noise: bytes, beginning: bytes) -> None:
    try:
        read, _ = read_from(beginning + noise)
        parse(read)
    except (HeaderMissing, HeaderInvalid):
        pass


@pytest.mark.parametrize("header", [v2(command=0), b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ff::1 ff::2 1 2\r\n"])
def test_a_proxy_that_speaks_for_itself_names_nobody(header: bytes) -> None:
    read, left = read_from(header + b"GET /")

    assert (parse(read), left) == (Proxied(remote=None), b"GET /")


@pytest.mark.parametrize(
    ("extensions", "is_tls"),
    [
        (tls_extension(b"TLSv1.2"), True),
        (tls_extension(b"TLSv1.3"), True),
        (extension(0x01, b"h2") + tls_extension(b"TLSv1.3"), True),
        (tls_extension(b"TLSv1.1"), False),
        (tls_extension(b"SSLv3"), False),
        (tls_extension(None), False),
        (tls_extension(b"TLSv1.3", flags=0), False),
        (tls_extension(b"TLSv1.3", flags=6), False),
        (extension(0x02, b"csms.example"), False),
        (b"", False),
    ],
)
def test_tls_is_what_the_proxy_says_in_so_many_words_and_of_a_version_that_counts(
    extensions: bytes, is_tls: bool
) -> None:
    assert parse(v2(extensions=extensions)).tls is is_tls


@pytest.mark.parametrize(
    "header",
    [
        SIGNATURE + struct.pack("!BBH", 0x11, 0x11, 12) + bytes(12),
        SIGNATURE + struct.pack("!BBH", 0x22, 0x11, 12) + bytes(12),
        SIGNATURE + struct.pack("!BBH", 0x21, 0x31, 216) + bytes(216),
        SIGNATURE + struct.pack("!BBH", 0x21, 0x00, 0),
        SIGNATURE + struct.pack("!BBH", 0x21, 0x11, 11) + bytes(11),
        v2(extensions=b"\x20\x00"),
        v2(extensions=b"\x20\x00\x09\x01"),
        v2(extensions=extension(0x20, b"\x01")),
        SIGNATURE + struct.pack("!BBH", 0x21, 0x11, V2_LENGTH_MAX + 1),
        b"PROXY TCP4 203.0.113.7 127.0.0.1 1\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY UDP4 203.0.113.7 127.0.0.1 1 2\r\n",
        b"PROXY \r\n\r\n\r\n",
        b"PROXY TCP4 203.0.113.\xb2 127.0.0.1 1 2\r\n",
        b"PROXY TCP4 " + b"1" * 200,
    ],
)
def test_a_header_that_breaks_its_specification_is_refused(header: bytes) -> None:
    with pytest.raises(HeaderInvalid):
        parse(read_from(header)[0])


@pytest.mark.parametrize(
    "beginning", [b"GET /ocpp/CP-1 HTTP/1.1\r\n", b"\x16\x03\x01\x02\x00\x01", b"\r\n\r\nGET /", b"P"]
)
def test_what_is_no_header_is_not_taken_for_one(beginning: bytes) -> None:
    if beginning == b"P":
        assert missing(beginning) > 0
    else:
        with pytest.raises(HeaderMissing):
            missing(beginning)
    assert not is_header(beginning)


@pytest.mark.parametrize(
    ("address", "is_proxy"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("fd00::5", True),
        (HERE, False),
        ("11.1.2.3", False),
        ("fd00::6", False),
        ("unknown", False),
    ],
)
def test_only_listed_addresses_are_proxies(address: str, is_proxy: bool) -> None:
    proxies = [ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::5")]

    assert trusted(address, proxies) is is_proxy
    assert trusted(address, ()) is False
