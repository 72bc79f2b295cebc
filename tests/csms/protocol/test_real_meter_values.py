"""Meter values as real charge points send them. Shapes are facts, values invented."""

from __future__ import annotations

from decimal import Decimal

import pytest
from ocpp_payloads import CHARGE_POINT, RECEIVED_AT, VALID

from csms.protocol.translator import Refusal, translator
from csms.protocol.vocabulary import Protocol

STOP = VALID[Protocol.V16]["StopTransaction"]
AT = "2026-02-03T04:05:06Z"


def read(action, payload, *, protocol=Protocol.V16, charge_point=CHARGE_POINT):
    fact = translator(protocol).read(action, payload, charge_point=charge_point, received_at=RECEIVED_AT)
    assert not isinstance(fact, Refusal), fact
    return fact


def meter_values(*samples, at=AT, **fields):
    return {"connectorId": 1, "meterValue": [{"timestamp": at, "sampledValue": list(samples)}], **fields}


def values(fact):
    return [(sample.measurand, sample.value, sample.unit) for reading in fact.readings for sample in reading.samples]


def test_one_sample_in_hz_spoils_nothing():
    frequency = {"value": "49.98", "context": "Sample.Periodic", "measurand": "Frequency", "unit": "Hz"}
    energy = {"value": "1200", "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
    fact = read("MeterValues", meter_values(frequency, energy, transactionId=9))

    assert values(fact) == [
        ("Frequency", Decimal("49.98"), "Hertz"),
        ("Energy.Active.Import.Register", Decimal(1200), "Wh"),
    ]
    assert "unit_hz" in fact.quirks


def test_hertz_in_a_stop_is_fine_though_its_schema_forgot_it():
    sample = {"value": "50", "measurand": "Frequency", "unit": "Hertz"}
    fact = read("StopTransaction", STOP | {"transactionData": [{"timestamp": AT, "sampledValue": [sample]}]})

    assert values(fact) == [("Frequency", Decimal(50), "Hertz")]
    assert not fact.malformed


def test_an_impossible_unit_costs_only_its_own_sample_and_only_where_it_decides_money():
    temperature = {"measurand": "Temperature", "value": "27", "unit": "Celsius degrees"}
    energy = {"measurand": "Energy.Active.Import.Register", "value": "349.9", "unit": "kWh"}
    absurd = {"measurand": "Energy.Active.Import.Register", "value": "12", "unit": "W"}
    fact = read("MeterValues", meter_values(temperature, energy, absurd))

    assert values(fact) == [
        ("Temperature", Decimal(27), "Celsius degrees"),
        ("Energy.Active.Import.Register", Decimal(349900), "Wh"),
        ("Energy.Active.Import.Register", None, "W"),
    ]
    assert {"unit_unknown", "unit_mismatch"} <= set(fact.quirks)


def test_power_without_unit_is_watts():
    fact = read("MeterValues", meter_values({"value": "7400", "measurand": "Power.Active.Import"}))

    assert values(fact) == [("Power.Active.Import", Decimal(7400), "W")]
    assert fact.quirks == ("missing_unit",)


def test_an_empty_list_of_samples_is_acknowledged_without_a_reading():
    fact = read("MeterValues", meter_values())

    assert fact.readings == ()
    assert not fact.malformed
    assert "empty_samples" in fact.quirks


def test_a_sample_without_value_is_dropped_and_its_neighbours_kept():
    energy = {"value": "5"}
    fact = read("MeterValues", meter_values({"unit": "A"}, {"value": ""}, "text", energy))

    assert values(fact) == [("Energy.Active.Import.Register", Decimal(5), "Wh")]
    assert "sample_dropped" in fact.quirks


def test_a_phase_that_no_standard_knows_is_kept_as_sent():
    fact = read("MeterValues", meter_values({"value": "230", "measurand": "Voltage", "phase": "L1L2", "unit": "V"}))

    assert fact.readings[0].samples[0].phase == "L1L2"
    assert fact.quirks == ("unknown_enum",)


def test_padded_and_decimal_values_are_numbers():
    fact = read("MeterValues", meter_values({"value": " 0.0"}, {"value": "165333.00", "unit": "Wh"}))

    assert [value for _, value, _ in values(fact)] == [Decimal(0), Decimal(165333)]
    assert fact.quirks == ("padded_value",)


def test_the_defaults_of_the_standard_are_filled_in():
    (reading,) = read("MeterValues", meter_values({"value": "1"})).readings
    (sample,) = reading.samples

    assert (sample.measurand, sample.unit, sample.context) == ("Energy.Active.Import.Register", "Wh", "Sample.Periodic")
    assert (sample.phase, sample.location) == (None, "Outlet")


def test_transaction_begin_and_periodic_samples_in_one_list_keep_their_contexts():
    fact = read(
        "MeterValues",
        meter_values(
            {"value": "10", "context": "Transaction.Begin"}, {"value": "90"}, {"value": "90", "context": "Sample.Clock"}
        ),
    )

    contexts = [sample.context for sample in fact.readings[0].samples]
    assert contexts == ["Transaction.Begin", "Sample.Periodic", "Sample.Clock"]


def test_phases_without_total_stay_phases():
    samples = [{"value": f"{n}.5", "unit": "kWh", "phase": f"L{n}"} for n in (1, 2, 3)]
    fact = read("MeterValues", meter_values(*samples))

    assert [(sample.phase, sample.value) for sample in fact.readings[0].samples] == [
        ("L1", Decimal(1500)),
        ("L2", Decimal(2500)),
        ("L3", Decimal(3500)),
    ]


def test_meter_values_on_connector_zero_have_no_connector():
    plain = read("MeterValues", meter_values({"value": "4296944685"}, connectorId=0))
    inside = read("MeterValues", meter_values({"value": "4296944685"}, connectorId=0, transactionId=3))

    assert (plain.evse, plain.connector, plain.transaction, plain.quirks) == (0, None, None, ())
    assert (inside.evse, inside.transaction, inside.quirks) == (0, "3", ("connector_zero",))
    assert values(plain)[0][1] == Decimal(4296944685)


def test_an_absurdly_large_value_is_kept_without_figure():
    fact = read("MeterValues", meter_values({"value": "1e80"}, {"value": "9" * 39}))

    assert [value for _, value, _ in values(fact)] == [None, None]
    assert fact.quirks == ("value_out_of_range",)


def test_a_thousands_separator_is_not_guessed_at():
    fact = read("MeterValues", meter_values({"value": "1,234"}, {"value": "12,5"}))

    assert [value for _, value, _ in values(fact)] == [None, Decimal("12.5")]
    assert fact.quirks == ("decimal_comma", "value_unreadable")


@pytest.mark.parametrize(
    "data",
    ['OCMF|{"FV":"1.0","RD":[]}|{"SD":"00"}', "303132333435363738", "QUJD\n", '{"signedMeterData":"QUJD"}', " AP;1;0 "],
)
def test_signed_data_is_kept_byte_for_byte_and_never_read_as_a_number(data):
    sample = {"value": data, "format": "SignedData", "context": "Transaction.End"}
    fact = read("StopTransaction", STOP | {"transactionData": [{"timestamp": AT, "sampledValue": [sample]}]})
    (signed,) = fact.readings[0].samples

    assert (signed.signed, signed.value, signed.context) == (data, None, "Transaction.End")


def test_signed_data_is_recognised_without_its_format():
    fact = read("MeterValues", meter_values({"value": 'OCMF|{"FV":"1.0"}|{"SD":"00"}'}))

    assert fact.readings[0].samples[0].signed == 'OCMF|{"FV":"1.0"}|{"SD":"00"}'
    assert fact.quirks == ("signed_without_format",)


def test_a_2_0_1_sample_follows_its_multiplier():
    sample = {"value": 1.5, "unitOfMeasure": {"unit": "kWh", "multiplier": 3}}
    fact = read(
        "MeterValues",
        {"evseId": 1, "meterValue": [{"timestamp": AT, "sampledValue": [sample]}]},
        protocol=Protocol.V201,
    )

    assert values(fact) == [("Energy.Active.Import.Register", Decimal(1_500_000), "Wh")]


def test_an_unreadable_multiplier_or_unit_leaves_no_figure():
    samples = [{"value": 1, "unitOfMeasure": {"multiplier": 0.5}}, {"value": 1, "unitOfMeasure": {"unit": ["kWh"]}}]
    fact = read(
        "MeterValues", {"evseId": 1, "meterValue": [{"timestamp": AT, "sampledValue": samples}]}, protocol=Protocol.V201
    )

    assert [value for _, value, _ in values(fact)] == [None, None]


def test_meter_values_without_transaction_belong_to_none():
    assert read("MeterValues", meter_values({"value": "1"})).transaction is None
