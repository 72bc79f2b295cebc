"""step_size: what a final bill adds so that quantities are whole steps (OCPI mod_cdrs, "step_size"). Knows no price."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from billing.rating.matching import MICRO, Phase
from billing.rating.spans import Span
from billing.tariffs.tariff import Dimension


def with_surplus(spans: list[Span]) -> list[Span]:
    """The spans with each rounded total's surplus on its last span.

    Once for ENERGY, once for PARKING_TIME and TIME together (only parking is rounded where any was priced), once for
    our X_OCCUPANCY, once for the reservation's TIME. Totals are of what a component priced: a free stretch neither adds to the total nor cancels
    the rounding before it. The last span is the last in which something was used; its step and its price count.
    """
    rounded = _round_last(spans, lambda span: span.dimension is Dimension.ENERGY)
    parked = any(_counts(span) and span.dimension is Dimension.PARKING_TIME for span in spans)
    timed = Dimension.PARKING_TIME if parked else Dimension.TIME
    rounded = _round_last(rounded, lambda span: span.dimension is timed and span.phase is Phase.SESSION)
    rounded = _round_last(rounded, lambda span: span.dimension is Dimension.OCCUPANCY)
    return _round_last(rounded, lambda span: span.dimension is Dimension.TIME and span.phase is not Phase.SESSION)


def _counts(span: Span) -> bool:
    return span.component is not None and span.used > 0


def _round_last(spans: list[Span], concerns: Callable[[Span], bool]) -> list[Span]:
    chosen = [index for index, span in enumerate(spans) if _counts(span) and concerns(span)]
    if not chosen:
        return spans
    last = max(chosen, key=lambda index: (spans[index].end, spans[index].start, index))
    component = spans[last].component
    assert component is not None, "only priced spans are rounded"
    total = sum(spans[index].used for index in chosen)
    surplus = -total % (component.step * MICRO)
    return [*spans[:last], replace(spans[last], billed=spans[last].used + surplus), *spans[last + 1 :]]
