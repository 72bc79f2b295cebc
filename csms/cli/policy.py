"""csms policy: billing's choices, and the review limits of sessions beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing import POLICY_KINDS, PolicyKind, policy_group
from csms.cli.context import connect
from csms.sessions.policy import WAITS, ReviewPolicy


def _checked(body: Mapping[str, Any]) -> Mapping[str, Any]:
    return ReviewPolicy.from_dict(body).to_dict()


REVIEW = PolicyKind(
    name="review",
    decides="what is plausible; what is not is held for a person to review",
    default=ReviewPolicy().to_dict(),
    check=_checked,
    fixed={name: f"it is a setting of the server: CSMS_{name.upper()}" for name in WAITS},
)

policy = policy_group(connect, [*POLICY_KINDS, REVIEW])
