"""What this room counts."""

from __future__ import annotations

from prometheus_client import Counter

texts = Counter("csms_price_texts", "Prices in answers to drivers, by what became of them", ["result"])
user_prices = Counter("csms_user_prices", "Prices of a token sent to 1.6 displays, by what became of them", ["result"])
default_prices = Counter("csms_default_prices", "Settings of 1.6 displays that were written, by the answer", ["result"])
