"""Where charge points fetch firmware and send logs to: what such an address may look like. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

SCHEMES = ("http", "https", "ftp", "ftps", "sftp")
"""FileTransferProtocolEnumType of 2.0.1, SupportedFileTransferProtocols of the 1.6 security white paper."""
URL_LENGTH_MAX = 512  # FirmwareType.location, LogParametersType.remoteLocation
_UNSAFE = frozenset('"<>\\^`{|}')  # RFC 3986: in no URL; a password with one of these is to be percent-encoded


def problem_of(url: str) -> str | None:
    """Why a charge point cannot be sent there; None: it can. Never repeats the URL, which may hold a password."""
    if len(url) > URL_LENGTH_MAX:
        return f"is longer than {URL_LENGTH_MAX} characters"
    if any(character <= " " or character > "~" or character in _UNSAFE for character in url):
        return "holds characters that a URL writes percent-encoded"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "has no valid host and port"
    if parts.scheme.lower() not in SCHEMES:
        return f"begins with none of {', '.join(f'{scheme}://' for scheme in SCHEMES)}"
    return None if host else "names no host"


def scheme_of(url: str) -> str:
    """In lower case."""
    return urlsplit(url).scheme.lower()
