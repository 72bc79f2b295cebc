"""What a manufacturer's signature of firmware looks like on a command line: a PEM certificate and base64."""

from __future__ import annotations

import re
from pathlib import Path

import click

CERTIFICATE_LENGTH_MAX = 5500  # FirmwareType.signingCertificate
SIGNATURE_LENGTH_MAX = 800  # FirmwareType.signature
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")


class Signature(click.ParamType[str]):
    """Base64, as FirmwareType.signature wants it; @FILE reads it from a file."""

    name = "base64"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if text.startswith("@"):
            try:
                text = Path(text[1:]).read_text(encoding="ascii")
            except (OSError, UnicodeError) as trouble:
                self.fail(f"{text[1:]} cannot be read as base64: {trouble}", param, ctx)
        text = "".join(text.split())
        if len(text) > SIGNATURE_LENGTH_MAX or _BASE64.fullmatch(text) is None:
            self.fail(f"a signature is base64, at most {SIGNATURE_LENGTH_MAX} characters", param, ctx)
        return text


def certificate_of(path: Path | None, option: str = "--signing-certificate") -> str | None:
    """The PEM certificate in a file."""
    if path is None:
        return None
    text = path.read_text(encoding="ascii", errors="replace").strip() + "\n"
    if "PRIVATE KEY" in text:
        raise click.BadParameter(f"{path} holds a private key, which is nobody's but the signer's", param_hint=option)
    if not text.startswith("-----BEGIN CERTIFICATE-----"):
        raise click.BadParameter(f"{path} is no PEM certificate", param_hint=option)
    if len(text) > CERTIFICATE_LENGTH_MAX:
        raise click.BadParameter(
            f"{path} is longer than the {CERTIFICATE_LENGTH_MAX} characters that OCPP takes; give the certificate alone",
            param_hint=option,
        )
    return text


def require_both(certificate: str | None, signature: str | None) -> None:
    if (certificate is None) is not (signature is None):
        raise click.UsageError("--signing-certificate and --signature come together")
