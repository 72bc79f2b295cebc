"""Our verdicts are those of pyocmf, another reader of OCMF by other people, in both directions."""

from __future__ import annotations

import warnings
from base64 import b64encode
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from signed_story import NOON, meter_key, shown, signed

from csms.evidence import ocmf
from csms.evidence.judgement import Sent, Verdict, verified
from csms.evidence.ocmf import OcmfUnreadable
from simulators.charge_point.signing import Shown, payload_text, private_key, public_hex, signed_text

pyocmf = pytest.importorskip("pyocmf", reason="pyocmf is not installed: it comes with csms[test]")

# pyocmf takes the curve of a key by the name that OpenSSL has for it, which for brainpool is not that of OCMF.
CURVES = ("secp192r1", "secp256k1", "secp256r1", "secp384r1")
SENT = Sent(stored="", at=NOON, received_at=NOON)
registers = st.decimals(min_value=0, max_value=10**9, places=1, allow_nan=False)
minutes = st.integers(min_value=0, max_value=10**5)


def _ours(text: str, curve: str, of: str = "M-1") -> bool | None:
    """True: genuine; False: not; None: nothing that could be verified."""
    value = verified(text, [meter_key(of=of, curve=curve)], evse=1, sent=SENT)
    return {Verdict.VALID: True, Verdict.INVALID: False}.get(value.verdict)


def _theirs(text: str, curve: str, of: str = "M-1") -> bool | None:
    key = public_hex(private_key(of, curve))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deviations that it reads all the same
        try:
            return bool(pyocmf.OCMF.from_string(text).verify_signature(key))
        except pyocmf.PyOCMFError:
            return None


@st.composite
def records(draw: st.DrawFn) -> tuple[str, str]:
    """A signed text, and its curve."""
    curve = draw(st.sampled_from(CURVES))
    begin, more = draw(registers), draw(registers)
    reasons = draw(st.lists(st.sampled_from("BCXELRAPST"), min_size=1, max_size=4))
    readings = [
        Shown(reason=reason, wh=begin + more * step, at=NOON + timedelta(minutes=step * draw(minutes)))
        for step, reason in enumerate(reasons)
    ]
    serial = draw(st.text(alphabet="ABCxyz0123456789-_/ äß€", min_size=1, max_size=12))
    payload = payload_text(
        readings,
        serial="M-1",
        page=draw(st.integers(min_value=0, max_value=10**9)),
        register=draw(st.sampled_from(["1-0:1.8.0", "01-00:B2.08.00*FF", "1-b:1.8.0"])),
        token="CARD",
        GI=serial,
    )
    return signed_text(payload, private_key("M-1", curve), curve), curve


@given(records())
@settings(max_examples=150)
def test_what_a_meter_signed_is_genuine_to_both(record: tuple[str, str]) -> None:
    text, curve = record

    assert (_ours(text, curve), _theirs(text, curve)) == (True, True)


@given(records(), st.data())
@settings(max_examples=300)
def test_no_changed_payload_is_genuine_to_either(record: tuple[str, str], data: st.DataObject) -> None:
    text, curve = record
    head, payload, signature = text.split("|")
    at = data.draw(st.integers(min_value=0, max_value=len(payload) - 1))
    letter = data.draw(st.sampled_from([each for each in '0123456789abcXYZ ,:"{}[]' if each != payload[at]]))
    changed = f"{head}|{payload[:at]}{letter}{payload[at + 1 :]}|{signature}"
    ours, theirs = _ours(changed, curve), _theirs(changed, curve)

    assert ours is not True
    assert theirs is not True
    # Where both can read it they say the same: not genuine. What one of them cannot read, the other does not believe.
    assert None in {ours, theirs} or ours is theirs is False


@given(records(), st.data())
@settings(max_examples=150)
def test_no_changed_signature_is_genuine_to_either(record: tuple[str, str], data: st.DataObject) -> None:
    text, curve = record
    begin = text.index('"SD":"') + 6
    at = data.draw(st.integers(min_value=begin, max_value=len(text) - 3))
    digit = data.draw(st.sampled_from([each for each in "0123456789abcdef" if each != text[at]]))
    changed = text[:at] + digit + text[at + 1 :]

    assert _ours(changed, curve) is False
    assert _theirs(changed, curve) in {False, None}


@given(records())
def test_no_other_key_has_signed_it_to_either(record: tuple[str, str]) -> None:
    text, curve = record

    assert (_ours(text, curve, of="M-2"), _theirs(text, curve, of="M-2")) == (False, False)


def test_a_key_of_another_curve_has_signed_it_to_neither() -> None:
    text = signed(shown("B", 1000), curve="secp256r1")

    assert _ours(text, "secp384r1") is False
    assert _theirs(text, "secp384r1") is None


def test_signatures_in_base64_are_genuine_to_both() -> None:
    text = signed(shown("B", 1000))
    head, payload, _ = text.split("|")
    coded = b64encode(ocmf.read(text).signature).decode()
    other = f'{head}|{payload}|{{"SA":"ECDSA-secp256r1-SHA256","SE":"base64","SD":"{coded}"}}'

    assert (_ours(other, "secp256r1"), _theirs(other, "secp256r1")) == (True, True)


@given(records())
@settings(max_examples=100)
def test_both_read_the_same_registers(record: tuple[str, str]) -> None:
    text, _ = record
    ours = ocmf.read(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = pyocmf.OCMF.from_string(text).payload

    assert ours.meter == theirs.MS
    assert ours.label == theirs.PG
    assert [each.value for each in ours.readings] == [str(each.RV) for each in theirs.RD]
    assert [each.reason for each in ours.readings] == [str(each.TX) for each in theirs.RD]
    assert [each.wh for each in ours.readings] == [Decimal(str(each.RV)) * 1000 for each in theirs.RD]


@given(st.text(max_size=200))
def test_what_they_cannot_read_is_never_genuine_to_us(text: str) -> None:
    for tried in (text, f"OCMF|{text}|{text}"):
        if _theirs(tried, "secp256r1") is None:
            assert _ours(tried, "secp256r1") is not True
    with pytest.raises(OcmfUnreadable):
        ocmf.read(f"OCMF|{text}")
