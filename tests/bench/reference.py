"""What the reference servers need: TLS, and ways to say where they listen."""

from __future__ import annotations

import json
import ssl
import sys
from pathlib import Path


def server_context(chain: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    return context


def tell_ports(port: int, tls_port: int = 0) -> None:
    sys.stdout.write(json.dumps({"port": port, "tls_port": tls_port}) + "\n")
    sys.stdout.flush()
