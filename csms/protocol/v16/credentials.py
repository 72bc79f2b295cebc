"""The password of an OCPP 1.6J charge point (security white paper, A01): the key AuthorizationKey, in hexadecimal."""

from __future__ import annotations

import re

from csms.protocol.blocks.credentials import ChangePassword
from csms.protocol.outgoing import Call, Writers, require

KEY_BYTES_MIN, KEY_BYTES_MAX = 16, 20  # 40 hexadecimal digits

_HEX = re.compile(rf"(?:[0-9A-Fa-f]{{2}}){{{KEY_BYTES_MIN},{KEY_BYTES_MAX}}}")


def change_authorization_key(command: ChangePassword) -> Call:
    """A password that is hexadecimal already is the key as it stands; of any other text, its bytes are."""
    password = command.password
    key = password if _HEX.fullmatch(password) else password.encode().hex()
    require(
        "ChangeConfiguration",
        bool(_HEX.fullmatch(key)),
        f"AuthorizationKey holds {KEY_BYTES_MIN} to {KEY_BYTES_MAX} bytes, as up to {2 * KEY_BYTES_MAX} hexadecimal digits",
    )
    return "ChangeConfiguration", {"key": "AuthorizationKey", "value": key}


CALLS: Writers = {ChangePassword: change_authorization_key}
