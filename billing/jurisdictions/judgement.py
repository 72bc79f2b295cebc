"""What stands against a tariff in a jurisdiction: all findings at once, each with its rule, its source and the next step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from billing.jurisdictions.checks import CHECKS
from billing.jurisdictions.profile import Circumstances, Profile, Rule
from billing.tariffs.lint import Finding, Severity
from billing.tariffs.tariff import Tariff, TariffType

_BY_CONTRACT = frozenset(each.value for each in TariffType if each is not TariffType.AD_HOC_PAYMENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class LegalFinding(Finding):
    """A finding of a rule: `code` is the rule's name, `message` says what is there and what is asked."""

    jurisdiction: str
    source: str


def judge(tariff: Tariff, profile: Profile, circumstances: Circumstances) -> list[LegalFinding]:
    """Every finding under the profile, in the order of its rules.

    A rule that binds only at some power says so and is a warning where the power is not known.
    """
    known = _with_type(tariff, circumstances)
    return [finding for rule in profile.rules for finding in _findings(tariff, profile, rule, known)]


def binds(tariff: Tariff, rule: Rule, circumstances: Circumstances) -> bool | None:
    """Whether the rule binds the tariff there. None: only the power of the charge points could tell."""
    known = _with_type(tariff, circumstances)
    if rule.unless in known.given or (rule.ad_hoc is not None and rule.ad_hoc is not known.ad_hoc):
        return False
    if rule.power_kw_min is None and rule.power_kw_below is None:
        return True
    if known.power_kw is None:
        return None
    above = rule.power_kw_min is None or known.power_kw >= rule.power_kw_min
    return above and (rule.power_kw_below is None or known.power_kw < rule.power_kw_below)


def _with_type(tariff: Tariff, circumstances: Circumstances) -> Circumstances:
    """Ad hoc, unless somebody says otherwise: a tariff without a type holds for everybody (OCPI mod_tariffs)."""
    if circumstances.ad_hoc is not None:
        return circumstances
    return replace(circumstances, ad_hoc=tariff.other.get("type") not in _BY_CONTRACT)


def _findings(tariff: Tariff, profile: Profile, rule: Rule, circumstances: Circumstances) -> Iterator[LegalFinding]:
    bound = binds(tariff, rule, circumstances)
    if bound is False:
        return
    for remark in CHECKS[rule.check](tariff, rule.parameters):
        unsure = f" (at {rule.power})" if bound is None else ""
        yield LegalFinding(
            code=rule.name,
            severity=_softer(rule.severity) if bound is None else rule.severity,
            path=remark.path,
            message=f"{remark.message}{unsure}: {rule.says}",
            next_step=rule.next,
            jurisdiction=profile.name,
            source=rule.source,
        )


def _softer(severity: Severity) -> Severity:
    return Severity.WARNING if severity is Severity.ERROR else severity
