"""Hostile websocket bytes and handshakes: what RFC 6455 forbids, what limits must stop, who must stay outside."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import quote

from simulators.abuse.cases import Case, call
from simulators.abuse.expectation import Expectation, closed, ignored, survived
from simulators.abuse.raw_socket import BINARY, CLOSE, PING, PONG, TEXT, Handshake, basic, frame, path_of

HEARTBEAT = call("Heartbeat", {}).encode()
MEBI = 1 << 20
BOMB_INFLATED = 64 * MEBI
OUTSIDE = frozenset({"400", "401", "403", "404", "405", "414", "426", "429", "431", "501", "505", "0"})


def wire_cases() -> Iterator[Case]:
    """Frames that break the websocket protocol or its limits."""

    def case(name: str, raw: bytes, expect: Expectation) -> Case:
        return Case(name=f"wire: {name}", raw=raw, expect=expect)

    yield case("a binary frame with a valid CALL", frame(HEARTBEAT, opcode=BINARY), closed(1003, 1008))
    yield case("an unmasked frame", frame(HEARTBEAT, masked=False), closed(1002))
    for rsv in (1, 2, 4):
        yield case(f"reserved bits {rsv}", frame(HEARTBEAT, rsv=rsv), closed(1002, 1007))
    for opcode in (3, 7, 11, 15):
        yield case(f"reserved opcode {opcode}", frame(b"", opcode=opcode), closed(1002))
    for code in (0, 999, 1004, 1005, 1006, 1015, 5000):
        yield case(f"close code {code}", frame(struct.pack("!H", code), opcode=CLOSE), closed(1002))
    yield case("a close frame of one byte", frame(b"x", opcode=CLOSE), closed(1002))
    bad_reason = struct.pack("!H", 1000) + b"\xff\xfe"
    yield case("a close reason that is no UTF-8", frame(bad_reason, opcode=CLOSE), closed(1002, 1007))
    for raw in (b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b'[2,"\xe2\x28\xa1"]'):
        yield case(f"text that is no UTF-8: {raw.hex()}", frame(raw), closed(1007))
    yield case("a ping of 126 bytes", frame(b"x" * 126, opcode=PING), closed(1002))
    yield case("a fragmented ping", frame(b"x", opcode=PING, fin=False), closed(1002))
    yield case("a continuation of nothing", frame(b"x", opcode=0), closed(1002))
    yield case("a new message inside a fragmented one", frame(b"[", fin=False) + frame(HEARTBEAT), closed(1002))
    fragments = frame(b"", fin=False) + frame(b"", opcode=0, fin=False) * 6000
    yield Case(name="wire: 6000 empty fragments", raw=fragments, expect=closed(1008, 1009), spoils=True, wait_s=5.0)
    for declared in (2 * MEBI, 4 * MEBI, 16 * MEBI, 1 << 40, 1 << 63):
        yield case(f"{declared} bytes declared", frame(b"[2", declared=declared), closed(1002, 1009))
    yield case("two mebibytes sent", frame(b'["' + b"y" * (2 * MEBI) + b'"]'), closed(1009))
    yield case("a ping", frame(b"hello", opcode=PING), ignored())
    yield case("a pong that nobody asked for", frame(b"hello", opcode=PONG), ignored())
    pieces = [
        frame(HEARTBEAT[:3], fin=False),
        frame(HEARTBEAT[3:9], opcode=0, fin=False),
        frame(HEARTBEAT[9:], opcode=0),
    ]
    answered = replace(survived(), kinds=frozenset({"result"}), must_answer=True)
    yield case("a call in three fragments", b"".join(pieces), answered)
    yield case("a ping between fragments", pieces[0] + frame(b"", opcode=PING) + pieces[1] + pieces[2], answered)
    yield case("a deflate bomb", frame(bomb(), opcode=TEXT, rsv=4), closed(1002, 1007, 1009))
    yield Case(name="wire: half a frame, then silence", raw=frame(HEARTBEAT)[:6], expect=ignored(), spoils=True)


def bomb() -> bytes:
    """64 MiB of blanks in 64 KiB, as permessage-deflate writes it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(b" " * BOMB_INFLATED) + packer.flush(zlib.Z_SYNC_FLUSH)
    return packed.removesuffix(b"\x00\x00\xff\xff")


@dataclass(frozen=True, slots=True, kw_only=True)
class Knock:
    """A handshake and whether it should open."""

    name: str
    request: bytes
    expect: Expectation


REFUSED = Expectation(kinds=frozenset({"refused"}), codes=OUTSIDE)
OPENED = Expectation(kinds=frozenset({"opened"}))


def knocks(host: str, base: str, protocol: str, attacker: tuple[str, str], victim: str) -> Iterator[Knock]:
    """Handshakes: wrong credentials, wrong identities, broken HTTP, and a few odd ones that are right."""
    identity, password = attacker
    good = Handshake(path=path_of(base, identity), authorization=basic(identity, password), subprotocol=protocol)
    for name, request in _wrong_credentials(good, identity, password, victim, base):
        yield Knock(name=f"handshake: {name}", request=request.encode(host), expect=REFUSED)
    for name, raw in _broken_http(good, host):
        yield Knock(name=f"handshake: {name}", request=raw, expect=REFUSED)
    for name, request in _odd_but_right(good, protocol):
        yield Knock(name=f"handshake: {name}", request=request.encode(host), expect=OPENED)


def _wrong_credentials(
    good: Handshake, identity: str, password: str, victim: str, base: str
) -> Iterator[tuple[str, Handshake]]:
    yield "no credentials", replace(good, authorization=None)
    for text in (f"{identity}:", f"{identity}:wrong", f":{password}", identity, "", ":", f"{identity}:{password}x"):
        encoded = base64.b64encode(text.encode()).decode()
        yield f"credentials {text[:20]!r}", replace(good, authorization=f"Basic {encoded}")
    for header in ("Basic", "Basic ", "Basic ====", "Basic %%%%", "Bearer abc", "Digest x", "basic\tx", password):
        yield f"Authorization {header[:12]!r}", replace(good, authorization=header)
    raw = base64.b64encode(identity.encode() + b":\x00\xff\x3a\xfe").decode()
    yield "a password of strange bytes", replace(good, authorization=f"Basic {raw}")
    long = base64.b64encode(identity.encode() + b":" + b"x" * 4000).decode()
    yield "a password of 4000 bytes", replace(good, authorization=f"Basic {long}")
    yield "the victim's identity with the attacker's credentials", replace(good, path=path_of(base, victim))
    victims = replace(good, path=path_of(base, victim), authorization=basic(victim, "wrong"))
    yield "the victim's identity with a wrong password", victims
    yield "the victim's identity without a password", replace(victims, authorization=None)
    for name in ("NO-SUCH-CP", "", "x" * 49, "a:b", "..", "a/b", "\u0000", "x\r\ny", "' OR 1=1 --", "%"):
        request = replace(good, path=f"{base.rstrip('/')}/{quote(name, safe='')}", authorization=basic(name, password))
        yield f"identity {name[:20]!r}", request
    yield "path '/' without a password", replace(good, path="/", authorization=None)
    for path in (f"{base}/../{identity}", f"{base}/%ff%fe", f"//{identity}", "/metrics", f"{base}/{'x' * 5000}"):
        yield f"path {path[:30]!r}", replace(good, path=path)


def _broken_http(good: Handshake, host: str) -> Iterator[tuple[str, bytes]]:
    yield "POST", replace(good, method="POST").encode(host)
    yield "HTTP/1.0", replace(good, version="HTTP/1.0").encode(host)
    yield "no Upgrade header", replace(good, without=("Upgrade",)).encode(host)
    yield "no key", replace(good, without=("Sec-WebSocket-Key",)).encode(host)
    yield "a short key", replace(good, key="eA==").encode(host)
    yield "no version", replace(good, without=("Sec-WebSocket-Version",)).encode(host)
    other = replace(good, without=("Sec-WebSocket-Version",), headers=(("Sec-WebSocket-Version", "7"),))
    yield "websocket version 7", other.encode(host)
    yield "a header of 20000 bytes", replace(good, headers=(("X-Long", "x" * 20_000),)).encode(host)
    yield "500 headers", replace(good, headers=tuple((f"X-{n}", "1") for n in range(500))).encode(host)
    yield "a request line of 20000 bytes", replace(good, path="/" + "x" * 20_000).encode(host)
    yield "no HTTP at all", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"
    yield "a header without a colon", b"GET / HTTP/1.1\r\nnonsense\r\n\r\n"
    yield "bytes above ASCII in a header", b"GET / HTTP/1.1\r\nHost: \xff\xfe\r\n\r\n"


def _odd_but_right(good: Handshake, protocol: str) -> Iterator[tuple[str, Handshake]]:
    yield "a trailing slash", replace(good, path=good.path + "/")
    yield "an unsupported subprotocol first", replace(good, subprotocol=f"ocpp0.9, {protocol}")
    yield "no subprotocol offered", replace(good, subprotocol=None)
    lower = replace(good, without=("Authorization",), headers=(("authorization", good.authorization or ""),))
    yield "header names in lower case", lower
