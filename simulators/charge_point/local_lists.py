"""What a simulated charge point authorises by itself: its local list, and what it has learnt from answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ocpp.v16 import call_result as result_16
from ocpp.v201 import call_result as result_201

from simulators.charge_point.dialect import Handler
from simulators.charge_point.settings import Settings

ENTRIES_MAX = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Which settings govern it in one version; `entries_max` or `entries` None: the version has no such setting."""

    enabled: str
    items_max: str
    offline: str
    pre_authorize: str
    cache: str
    entries_max: str | None = None
    entries: str | None = None


NAMES_16 = Names(
    enabled="LocalAuthListEnabled",
    items_max="SendLocalListMaxLength",
    entries_max="LocalAuthListMaxLength",
    offline="LocalAuthorizeOffline",
    pre_authorize="LocalPreAuthorize",
    cache="AuthorizationCacheEnabled",
)
NAMES_201 = Names(
    enabled="LocalAuthListCtrlr.Enabled",
    items_max="LocalAuthListCtrlr.ItemsPerMessage",
    entries="LocalAuthListCtrlr.Entries",
    offline="AuthCtrlr.LocalAuthorizeOffline",
    pre_authorize="AuthCtrlr.LocalPreAuthorize",
    cache="AuthCacheCtrlr.Enabled",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What the list says of a token."""

    status: str
    group: str | None = None
    expires_at: datetime | None = None


@dataclass(slots=True)
class KnownTokens:
    """The local list goes before the cache (OCPP 1.6 3.5.3, 2.0.1 C13, C14). Tokens compare without case."""

    settings: Settings
    names: Names
    version: int = 0
    listed: dict[str, Listed] = field(default_factory=dict)
    cache: dict[str, str] = field(default_factory=dict)

    @property
    def shown_version(self) -> int:
        """0 is an empty list."""
        return self.version if self.listed else 0

    def update(self, version: int, *, full: bool, entries: Sequence[tuple[str, Listed | None]]) -> str:
        """Take a list, or changes of it: all of it, or nothing. Disabled, Failed, VersionMismatch or Accepted."""
        if not self.settings.flag(self.names.enabled):
            return "Disabled"
        if not full and version <= self.version:
            return "VersionMismatch"
        result = {} if full else dict(self.listed)
        for token, listed in entries:
            if listed is None:
                result.pop(token.upper(), None)
            else:
                result[token.upper()] = listed
        if not self._is_sound(version, full=full, entries=entries) or len(result) > self._entries_max():
            return "Failed"
        self.version, self.listed = version, result
        if self.names.entries is not None:
            self.settings.entries[self.names.entries].value = str(len(result))
        return "Accepted"

    def _is_sound(self, version: int, *, full: bool, entries: Sequence[tuple[str, Listed | None]]) -> bool:
        distinct = len({token.upper() for token, _ in entries}) == len(entries)
        fits = len(entries) <= self.settings.number(self.names.items_max, ENTRIES_MAX)
        complete = not full or all(listed is not None for _, listed in entries)
        return version > 0 and distinct and fits and complete

    def _entries_max(self) -> int:
        name = self.names.entries_max
        return ENTRIES_MAX if name is None else self.settings.number(name, ENTRIES_MAX)

    def learn(self, token: str, status: str) -> None:
        """The central system has answered."""
        if self.settings.flag(self.names.cache):
            self.cache[token.upper()] = status

    def clear_cache(self) -> str:
        """Forget what was learnt; only a cache that is in use can be cleared."""
        if not self.settings.flag(self.names.cache):
            return "Rejected"
        self.cache.clear()
        return "Accepted"

    def before_asking(self, token: str, *, at: datetime) -> str | None:
        """Accepted where the charge point need not ask."""
        trusts = self.settings.flag(self.names.pre_authorize)
        return "Accepted" if trusts and self._status(token, at) == "Accepted" else None

    def while_offline(self, token: str, *, at: datetime) -> str | None:
        """What the charge point finds out by itself; None: it does not know the token, or may not decide."""
        return self._status(token, at) if self.settings.flag(self.names.offline) else None

    def _status(self, token: str, at: datetime) -> str | None:
        listed = self.listed.get(token.upper()) if self.settings.flag(self.names.enabled) else None
        if listed is None:
            return self.cache.get(token.upper()) if self.settings.flag(self.names.cache) else None
        is_over = listed.expires_at is not None and listed.expires_at <= at
        return "Expired" if listed.status == "Accepted" and is_over else listed.status


def answers_16(known: KnownTokens) -> dict[str, Handler]:
    """OCPP 1.6: SendLocalList, GetLocalListVersion, ClearCache."""

    def send(
        list_version: int, update_type: str, local_authorization_list: list[dict[str, Any]] | None = None, **_: Any
    ) -> Any:
        entries = [
            (str(each["id_tag"]), _listed_16(each.get("id_tag_info"))) for each in local_authorization_list or []
        ]
        status = known.update(list_version, full=update_type == "Full", entries=entries)
        return result_16.SendLocalList(status="NotSupported" if status == "Disabled" else status)

    return {
        "SendLocalList": send,
        "GetLocalListVersion": lambda **_: result_16.GetLocalListVersion(list_version=known.shown_version),
        "ClearCache": lambda **_: result_16.ClearCache(status=known.clear_cache()),
    }


def answers_201(known: KnownTokens) -> dict[str, Handler]:
    """OCPP 2.0.1: the same."""

    def send(
        version_number: int, update_type: str, local_authorization_list: list[dict[str, Any]] | None = None, **_: Any
    ) -> Any:
        entries = [
            (str(each["id_token"]["id_token"]), _listed_201(each.get("id_token_info")))
            for each in local_authorization_list or []
        ]
        status = known.update(version_number, full=update_type == "Full", entries=entries)
        if status == "Disabled":
            return result_201.SendLocalList(status="Failed", status_info={"reason_code": "NotEnabled"})
        return result_201.SendLocalList(status=status)

    return {
        "SendLocalList": send,
        "GetLocalListVersion": lambda **_: result_201.GetLocalListVersion(version_number=known.shown_version),
        "ClearCache": lambda **_: result_201.ClearCache(status=known.clear_cache()),
    }


def _listed_16(info: dict[str, Any] | None) -> Listed | None:
    if info is None:
        return None
    return Listed(status=info["status"], group=info.get("parent_id_tag"), expires_at=_instant(info.get("expiry_date")))


def _listed_201(info: dict[str, Any] | None) -> Listed | None:
    if info is None:
        return None
    group = info.get("group_id_token")
    return Listed(
        status=info["status"],
        group=None if group is None else group["id_token"],
        expires_at=_instant(info.get("cache_expiry_date_time")),
    )


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
