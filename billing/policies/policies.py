"""The choices that billing decides by, together. Knows no database."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from billing.policies.interim import DEFAULT_INTERIM, InterimPolicy
from billing.rating.policy import DEFAULT_POLICY, RatingPolicy

PRICE_MAX: Final = Decimal(150)
"""Major units, tax included; what holds until the review policy (kind `review`, `price_max`) says otherwise."""
BAND_TOLERANCE_S: Final = Decimal(60)
"""Until the review policy (`band_tolerance_s`) says otherwise; no clock that is a minute off is corrected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """What billing decides by. `price_max`: a session that costs more is held (price_outlier). `band_tolerance_s`: a clock
    that may be further off must not decide a price (clock_uncertain).
    """

    interim: InterimPolicy = DEFAULT_INTERIM
    rating: RatingPolicy = DEFAULT_POLICY
    price_max: Decimal = PRICE_MAX
    band_tolerance_s: Decimal = BAND_TOLERANCE_S
