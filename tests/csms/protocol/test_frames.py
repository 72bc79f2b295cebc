from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from csms.protocol.frames import (
    ACTION_LENGTH_MAX,
    ID_LENGTH_MAX,
    NESTING_MAX,
    Broken,
    Call,
    CallError,
    CallResult,
    Fault,
    encode_call,
    encode_error,
    encode_result,
    error_code,
    parse,
)
from csms.protocol.vocabulary import Protocol


def test_a_call_is_read() -> None:
    assert parse('[2,"17","Heartbeat",{}]') == Call("17", "Heartbeat", {})


def test_pretty_printing_and_a_byte_order_mark_do_not_matter() -> None:
    assert parse('\ufeff [ 2 ,\r\n\t"17", "Heartbeat" , { } ]\n') == Call("17", "Heartbeat", {})


def test_of_a_key_that_stands_twice_the_last_counts() -> None:
    assert parse('[2,"1","A",{"x":1,"x":2}]') == Call("1", "A", {"x": 2})


@pytest.mark.parametrize("digits", ["0", "17", "-5", "18446744073709551616999"])
def test_an_id_that_is_a_number_is_kept_digit_by_digit(digits: str) -> None:
    assert parse(f'[2,{digits},"Heartbeat",{{}}]') == Call(digits, "Heartbeat", {})


def test_an_id_longer_than_the_standard_allows_is_still_echoed() -> None:
    long_id = "x" * ID_LENGTH_MAX
    assert parse(f'[2,"{long_id}","Heartbeat",{{}}]') == Call(long_id, "Heartbeat", {})


@pytest.mark.parametrize("message_id", ["null", "true", "1.5", "[]", "{}", f'"{"x" * (ID_LENGTH_MAX + 1)}"'])
def test_an_id_that_cannot_be_echoed_becomes_minus_one(message_id: str) -> None:
    assert parse(f'[2,{message_id},"Heartbeat",{{}}]') == Broken("-1", None, Fault.NOT_RPC)


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ('[2,"1"]', Broken("1", None, Fault.FORMATION)),
        ('[2,"1","Heartbeat"]', Broken("1", "Heartbeat", Fault.FORMATION)),
        ('[2,"1","Heartbeat",null]', Broken("1", "Heartbeat", Fault.FORMATION)),
        ('[2,"1","Heartbeat",[]]', Broken("1", "Heartbeat", Fault.FORMATION, [])),
        ('[2,"1","Heartbeat",{},0]', Broken("1", "Heartbeat", Fault.FORMATION, {})),
        ('[2,"1",7,{}]', Broken("1", None, Fault.FORMATION)),
        ('[2,"1",["Heartbeat"],{}]', Broken("1", None, Fault.FORMATION)),
        ('[2,"1","",{}]', Broken("1", None, Fault.FORMATION)),
        (f'[2,"1","{"A" * (ACTION_LENGTH_MAX + 1)}",{{}}]', Broken("1", None, Fault.FORMATION)),
    ],
)
def test_a_call_of_wrong_arity_or_types_keeps_what_can_be_read(text: str, broken: Broken) -> None:
    assert parse(text) == broken


@pytest.mark.parametrize("text", ["", " ", "null", "{}", '"x"', "[]", "[2]", "hello", "[3]", "\x00", "[2,", "]"])
def test_what_is_no_call_array_has_neither_id_nor_action(text: str) -> None:
    assert parse(text) == Broken("-1", None, Fault.NOT_RPC)


def test_id_and_action_are_read_where_a_value_is_missing() -> None:
    text = '[2,"sn-4711","StopTransaction",{"transactionId":,"meterStop":12}]'
    assert parse(text) == Broken("sn-4711", "StopTransaction", Fault.NOT_RPC)


@pytest.mark.parametrize(
    ("text", "message_id", "action"),
    [
        ('[2,"1","MeterValues",{"a":', "1", "MeterValues"),
        (' [ 2 , 99 , "StartTransaction" , {,', "99", "StartTransaction"),
        ('[2,"a\\"b","StopTransaction",{,}]', 'a"b', "StopTransaction"),
        ('[2,"1"', "1", None),
        ('[2,"1","Stop', "1", None),
        (f'[2,"1","MeterValues",{"[" * 5000}{"]" * 5000}]', "1", "MeterValues"),
        (f'[2,"1","MeterValues",{{"v":{"9" * 5000}}}]', "1", "MeterValues"),
    ],
)
def test_id_and_action_are_read_from_text_that_is_not_json(text: str, message_id: str, action: str | None) -> None:
    frame = parse(text)

    assert isinstance(frame, Broken | Call)
    assert (frame.id, frame.action) == (message_id, action)


def test_nesting_beyond_any_message_is_refused_and_the_deepest_allowed_is_read() -> None:
    def nested(depth: int) -> str:
        return f'[2,"1","A",{{"v":{"[" * depth}{"]" * depth}}}]'

    assert isinstance(parse(nested(NESTING_MAX - 2)), Call)
    assert parse(nested(NESTING_MAX)) == Broken("1", "A", Fault.NOT_RPC)


def test_many_brackets_side_by_side_are_not_nesting() -> None:
    values = [{"sampledValue": [{"value": "1"}]} for _ in range(500)]
    assert parse(json.dumps([2, "1", "MeterValues", {"meterValue": values}])) == Call(
        "1", "MeterValues", {"meterValue": values}
    )


def test_nan_reaches_the_translator_which_knows_what_to_say() -> None:
    frame = parse('[2,"1","MeterValues",{"value":NaN}]')

    assert isinstance(frame, Call)
    assert frame.payload["value"] != frame.payload["value"]


def test_half_a_character_is_replaced() -> None:
    assert parse('[2,"1","DataTransfer",{"data":"a\\ud800b"}]') == Call("1", "DataTransfer", {"data": "a\ufffdb"})


def test_raw_control_characters_in_a_string_are_borne() -> None:
    assert parse('[2,"1","DataTransfer",{"data":"a\nb"}]') == Call("1", "DataTransfer", {"data": "a\nb"})


def test_answers_are_read_leniently() -> None:
    assert parse('[3,"1",{"a":1}]') == CallResult("1", {"a": 1})
    assert parse('[3,"1"]') == CallResult("1", None)
    assert parse('[3,"1",{},"more"]') == CallResult("1", {})
    assert parse('[4,"1","NotSupported","no",{}]') == CallError("1", "NotSupported", "no", {})
    assert parse('[4,"1"]') == CallError("1", "GenericError", "", None)
    assert parse('[4,"1",5,6,7,8]') == CallError("1", "GenericError", "", 7)


@pytest.mark.parametrize("text", ["[3,null,{}]", "[4,{}]", '[3,"1",{,}]', "[4,"])
@pytest.mark.parametrize("protocol", list(Protocol))
def test_a_broken_answer_is_never_answered(text: str, protocol: Protocol) -> None:
    frame = parse(text)

    assert isinstance(frame, Broken)
    assert error_code(frame.fault, protocol) is None


def test_an_unknown_message_type_is_ignored_in_1_6_and_refused_in_2_0_1() -> None:
    frame = parse('[5,"1","x",{}]')

    assert frame == Broken("1", None, Fault.MESSAGE_TYPE)
    assert error_code(Fault.MESSAGE_TYPE, Protocol.V16) is None
    assert error_code(Fault.MESSAGE_TYPE, Protocol.V201) == "MessageTypeNotSupported"


def test_each_version_has_its_own_words_for_a_broken_frame() -> None:
    assert error_code(Fault.NOT_RPC, Protocol.V16) == "GenericError"
    assert error_code(Fault.NOT_RPC, Protocol.V201) == "RpcFrameworkError"
    assert error_code(Fault.FORMATION, Protocol.V16) == "FormationViolation"
    assert error_code(Fault.FORMATION, Protocol.V201) == "FormatViolation"


def test_what_we_write_is_compact() -> None:
    assert encode_call("1", "Reset", {"type": "Soft"}) == '[2,"1","Reset",{"type":"Soft"}]'
    assert encode_result("1", {"status": "Accepted"}) == '[3,"1",{"status":"Accepted"}]'
    assert encode_error("1", "NotSupported", "no") == '[4,"1","NotSupported","no",{}]'


def test_amounts_are_written_with_the_digits_that_they_have() -> None:
    assert (
        encode_call("1", "CostUpdated", {"totalCost": Decimal("12.30")}) == '[2,"1","CostUpdated",{"totalCost":12.30}]'
    )


def test_integers_of_any_size_are_written() -> None:
    assert encode_result("1", {"n": 2**70, "d": Decimal("0.5")}) == f'[3,"1",{{"n":{2**70},"d":0.5}}]'


def test_an_error_description_has_at_most_255_characters() -> None:
    assert len(json.loads(encode_error("1", "GenericError", "x" * 1000))[3]) == 255


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@given(st.text() | st.lists(json_values, max_size=6).map(json.dumps) | json_values.map(json.dumps))
@example("[" * 100_000)
@example('[2,"\\ud800","A",{}]')
@example("[2,1e999,3]")
def test_any_text_becomes_a_frame(text: str) -> None:
    assert isinstance(parse(text), Call | CallResult | CallError | Broken)


plain_values = st.text() | st.booleans() | st.none() | st.integers(min_value=-(2**53), max_value=2**53)


@given(st.text(max_size=36), st.text(min_size=1, max_size=50), st.dictionaries(st.text(), plain_values, max_size=4))
def test_every_proper_call_is_read_as_it_was_written(message_id: str, action: str, payload: dict[str, Any]) -> None:
    assert parse(json.dumps([2, message_id, action, payload])) == Call(message_id, action, payload)
    assert parse(encode_call(message_id, action, payload)) == Call(message_id, action, payload)


@given(st.binary(max_size=200), st.integers(min_value=0, max_value=60))
def test_a_call_cut_anywhere_is_still_a_frame(noise: bytes, cut: int) -> None:
    text = '[2,"id-1","StopTransaction",{"transactionId":5,"meterStop":1}]'
    frame = parse(text[:cut] + noise.decode("latin-1"))

    assert isinstance(frame, Call | CallResult | CallError | Broken)
