"""The rating of a running session's first periods, so that an interim costs what came since. Pure values.

A session's newest periods still change: the last one ends now, and the next reading cuts it. What comes before them stays,
and with it all lines that are closed. Where it does not stay, or tariff or terms are others, rating begins anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from billing.rating.limits import Buckets
from billing.rating.rating import Segment
from billing.rating.segments import add_to, segment_of
from billing.rating.spans import Trace
from billing.rating.terms import Terms
from billing.rating.usage import Period, Usage
from billing.rating.usage_check import UsageInvalid, check_usage
from billing.tariffs.tariff import Tariff
from billing.time_zones import zone_named

UNSETTLED: Final = 2
"""So many of the newest periods the next reading may change."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Running:
    """What is known of `periods`. `segments` are the closed lines by their span's identity, `totals` their sums."""

    tariff: Tariff
    terms: Terms
    time_zone: str
    periods: tuple[Period, ...]
    trace: Trace | None = None
    segments: Mapping[int, Segment] = field(default_factory=dict)
    totals: Buckets = field(default_factory=dict)

    def covers(self, usage: Usage, tariff: Tariff, terms: Terms) -> bool:
        """Whether this is the beginning of that usage under that tariff."""
        return (
            self.tariff is tariff
            and self.time_zone == usage.time_zone
            and self.terms == terms
            and usage.periods[: len(self.periods)] == self.periods
        )

    def after(self, usage: Usage) -> Trace:
        """The whole usage as spans; raises UsageInvalid where it cannot be rated."""
        known = len(self.periods)
        problems = check_usage(usage, sound=known)
        if problems:
            raise UsageInvalid(problems)
        trace = Trace(self.tariff, zone_named(usage.time_zone), self.terms) if self.trace is None else self.trace.copy()
        trace.take(usage.periods[known:])
        return trace

    def sums(self, segments: tuple[Segment, ...]) -> Buckets:
        """The lines by component and rate, in the order of their first lines; what is closed is not added again."""
        closed = {id(each) for each in self.segments.values()}
        others = [each for each in segments if id(each) not in closed]
        if not closed or len(others) + len(closed) > len(segments):  # a step surplus changes a closed line, too
            found: Buckets = {}
            for each in segments:
                add_to(found, each)
            return found
        sums = dict(self.totals)
        for each in others:
            add_to(sums, each)
        if len(sums) == 1:
            return sums
        return {
            (each.component, each.vat): sums[each.component, each.vat]
            for each in segments
            if each.unit_price is not None
        }


def begun(running: Running | None, usage: Usage, tariff: Tariff, terms: Terms) -> Running:
    """What is known of this usage: `running` if it is its beginning, else nothing."""
    if running is not None and running.covers(usage, tariff, terms):
        return running
    return Running(tariff=tariff, terms=terms, time_zone=usage.time_zone, periods=())


def advance(running: Running | None, usage: Usage, tariff: Tariff, terms: Terms) -> Running:
    """What the next interim can begin with: all but the newest periods of this usage; raises UsageInvalid."""
    before = begun(running, usage, tariff, terms)
    settled = usage.periods[: max(len(before.periods), len(usage.periods) - UNSETTLED)]
    if len(settled) == len(before.periods):
        return before
    trace = before.after(Usage(time_zone=usage.time_zone, periods=settled))
    segments, totals = dict(before.segments), dict(before.totals)
    for span in trace.settled[len(segments) :]:
        segments[id(span)] = segment_of(span, tariff.tax_included, terms)
        add_to(totals, segments[id(span)])
    return Running(
        tariff=tariff,
        terms=terms,
        time_zone=usage.time_zone,
        periods=settled,
        trace=trace,
        segments=segments,
        totals=totals,
    )
