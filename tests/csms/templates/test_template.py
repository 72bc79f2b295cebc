"""Templates as files: what they may say, what has no place in them, and that what is written reads back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.protocol.redaction import is_secret, without_credentials
from csms.protocol.vocabulary import Protocol
from csms.templates.individual import why_individual
from csms.templates.template import (
    Section,
    Template,
    TemplateInvalid,
    name_in,
    read_template,
    section_of,
    to_document,
)

DEPOT = """
name = "depot"
description = "How the depot charges"

["ocpp1.6"]
HeartbeatInterval = 300
LocalPreAuthorize = false
MeterValuesSampledData = "Energy.Active.Import.Register,Power.Active.Import"

[ocpp2]
"OCPPCommCtrlr.HeartbeatInterval" = 300
"OCPPCommCtrlr.MessageAttempts[TransactionEvent]" = "10"
"""
NAMES = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=30).filter(
    lambda name: why_individual(name) is None and not is_secret(name)
)
VALUES = st.text(max_size=60).filter(lambda value: without_credentials(value) == value)


def test_a_file_has_a_section_for_each_family_of_versions() -> None:
    made = read_template(DEPOT)

    assert name_in(DEPOT) == "depot"
    assert made.description == "How the depot charges"
    assert made.for_protocol(Protocol.V16) == {
        "HeartbeatInterval": "300",
        "LocalPreAuthorize": "false",
        "MeterValuesSampledData": "Energy.Active.Import.Register,Power.Active.Import",
    }
    assert made.for_protocol(Protocol.V201) == made.for_protocol(Protocol.V21)
    assert made.for_protocol(Protocol.V21)["OCPPCommCtrlr.HeartbeatInterval"] == "300"


@given(
    st.dictionaries(NAMES, VALUES, max_size=5),
    st.dictionaries(st.tuples(NAMES, NAMES).map(".".join), VALUES, max_size=5),
    st.none() | st.text(max_size=50),
)
def test_what_is_shown_reads_back(keys: dict[str, str], variables: dict[str, str], description: str | None) -> None:
    given_ = {Section.KEYS: keys, Section.VARIABLES: variables}
    sections = {section: values for section, values in given_.items() if values}
    made = Template(settings=sections, description=description)
    once = {name.casefold() for values in sections.values() for name in values}
    document = {"name": "any", "version": 3, "charge_points": [], **to_document(made)}

    if sections and len(once) == sum(map(len, sections.values())):
        assert read_template(json.dumps(document)) == made


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it sets nothing"),
        ("[[[", "neither TOML nor JSON"),
        ("{", "neither TOML nor JSON"),
        ('{"ocpp1.6": []}', "ocpp1.6 is no table"),
        ('["ocpp1.7"]\nA = 1', "'ocpp1.7' is none of"),
        ('["ocpp1.6"]\nA = [1]', "'A' is no text, number, true or false"),
        ('["ocpp1.6"]\n' + "A" * 51 + " = 1", "names no OCPP 1.6 key"),
        ('["ocpp1.6"]\nA = "' + "x" * 501 + '"', "longer than the 500 characters"),
        ("[ocpp2]\nHeartbeatInterval = 1", "names no OCPP 2.0.1 setting"),
        ('["ocpp1.6"]\nHeartbeatInterval = 1\nheartbeatinterval = 2', "stands there twice"),
        ('["ocpp1.6"]\nAuthorizationKey = "x"', "AuthorizationKey is a secret"),
        ('[ocpp2]\n"SecurityCtrlr.BasicAuthPassword" = "x"', "is a secret"),
        ('["ocpp1.6"]\nUpdateServer = "ftp://me:hunter2@files.example"', "holds credentials in a URL"),
        ('["ocpp1.6"]\nChargeBoxSerialNumber = "1"', "differs from charge point to charge point (serial number)"),
        ('[ocpp2]\n"ClockCtrlr.DateTime" = "2026-01-01T00:00:00Z"', "(time)"),
        ("description = 1", "description is no text"),
    ],
)
def test_what_has_no_place_in_a_template_is_refused_with_its_reason(text: str, problem: str) -> None:
    with pytest.raises(TemplateInvalid) as caught:
        read_template(text)

    assert problem in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_every_mistake_of_a_file_is_named_at_once() -> None:
    with pytest.raises(TemplateInvalid) as caught:
        read_template('["ocpp1.6"]\nAuthorizationKey = "x"\nIccid = "1"\nA = [1]\n[other]')

    assert len(caught.value.problems) == 4


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("ChargePointSerialNumber", "serial number"),
        ("ChargingStation.SerialNumber", "serial number"),
        ("SecurityCtrlr.Identity", "identity"),
        ("ChargeBoxIdentity", "identity"),
        ("ISO15118Ctrlr.SeccId", "identity"),
        ("ChargingStation.ICCID", "modem"),
        ("LocalController.MACAddress", "network address"),
        ("ClockCtrlr.DateTime", "time"),
        ("EVSE@1.AvailabilityState", "state"),
        ("LocalAuthListCtrlr.Entries", "what it holds"),
        ("ConnectorPhaseRotation", "how it is wired"),
        ("OCPPCommCtrlr.HeartbeatInterval", None),
        ("MeterValueSampleInterval", None),
        ("SampledDataCtrlr.TxUpdatedMeasurands", None),
        ("SmartChargingCtrlr.Enabled", None),
        ("TxCtrlr.TxStartPoint", None),
        ("ClockCtrlr.TimeSource", None),
        ("DeviceDataCtrlr.ItemsPerMessage[GetReport]", None),
    ],
)
def test_what_must_differ_is_told_from_what_may_be_alike(name: str, why: str | None) -> None:
    assert why_individual(name) == why


def test_2_0_1_and_2_1_share_their_names() -> None:
    assert [section_of(each) for each in Protocol] == [Section.KEYS, Section.VARIABLES, Section.VARIABLES]
