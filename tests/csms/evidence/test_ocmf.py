"""OCMF as meters write it, and as it must not be."""

from __future__ import annotations

import contextlib
from base64 import b64encode
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from signed_story import NOON, shown, signed

from csms.evidence import ocmf
from csms.evidence.obis import IMPORT_TOTAL, Register
from csms.evidence.ocmf import OcmfUnreadable
from csms.evidence.signatures import CURVES, KeyUnreadable, is_signed, read_key
from csms.evidence.signed_value import unwrap
from simulators.charge_point.signing import CURVES as SIMULATED
from simulators.charge_point.signing import private_key, public_hex, signed_text


def _with_readings(readings: str, signature: str = '{"SD":"00"}') -> str:
    return f'OCMF|{{"FV":"1.0","PG":"T7","MS":"M-1","RD":{readings}}}|{signature}'


def test_the_payload_is_what_stands_between_the_bars_byte_for_byte() -> None:
    text = 'OCMF|{ "FV" : "1.0",\n "PG":"T7", "RD":[{"TM":"2026-03-01T12:00:00,000+0000 S", "RV": 1.500 }]\t}|{"SD":"00ff"}'

    record = ocmf.read(text)

    assert record.payload == text.split("|")[1].encode()
    assert record.signature == b"\x00\xff"
    assert (record.curve, record.digest, record.page, record.context) == ("secp256r1", "SHA256", 7, "T")


def test_a_reading_has_of_the_one_before_what_it_leaves_out() -> None:
    first = '{"TM":"2026-03-01T12:00:00,000+0100 S","TX":"B","RV":1.0,"RI":"1-b:1.8.0","RU":"kWh","EF":"","ST":"G"}'
    begin, between, end = ocmf.read(
        _with_readings(f'[{first},{{"TX":"C","RV":2.0}},{{"TX":"E","RV":3.25,"ST":"T"}}]')
    ).readings

    assert [each.reason for each in (begin, between, end)] == ["B", "C", "E"]
    assert [each.wh for each in (begin, between, end)] == [Decimal(1000), Decimal(2000), Decimal(3250)]
    assert [each.status for each in (begin, between, end)] == ["G", "G", "T"]
    assert end.register == Register.read("1-b:1.8.0")
    assert begin.at is not None
    assert begin.at.isoformat() == "2026-03-01T12:00:00+01:00"
    assert begin.time_state == "S"


@pytest.mark.parametrize(
    ("value", "unit", "wh"),
    [
        ("9.038", "kWh", "9038.000"),
        ('"       9.038"', "kWh", "9038.000"),
        ("2935.600", "kWh", "2935600.000"),
        ("1234567890123456789012345678.9", "Wh", "1234567890123456789012345678.9"),
        ("12", "Wh", "12"),
        ("1.2", "mOhm", None),
        ('"much"', "kWh", None),
        ("true", "kWh", None),
    ],
)
def test_registers_are_exact_and_none_where_they_are_no_energy(value: str, unit: str, wh: str | None) -> None:
    [reading] = ocmf.read(_with_readings(f'[{{"TX":"B","RV":{value},"RI":"1-0:1.8.0","RU":"{unit}"}}]')).readings

    assert reading.wh == (None if wh is None else Decimal(wh))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "OCMF",
        "OCMF|{}",
        "OCMF|{}|{}",
        'OCMX|{"RD":[{}]}|{"SD":"00"}',
        _with_readings("[]"),
        _with_readings("[1]"),
        _with_readings('[{"RV":NaN}]'),
        _with_readings('[{"RV":1,"RV":2}]'),
        _with_readings('[{"RV":' + "9" * 40 + "}]"),
        _with_readings("[" + ",".join(["{}"] * 1001) + "]"),
        _with_readings("[" * 50_000 + "]" * 10),
        _with_readings("[{}]", '{"SD":"0g"}'),
        _with_readings("[{}]", '{"SD":"00","SE":"base32"}'),
        _with_readings("[{}]", '{"SD":"!!","SE":"base64"}'),
        _with_readings("[{}]", '{"SD":"00","SA":"RSA-2048-SHA256"}'),
        _with_readings("[{}]", '{"SD":"00","SM":"text/plain"}'),
        _with_readings("[{}]", "[]"),
        _with_readings('[{"TM":"\ud800"}]'),
        "OCMF|" + "x" * 70_000 + "|{}",
    ],
)
def test_what_is_no_ocmf_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(OcmfUnreadable, match=r"\w"):
        ocmf.read(text)


@given(st.text(max_size=300))
def test_no_text_breaks_the_reader(text: str) -> None:
    for tried in (text, f"OCMF|{text}", f'OCMF|{{"RD":[{{{text}}}]}}|{{"SD":"00"}}'):
        with contextlib.suppress(OcmfUnreadable):
            assert ocmf.read(unwrap(tried).text).readings


@pytest.mark.parametrize("curve", sorted(SIMULATED))
def test_signatures_of_every_curve_are_verified_over_the_bytes_that_came(curve: str) -> None:
    text = signed(shown("B", 1000), shown("E", 2000, 30), curve=curve)
    key = read_key(public_hex(private_key("M-1", curve)))
    record, changed = ocmf.read(text), ocmf.read(text.replace('"RV":2.0000', '"RV":3.0000'))

    assert is_signed(record.payload, record.signature, curve=record.curve, digest=record.digest, key=key)
    assert not is_signed(changed.payload, changed.signature, curve=record.curve, digest=record.digest, key=key)
    assert not is_signed(record.payload + b" ", record.signature, curve=record.curve, digest=record.digest, key=key)


def test_a_signature_in_base64_is_the_same_one() -> None:
    text = signed(shown("B", 1000))
    head, payload, signature = text.split("|")
    coded = b64encode(ocmf.read(text).signature).decode()
    record = ocmf.read(f'{head}|{payload}|{{"SA":"ECDSA-secp256r1-SHA256","SE":"base64","SD":"{coded}"}}')

    assert signature
    assert is_signed(
        record.payload,
        record.signature,
        curve="secp256r1",
        digest="SHA256",
        key=read_key(public_hex(private_key("M-1", "secp256r1"))),
    )


def test_a_key_of_another_curve_than_was_said_has_signed_nothing() -> None:
    payload = ocmf.read(signed(shown("B", 1000))).payload.decode()
    text = signed_text(payload, private_key("M-1", "secp256k1"), "secp256r1")
    record = ocmf.read(text)

    assert not is_signed(
        record.payload,
        record.signature,
        curve="secp256r1",
        digest="SHA256",
        key=read_key(public_hex(private_key("M-1", "secp256k1"))),
    )


@pytest.mark.parametrize("curve", sorted(SIMULATED))
def test_a_key_is_the_same_in_every_way_in_which_it_is_written(curve: str) -> None:
    hexed = public_hex(private_key("M-1", curve))
    der = bytes.fromhex(hexed)
    key = read_key(hexed)
    written = [
        hexed.upper(),
        " ".join(hexed[at : at + 2] for at in range(0, len(hexed), 2)),
        b64encode(der).decode(),
        b64encode(hexed.encode()).decode(),
        b64encode(f"oca:base16:asn1:{hexed}".encode()).decode(),
        f"oca:base16:asn1:{hexed}",
        key.pem,
    ]

    assert key.der == der
    assert key.curve == curve
    assert key.curve in CURVES
    assert {read_key(each).der for each in written} == {der}


def test_secp192k1_cannot_be_verified_and_that_is_said() -> None:
    # A key as the transparency software's own samples have it: OCMF names the curve, OpenSSL has it no more.
    point = "04" + "11" * 48
    with pytest.raises(KeyUnreadable, match="cannot be verified here"):
        read_key("3046301006072A8648CE3D020106052B8104001F033200" + point)


@pytest.mark.parametrize("written", ["", "zz", "00", "3059", "MII=", "-----BEGIN PUBLIC KEY-----", "a" * 5000])
def test_what_is_no_key_is_refused(written: str) -> None:
    with pytest.raises(KeyUnreadable):
        read_key(written)


@pytest.mark.parametrize(
    "code", ["1-0:1.8.0", "01-00:01.08.00*FF", "1-b:1.8.e", "01-00:01.08.00.FF", "1.8.0", "01-0B:01.08.00*FF"]
)
def test_imported_energy_is_known_in_every_spelling(code: str) -> None:
    found = Register.read(code)

    assert found is not None
    assert IMPORT_TOTAL.covers(found)


@pytest.mark.parametrize("code", ["1-0:2.8.0", "01-00:B2.08.00*FF", "1-0:1.8.1", "01-00:98.08.00.FF"])
def test_other_registers_are_others(code: str) -> None:
    found = Register.read(code)

    assert found is not None
    assert not IMPORT_TOTAL.covers(found)
    assert Register.read(str(found)) == found
    assert Register.read("energy") is None


def test_a_register_with_a_channel_is_that_channels_alone() -> None:
    one, other = Register.read("1-0:1.8.0"), Register.read("1-b:1.8.0")

    assert one is not None
    assert other is not None
    assert one.covers(one)
    assert not one.covers(other)


def test_signed_data_is_found_in_whatever_it_is_wrapped() -> None:
    text = signed(shown("B", 1000))
    coded = b64encode(text.encode()).decode()
    forms = [text, text.encode().hex(), coded, f'{{"signedMeterData":"{coded}","publicKey":"k"}}']

    assert {unwrap(each).text for each in forms} == {text}
    assert unwrap(forms[3]).sent_key == "k"
    assert unwrap("0102").text == "0102"
    assert unwrap('{"other":1}').text == '{"other":1}'
    assert unwrap("{" * 3000).text == "{" * 3000
    assert ocmf.read(text).readings[0].at == NOON
