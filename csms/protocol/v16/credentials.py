"""The password of an OCPP 1.6J charge point (security white paper, A01): the key AuthorizationKey, in hexadecimal."""

from __future__ import annotations

import re

from csms.protocol.blocks.credentials import ChangePassword, RaiseSecurityProfile
from csms.protocol.outgoing import Call, Writers, require

PROFILE_MAX = 3
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


def raise_security_profile(command: RaiseSecurityProfile) -> Call:
    """A05: the profile is never lowered by a message, and 0 is what a charge point has that never heard of profiles."""
    require("ChangeConfiguration", 1 <= command.profile <= PROFILE_MAX, f"SecurityProfile is 1 to {PROFILE_MAX}")
    return "ChangeConfiguration", {"key": "SecurityProfile", "value": str(command.profile)}


CALLS: Writers = {ChangePassword: change_authorization_key, RaiseSecurityProfile: raise_security_profile}
