"""What an answer says of a new password, which spellings open the door, and what stands in the database on the way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.charge_points.charge_point import ChargePoint, Proof, WaitingPassword, password_hash, password_proof
from csms.credentials.change import ChangeState, state_after
from csms.credentials.sealing import NONCE_LENGTH, SealBroken, opened, sealed
from csms.credentials.service import new_password
from csms.protocol.vocabulary import Outcome

KEY = b"a key of the test installation.."
SALT = b"salt of the test"
NONCE = bytes(NONCE_LENGTH)


@pytest.mark.parametrize(
    ("status", "accepted", "state"),
    [
        ("Accepted", True, ChangeState.IN_USE),
        ("RebootRequired", True, ChangeState.AFTER_RESTART),
        ("Rejected", False, ChangeState.REFUSED),
        ("NotSupported", False, ChangeState.REFUSED),
        ("UnknownVariable", False, ChangeState.REFUSED),
        ("not_supported", False, ChangeState.REFUSED),
        ("invalid", False, ChangeState.REFUSED),
        ("timeout", False, ChangeState.UNKNOWN),
        ("offline", False, ChangeState.UNKNOWN),
        ("call_error", False, ChangeState.UNKNOWN),
        ("invalid_answer", False, ChangeState.UNKNOWN),
    ],
)
def test_only_a_clear_answer_decides(status: str, accepted: bool, state: ChangeState) -> None:
    assert state_after(Outcome(accepted=accepted, status=status)) is state


def test_a_new_password_is_random_and_long() -> None:
    made = {new_password() for _ in range(100)}

    assert len(made) == 100
    assert {len(bytes.fromhex(each)) * 8 for each in made} == {160}


def known(password: str, *waiting: str) -> ChargePoint:
    return ChargePoint(
        id="CP-1",
        site="depot",
        password_salt=SALT,
        password_hash=password_hash(password.encode(), salt=SALT, key=KEY),
        passwords_waiting=tuple(
            WaitingPassword(change=number, salt=SALT, hash=password_hash(each.encode(), salt=SALT, key=KEY))
            for number, each in enumerate(waiting, 1)
        ),
    )


def test_the_present_password_and_those_that_wait_open_the_door_and_say_which() -> None:
    charge_point = known("the-present-one-x", "the-first-that-waits", "the-second-that-waits")

    assert password_proof(charge_point, b"the-present-one-x", key=KEY) == Proof(profile=1, by_password=True)
    assert password_proof(charge_point, b"the-second-that-waits", key=KEY) == Proof(
        profile=1, by_password=True, change=2
    )
    assert password_proof(charge_point, b"another-password", key=KEY) is None


@pytest.mark.parametrize("spell", [bytes.fromhex, str.encode, lambda key: key.upper().encode()])
@pytest.mark.parametrize("stored", [str.lower, str.upper])
def test_a_key_in_hexadecimal_comes_decoded_or_written_in_any_case(spell: object, stored: object) -> None:
    """S4: 20 bytes, 0x00, 0x3A and 0xFF among them."""
    key = bytes([0x00, 0x3A, 0xFF, *range(17)]).hex()

    assert password_proof(known(stored(key)), spell(key), key=KEY) is not None  # type: ignore[operator]


@given(st.binary(min_size=16, max_size=20), st.binary(min_size=16, max_size=20))
def test_another_key_opens_nothing(one: bytes, other: bytes) -> None:
    charge_point = known(one.hex())

    assert (password_proof(charge_point, other, key=KEY) is not None) == (one == other)
    assert (password_proof(charge_point, other.hex().encode(), key=KEY) is not None) == (one == other)


def test_capitals_count_where_a_password_is_no_hexadecimal_text() -> None:
    assert password_proof(known("Correct-Horse-Battery"), b"correct-horse-battery", key=KEY) is None


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_a_sealed_password_opens_to_what_it_was(password: str) -> None:
    seal = sealed(password, key=KEY, nonce=NONCE, context="CP-1")

    assert opened(seal, key=KEY, context="CP-1") == password
    assert not password or password not in seal or len(password) < 8


def test_a_seal_opens_only_with_its_key_and_for_its_charge_point() -> None:
    seal = sealed("correct-horse-battery", key=KEY, nonce=NONCE, context="CP-1")

    for broken, key, context in (
        (seal, b"another key", "CP-1"),
        (seal, KEY, "CP-2"),
        (seal[:-8], KEY, "CP-1"),
        ("ä", KEY, "CP-1"),
    ):
        with pytest.raises(SealBroken):
            opened(broken, key=key, context=context)
