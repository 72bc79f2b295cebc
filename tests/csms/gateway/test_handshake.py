from __future__ import annotations

import base64
from http import HTTPStatus

import pytest
from gateway_room import KEY, PASSWORD, a_charge_point, basic
from hypothesis import given
from hypothesis import strategies as st

from csms.charge_points.charge_point import Proof
from csms.gateway.damper import INTERVAL_S, Damper
from csms.gateway.handshake import (
    Admitted,
    Rejected,
    Subprotocol,
    admit,
    basic_credentials,
    choose_subprotocol,
    identity_of,
    shown,
)
from csms.gateway.reconnects import Alarm, Reconnects
from csms.gateway.throttle import KEYS_MAX, Throttle
from csms.protocol.vocabulary import Protocol


@pytest.mark.parametrize(
    ("path", "identity"),
    [
        ("/ocpp/CP-1", "CP-1"),
        ("/ocpp/CP-1/", "CP-1"),
        ("//ocpp//CP-1", "CP-1"),
        ("/OCPP/cp-1", "cp-1"),
        ("/ocpp/CP-1?token=x#y", "CP-1"),
        ("/ocpp/CP%20%C3%A4", "CP ä"),
        ("/ocpp/CP%2541", "CP%41"),
        ("/ocpp/ws://csms.example:9000/ocpp/CP-1", "CP-1"),
        ("/ocpp/ws:/csms.example/ocpp/CP-1", "CP-1"),
        ("/ws://csms.example/CP-1", "CP-1"),
        ("wss://csms.example/ocpp/CP-1/", "CP-1"),
        ("/ocpp/ws%3A%2F%2Fcsms.example%2Focpp%2FCP-1", "CP-1"),
    ],
)
def test_the_identity_is_found_however_the_url_was_typed(path: str, identity: str) -> None:
    assert identity_of(path) == identity


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 404),
        ("", 404),
        ("/ocpp", 404),
        ("/ocpp/", 404),
        ("/metrics", 404),
        ("/ocpp/a/b", 404),
        ("/ocpp/..", 404),
        ("/ocpp/../CP-1", 404),
        ("/ocpp/..%2FCP-1", 404),
        ("/ocpp/" + "x" * 49, 404),
        ("/ocpp/CP%00", 400),
        ("/ocpp/CP%0D%0AX", 400),
        ("/ocpp/CP%7F", 400),
        ("/ocpp/CP%E2%80%AE1", 400),
        ("/ocpp/CP%FF", 400),
        ("/ocpp/CP:1", 400),
        ("/ocpp/CP%3A1", 400),
    ],
)
def test_a_path_without_an_identity_is_refused(path: str, status: int) -> None:
    refused = identity_of(path)

    assert isinstance(refused, Rejected)
    assert refused.status == status


@given(st.text())
def test_any_path_is_an_identity_or_refused(path: str) -> None:
    identity = identity_of(path)

    assert isinstance(identity, Rejected) or (
        0 < len(identity) <= 48 and identity.isprintable() and ":" not in identity
    )


@given(st.binary(max_size=40))
def test_a_password_may_hold_any_byte(password: bytes) -> None:
    assert basic_credentials([basic("CP-1", password)]) == (b"CP-1", password)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic !!!",
        "Bearer abc",
        "Basic Q1A=",
        "Basic Q1Ax",
        "basic\tQ1A6eA==",
        "Basic ä",
        "Basic Q1A6eA=="[:-3],
    ],
)
def test_what_is_no_basic_auth_is_no_credentials(header: str) -> None:
    assert basic_credentials([header]) is None


def test_two_authorization_headers_are_no_credentials() -> None:
    assert basic_credentials([basic("CP-1"), basic("CP-1")]) is None
    assert basic_credentials([]) is None


def admitted(charge_point: object, authorization: list[str], *, origin: tuple[str, ...] = ()) -> Admitted | Rejected:
    return admit(
        charge_point,  # type: ignore[arg-type]  # the builder's type
        authorization=authorization,
        origin=origin,
        public_hosts=("csms.example",),
        password_key=KEY,
    )


def test_the_right_password_opens_the_door_in_any_spelling_of_the_identity() -> None:
    charge_point = a_charge_point("Cp-1")

    for name in ("Cp-1", "CP-1", "cp-1"):
        assert admitted(charge_point, [basic(name)]) == Admitted(
            charge_point=charge_point, proof=Proof(profile=1, by_password=True)
        )


@pytest.mark.parametrize(
    "authorization",
    [
        [],
        [basic("CP-1", b"wrong")],
        [basic("CP-1", b"")],
        [basic("CP-2")],
        [basic("")],
        [basic("CP-1", PASSWORD + b"x")],
        [basic("CP-1", PASSWORD.upper())],
        ["Basic " + base64.b64encode(b"\xff\xfe:" + PASSWORD).decode()],
    ],
)
def test_bad_credentials_are_401(authorization: list[str]) -> None:
    refused = admitted(a_charge_point(), authorization)

    assert isinstance(refused, Rejected)
    assert refused.status is HTTPStatus.UNAUTHORIZED
    assert refused.guess


def test_a_key_with_awkward_bytes_is_accepted_as_bytes_and_as_hex() -> None:
    key = bytes([0x00, 0x3A, 0xFF]) + bytes(range(17))
    of_bytes = a_charge_point(password=key)
    of_text = a_charge_point(password=key.hex().encode())

    for charge_point in (of_bytes, of_text):
        assert isinstance(admitted(charge_point, [basic("CP-1", key)]), Admitted)
        assert isinstance(admitted(charge_point, [basic("CP-1", key.hex().encode())]), Admitted)


def test_a_charge_point_that_has_no_password_set_cannot_come_in_with_any() -> None:
    assert isinstance(admitted(a_charge_point(password=None), [basic("CP-1", b"")]), Rejected)


def test_an_unknown_identity_is_404() -> None:
    refused = admitted(None, [basic("CP-1")])

    assert isinstance(refused, Rejected)
    assert refused.status is HTTPStatus.NOT_FOUND


@pytest.mark.parametrize("profile", [2, 3])
def test_profiles_with_tls_are_refused_on_a_plain_socket_even_with_the_right_password(profile: int) -> None:
    refused = admitted(a_charge_point(security_profile=profile), [basic("CP-1")])

    assert isinstance(refused, Rejected)
    assert (refused.status, refused.reason) == (HTTPStatus.FORBIDDEN, "needs TLS")
    assert "TLS" in refused.text


def test_without_password_only_where_the_operator_said_so_and_with_a_warning() -> None:
    charge_point = a_charge_point(security_profile=0, password=None)
    verdict = admitted(charge_point, [])

    assert verdict == Admitted(
        charge_point=charge_point, proof=Proof(profile=0), warnings=("charge_point_without_password",)
    )
    assert isinstance(admitted(charge_point, [basic("CP-2", b"x")]), Rejected)


def test_a_foreign_page_cannot_speak_for_a_charge_point_without_password() -> None:
    open_door = a_charge_point(security_profile=0, password=None)

    for foreign in ("https://elsewhere.example", "null", "", "https://csms.example.evil.example", "http://[bad"):
        refused = admitted(open_door, [], origin=(foreign,))
        assert isinstance(refused, Rejected)
        assert refused.status is HTTPStatus.FORBIDDEN
    assert isinstance(admitted(open_door, [], origin=("https://CSMS.example:8443",)), Admitted)
    assert isinstance(admitted(a_charge_point(), [basic("CP-1")], origin=("https://elsewhere.example",)), Admitted)


@pytest.mark.parametrize(
    ("offered", "choice"),
    [
        (["ocpp1.6"], Subprotocol(Protocol.V16, "ocpp1.6")),
        (["ocpp2.0.1", "ocpp1.6"], Subprotocol(Protocol.V201, "ocpp2.0.1")),
        (["ocpp1.6", "ocpp2.0.1"], Subprotocol(Protocol.V16, "ocpp1.6")),
        (["ocpp2.1", "ocpp2.0.1", "ocpp1.6"], Subprotocol(Protocol.V21, "ocpp2.1")),
        (["ocpp2.2", "ocpp1.6", "ocpp2.1"], Subprotocol(Protocol.V16, "ocpp1.6")),
        (["OCPP1.6"], Subprotocol(Protocol.V16, "OCPP1.6")),
        (["ocpp1.5", "soap"], Subprotocol(None, None)),
        ([], Subprotocol(Protocol.V16, None)),
    ],
)
def test_the_first_supported_subprotocol_in_the_charge_points_order_is_chosen(
    offered: list[str], choice: Subprotocol
) -> None:
    assert choose_subprotocol(offered, a_charge_point()) == choice


def test_who_offers_no_subprotocol_speaks_what_it_is_registered_with() -> None:
    registered = a_charge_point(protocol=Protocol.V201)

    assert choose_subprotocol([], registered) == Subprotocol(Protocol.V201, None)


def test_what_a_peer_sent_stands_in_the_log_escaped_and_short() -> None:
    assert shown("CP\r\n\x1b[31m\u202e") == "CP\\r\\n\\x1b[31m\\u202e"
    assert len(shown("x" * 10_000)) == 103


def test_guessing_one_identity_is_slowed_after_ten_failures_a_minute() -> None:
    throttle = Throttle(per_identity_max=10, per_address_max=100)

    assert [throttle.failed("CP-1", "192.0.2.1", now=0) for _ in range(12)] == [False] * 10 + [True] * 2
    assert not throttle.failed("CP-2", "192.0.2.1", now=0)
    assert not throttle.failed("CP-1", "192.0.2.2", now=0)
    assert not throttle.failed("CP-1", "192.0.2.1", now=60)


def test_guessing_many_identities_is_slowed_after_a_hundred_failures_a_minute() -> None:
    throttle = Throttle(per_identity_max=10, per_address_max=100)
    told_to_wait = [throttle.failed(f"CP-{number}", "2001:db8::1", now=0) for number in range(101)]

    assert told_to_wait == [False] * 100 + [True]
    assert throttle.failed("CP-X", "2001:db8::2", now=0)
    assert not throttle.failed("CP-X", "2001:db8:0:1::2", now=0)


def test_counting_failures_takes_bounded_memory() -> None:
    throttle = Throttle(per_identity_max=10, per_address_max=100)
    for number in range(KEYS_MAX + 100):
        throttle.failed("CP", f"address {number}", now=0)

    assert len(throttle._counters) == KEYS_MAX


def test_more_than_three_replacements_in_ten_minutes_raise_one_alarm() -> None:
    reconnects = Reconnects()
    alarms = [reconnects.opened("CP-1", replaced=True, now=float(second)) for second in range(6)]

    assert alarms == [[], [], [], [Alarm.REPLACED_OFTEN], [], []]
    assert reconnects.opened("CP-1", replaced=True, now=700.0) == []


def test_more_than_sixty_connections_an_hour_raise_one_alarm() -> None:
    reconnects = Reconnects()
    alarms = [reconnects.opened("CP-1", replaced=False, now=float(second)) for second in range(70)]

    assert [second for second, raised in enumerate(alarms) if raised] == [60]


def test_of_many_equal_events_one_a_minute_is_told() -> None:
    damper = Damper()

    assert [damper.admit("full", now=0.0) for _ in range(3)] == [1, None, None]
    assert damper.admit("other", now=0.0) == 1
    assert damper.admit("full", now=INTERVAL_S) == 3
