"""Firmware and logs as a charge point does them: it fetches, checks, installs and sends, and tells what each version tells.

Files at addresses of this machine are really moved; for other addresses it plays what it would tell.
``faults`` are words that the next transfers end in, or are answered with; ``STALL`` is one that never comes further.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from ocpp.v16 import call as call16
from ocpp.v16 import call_result as result16
from ocpp.v201 import call as call201
from ocpp.v201 import call_result as result201

from simulators.charge_point.dialect import Handler
from simulators.charge_point.transfer import (
    BROKEN,
    UPLOAD_WORDS,
    AnsweredError,
    Download,
    is_real,
    is_signed,
    md5,
    send,
)

if TYPE_CHECKING:
    from simulators.charge_point.station import SimulatedChargePoint

STALL = "Stall"
INTERRUPTED = "Interrupted"
"""The next download breaks off in the middle."""
INTERRUPTED_AFTER_BYTES = 20_000
FIRST_VERSION = "1.0.0"
REFUSALS = ("Rejected", "InvalidCertificate", "RevokedCertificate")
UPLOAD_FAULTS = ("UploadFailed", "UploadFailure", "PermissionDenied", "BadMessage", "NotSupportedOperation")
LOOK_AGAIN_S = 0.02
_VERSION = re.compile(r"\d+(?:\.\d+)+")


@dataclass(slots=True, kw_only=True, eq=False)
class Work:
    """One transfer. ``request`` None: the plain messages of 1.6, which have no id."""

    url: str
    request: int | None = None
    retries: int = 0
    signed: bool = False
    retrieve_at: datetime | None = None
    install_at: datetime | None = None
    checksum: str = ""
    certificate: str = ""
    signature: str = ""
    retry_interval_s: float = 0.0
    name: str = ""


@dataclass(slots=True)
class Transfers:
    """What the charge point is at: of each kind one transfer at a time, the newest."""

    station: SimulatedChargePoint
    version: str = FIRST_VERSION
    faults: list[str] = field(default_factory=list)
    published: set[str] = field(default_factory=set)
    current: dict[str, Work | None] = field(default_factory=dict)
    last: dict[str, tuple[str, int | None]] = field(default_factory=dict)
    downloads: list[Download] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)

    def begin(self, kind: str, work: Work, play: Callable[[Work], Any]) -> str:
        """Take a transfer on, once its answer is on the wire; the answer's status."""
        if self.faults and self.faults[0] in REFUSALS:
            return self.faults.pop(0)
        given_up = self.current.get(kind)
        self.current[kind] = work
        self.station.follow_ups.append(partial(self._play, kind, work, play, given_up))
        return "Accepted" if given_up is None else "AcceptedCanceled"

    async def _play(self, kind: str, work: Work, play: Callable[[Work], Any], given_up: Work | None) -> None:
        if given_up is not None and kind == "log" and self._is_201:
            await self.station.ask(
                call201.LogStatusNotification(status="AcceptedCanceled", request_id=given_up.request)
            )
        await play(work)
        if self.current.get(kind) is work:
            self.current[kind] = None

    @property
    def _is_201(self) -> bool:
        return self.station.build.protocol != "ocpp1.6"

    def fails(self, word: str) -> bool:
        """Whether this is what goes wrong next."""
        if self.faults[:1] != [word]:
            return False
        self.faults.pop(0)
        return True

    async def _tell(self, kind: str, work: Work, status: str) -> bool:
        """Tell a status; False where the transfer has been given up meanwhile, or goes no further."""
        if self.current.get(kind) is not work:
            return False
        self.last[kind] = (status, work.request)
        self.station.truth.note(self.station.clock.now, kind, status)
        await self.station.ask(self._notification(kind, status, work.request, work))
        if self.fails(STALL):
            await self._until(kind, work, lambda: False)
        return self.current.get(kind) is work

    async def _until(self, kind: str, work: Work, met: Callable[[], bool]) -> None:
        while self.current.get(kind) is work and not met():  # noqa: ASYNC110 - the model clock has no event
            await asyncio.sleep(LOOK_AGAIN_S)

    async def _wait(self, work: Work, at: datetime | None, status: str) -> None:
        """Until a time has come by the model's clock or, for people give commands in real time, by the real one."""

        def due() -> bool:
            return at is None or at <= max(self.station.clock.now, datetime.now(UTC))

        if not due():
            if work.request is not None:
                await self._tell("firmware", work, status)
            await self._until("firmware", work, due)

    # --- what each kind of transfer goes through

    async def install(self, work: Work) -> None:
        """Download, check, install, boot with the new version."""
        tell = partial(self._tell, "firmware", work)
        await self._wait(work, work.retrieve_at, "DownloadScheduled")
        if not await self._download("firmware", work):
            return
        if work.signed:
            if self.fails("InvalidSignature") or not self._is_genuine(work):
                await tell("InvalidSignature")
                return
            await tell("SignatureVerified")
        await self._wait(work, work.install_at, "InstallScheduled")
        await self._until("firmware", work, lambda: all(e.transaction is None for e in self.station.evses.values()))
        if not await tell("Installing"):
            return
        for fault in ("InstallationFailed", "InstallVerificationFailed"):
            if self.fails(fault):
                await tell(fault)
                return
        await tell("Installed" if work.request is None else "InstallRebooting")
        self.version = version_in(work.url, self.version)
        await self.station.reboot(reason="FirmwareUpdate")
        if work.request is not None:
            await tell("Installed")

    async def upload(self, work: Work) -> None:
        """Send a log."""
        for number in range(work.retries + 1):
            await self._pause_before(number, work)
            if not await self._tell("log", work, "Uploading"):
                return
            fault = next((each for each in UPLOAD_FAULTS if self.fails(each)), None) or await self._send(work)
            await self._tell("log", work, fault or "Uploaded")
            if fault is None:
                return

    async def _send(self, work: Work) -> str | None:
        """Really, where it is on this machine; the word for what went wrong."""
        if not is_real(work.url):
            return None
        content = log_content(self.station.identity, self.station.build.log_bytes)
        build = self.station.build
        try:
            await asyncio.to_thread(send, work.url, content, name=work.name, how=build.upload, trust=build.trust)
        except AnsweredError as refused:
            self.station.truth.note(self.station.clock.now, "upload", str(refused))
            return self._failed(UPLOAD_WORDS.get(refused.status, "UploadFailure"), work)
        except BROKEN as broken:
            self.station.truth.note(self.station.clock.now, "upload", str(broken))
            return self._failed("UploadFailure", work)
        self.sent.append(content)
        return None

    def _failed(self, word: str, work: Work) -> str:
        """Plain 1.6 has one word for all of it."""
        return "UploadFailed" if work.request is None else word

    async def _pause_before(self, number: int, work: Work) -> None:
        """Between two tries, as asked for; what is only played does not wait."""
        if number and is_real(work.url):
            await asyncio.sleep(work.retry_interval_s)

    def _is_genuine(self, work: Work) -> bool:
        """What was not really fetched cannot be checked."""
        if not is_real(work.url):
            return True
        return is_signed(bytes(self.downloads[-1].content), work.certificate, work.signature)

    async def publish(self, work: Work) -> None:
        """Download, check, offer."""
        tell = partial(self._tell, "publication", work)
        if not await self._download("publication", work):
            return
        for fault, otherwise in {"InvalidChecksum": "ChecksumVerified", "PublishFailed": "Published"}.items():
            if self.fails(fault) or (fault == "InvalidChecksum" and not self._is_as_summed(work)):
                await tell(fault)
                return
            if otherwise == "Published":
                self.published.add(work.checksum)
            await tell(otherwise)

    def _is_as_summed(self, work: Work) -> bool:
        return not is_real(work.url) or md5(bytes(self.downloads[-1].content)) == work.checksum

    async def _download(self, kind: str, work: Work) -> bool:
        download = Download(work.url, self.station.build.trust)
        for number in range(work.retries + 1):
            await self._pause_before(number, work)
            if not await self._tell(kind, work, "Downloading"):
                return False
            if not self.fails("DownloadFailed") and await self._fetch(download):
                return await self._tell(kind, work, "Downloaded")
            await self._tell(kind, work, "DownloadFailed")
        return False

    async def _fetch(self, download: Download) -> bool:
        """Really, where it is on this machine; behind what an earlier try has brought."""
        if not is_real(download.url):
            return True
        if download not in self.downloads:
            self.downloads.append(download)
        break_after = INTERRUPTED_AFTER_BYTES if self.fails(INTERRUPTED) else None
        try:
            await asyncio.to_thread(download.go_on, break_after=break_after)
        except (AnsweredError, *BROKEN) as trouble:
            self.station.truth.note(self.station.clock.now, "download", str(trouble))
            return False
        return True

    # --- its words

    def triggered(self, message: str, *, extended: bool = False) -> Any | None:
        """The status that a trigger asks for, Idle where nothing goes on; None for other messages."""
        kinds = {
            "FirmwareStatusNotification": "firmware",
            "LogStatusNotification": "log",
            "DiagnosticsStatusNotification": "log",
            "PublishFirmwareStatusNotification": "publication",
        }
        if message not in kinds:
            return None
        kind = kinds[message]
        busy = self.current.get(kind) is not None
        status, request = self.last[kind] if busy else ("Idle", None)
        if extended and message == "FirmwareStatusNotification":
            return call16.SignedFirmwareStatusNotification(status=status, request_id=request)
        if message == "LogStatusNotification" and not self._is_201:
            return call16.LogStatusNotification(status=status, request_id=request)
        return self._notification(kind, status, request, None)

    def _notification(self, kind: str, status: str, request: int | None, work: Work | None) -> Any:
        if kind == "publication":
            places = [f"http://local.example/{work.url.rpartition('/')[2]}"] if work and status == "Published" else None
            return call201.PublishFirmwareStatusNotification(status=status, request_id=request, location=places)
        if self._is_201:
            notification = call201.FirmwareStatusNotification if kind == "firmware" else call201.LogStatusNotification
            return notification(status=status, request_id=request)
        if request is None:
            plain = {"firmware": call16.FirmwareStatusNotification, "log": call16.DiagnosticsStatusNotification}
            return plain[kind](status=status)
        secure = {"firmware": call16.SignedFirmwareStatusNotification, "log": call16.LogStatusNotification}
        return secure[kind](status=status, request_id=request)


def version_in(url: str, before: str) -> str:
    """The version that a file's name speaks of, else the next one."""
    found = _VERSION.findall(url.partition("?")[0].rpartition("/")[2])
    return str(found[-1]) if found else f"{before}+1"


def log_content(identity: str, length: int) -> bytes:
    """What stands in a log: the same for a charge point each time, and different for each."""
    lines = b"".join(f"{n:08} {identity} all is well\n".encode() for n in range(length // 20 + 1))
    return lines[:length]


def tries_of(given: dict[str, Any]) -> dict[str, Any]:
    """How often to try again, and how many seconds later."""
    return {"retries": given.get("retries") or 0, "retry_interval_s": given.get("retry_interval") or 0}


def firmware_work(request_id: int, firmware: dict[str, Any], **given: Any) -> Work:
    """Out of a FirmwareType."""
    install_at = firmware.get("install_date_time")
    return Work(
        url=firmware["location"],
        request=request_id,
        **tries_of(given),
        signed="signing_certificate" in firmware,
        certificate=firmware.get("signing_certificate", ""),
        signature=firmware.get("signature", ""),
        retrieve_at=datetime.fromisoformat(firmware["retrieve_date_time"]),
        install_at=None if install_at is None else datetime.fromisoformat(install_at),
    )


def handlers_16(station: SimulatedChargePoint, trigger: Handler) -> dict[str, Handler]:
    """Answers to the calls of OCPP 1.6 and of its security white paper. ``trigger`` answers TriggerMessage."""
    transfers = station.transfers

    def update(location: str, retrieve_date: str, **given: Any) -> Any:
        work = Work(url=location, retrieve_at=datetime.fromisoformat(retrieve_date), **tries_of(given))
        transfers.begin("firmware", work, transfers.install)
        return result16.UpdateFirmware()

    def signed_update(request_id: int, firmware: dict[str, Any], **given: Any) -> Any:
        work = firmware_work(request_id, firmware, **given)
        return result16.SignedUpdateFirmware(status=transfers.begin("firmware", work, transfers.install))

    def diagnostics(location: str, **given: Any) -> Any:
        if transfers.fails("NoDiagnostics"):
            return result16.GetDiagnostics()
        name = f"{station.identity}-diagnostics.log"
        work = Work(url=location, name=name, **tries_of(given))
        transfers.begin("log", work, transfers.upload)
        return result16.GetDiagnostics(file_name=name)

    def get_log(log: dict[str, Any], log_type: str, request_id: int, **given: Any) -> Any:
        work = log_work(station, log, log_type, request_id, **given)
        status = transfers.begin("log", work, transfers.upload)
        return result16.GetLog(status=status, filename=log_name(station, log_type, status))

    def extended_trigger(requested_message: str, connector_id: int | None = None, **_: Any) -> Any:
        payload = transfers.triggered(requested_message, extended=True)
        if payload is None:
            answer = trigger(requested_message=requested_message, connector_id=connector_id)
            return result16.ExtendedTriggerMessage(status=answer.status)
        station.follow_ups.append(partial(tell, station, payload))
        return result16.ExtendedTriggerMessage(status="Accepted")

    return known(
        station,
        {
            "UpdateFirmware": update,
            "SignedUpdateFirmware": signed_update,
            "GetDiagnostics": diagnostics,
            "GetLog": get_log,
            "ExtendedTriggerMessage": extended_trigger,
        },
    )


def handlers_201(station: SimulatedChargePoint) -> dict[str, Handler]:
    """Answers to the calls of OCPP 2.0.1."""
    transfers = station.transfers

    def update(request_id: int, firmware: dict[str, Any], **given: Any) -> Any:
        work = firmware_work(request_id, firmware, **given)
        return result201.UpdateFirmware(status=transfers.begin("firmware", work, transfers.install))

    def get_log(log: dict[str, Any], log_type: str, request_id: int, **given: Any) -> Any:
        work = log_work(station, log, log_type, request_id, **given)
        status = transfers.begin("log", work, transfers.upload)
        return result201.GetLog(status=status, filename=log_name(station, log_type, status))

    def publish(location: str, checksum: str, request_id: int, retries: int | None = None, **_: Any) -> Any:
        work = Work(url=location, request=request_id, retries=retries or 0, checksum=checksum)
        refused = transfers.begin("publication", work, transfers.publish) == "Rejected"
        return result201.PublishFirmware(status="Rejected" if refused else "Accepted")

    def unpublish(checksum: str, **_: Any) -> Any:
        if checksum in transfers.published:
            transfers.published.discard(checksum)
            return result201.UnpublishFirmware(status="Unpublished")
        busy = transfers.current.get("publication") is not None
        return result201.UnpublishFirmware(status="DownloadOngoing" if busy else "NoFirmware")

    return known(
        station,
        {"UpdateFirmware": update, "GetLog": get_log, "PublishFirmware": publish, "UnpublishFirmware": unpublish},
    )


def log_work(station: SimulatedChargePoint, log: dict[str, Any], log_type: str, request_id: int, **given: Any) -> Work:
    """Out of a GetLog."""
    name = log_name(station, log_type, "Accepted") or ""
    return Work(url=log["remote_location"], request=request_id, name=name, **tries_of(given))


def log_name(station: SimulatedChargePoint, log_type: str, status: str) -> str | None:
    """The name of the file that will be sent."""
    return None if status == "Rejected" else f"{station.identity}-{log_type}.log"


def known(station: SimulatedChargePoint, handlers: dict[str, Handler]) -> dict[str, Handler]:
    """Without what this charge point is built not to know."""
    return {action: handler for action, handler in handlers.items() if action not in station.build.unknown}


async def tell(station: SimulatedChargePoint, payload: Any) -> None:
    """Send a message that nobody waits for."""
    await station.ask(payload)
