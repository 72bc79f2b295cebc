"""The password of an OCPP 2.0.1 charging station (A01): the variable BasicAuthPassword, as text."""

from __future__ import annotations

from csms.charge_points.charge_point import PASSWORD_LENGTH_MAX, PASSWORD_LENGTH_MIN
from csms.protocol.blocks.credentials import ChangePassword
from csms.protocol.outcomes import AnswerReaders
from csms.protocol.outgoing import Call, Writers, require
from csms.protocol.v201.outcomes import set_outcome


def set_basic_auth_password(command: ChangePassword) -> Call:
    """A00.FR.205: UTF-8 text, neither in hexadecimal nor in base64."""
    require(
        "SetVariables",
        PASSWORD_LENGTH_MIN <= len(command.password) <= PASSWORD_LENGTH_MAX,
        f"BasicAuthPassword has {PASSWORD_LENGTH_MIN} to {PASSWORD_LENGTH_MAX} characters",
    )
    variable = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
    return "SetVariables", {"setVariableData": [{"attributeValue": command.password, **variable}]}


CALLS: Writers = {ChangePassword: set_basic_auth_password}
OUTCOMES: AnswerReaders = {ChangePassword: set_outcome}
