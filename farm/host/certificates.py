"""The certificate authorities that this machine trusts: one PEM bundle, found, never written.

On many company networks TLS ends at a private authority that only the machine's own bundle
knows. Containers get that file mounted (never copied into a layer), and each tool in them the
variable that it reads; `VARIABLES` names them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

VARIABLES = ("SSL_CERT_FILE", "CARGO_HTTP_CAINFO", "PIP_CERT", "REQUESTS_CA_BUNDLE")
"""What OpenSSL and uv, cargo, pip, and Python's requests read the bundle's path from."""

_WELL_KNOWN = (
    Path("/etc/ssl/certs/ca-certificates.crt"),  # Debian, Ubuntu, Arch, Alpine
    Path("/etc/pki/tls/certs/ca-bundle.crt"),  # Fedora, RHEL and kin
    Path("/etc/ssl/ca-bundle.pem"),  # openSUSE
    Path("/etc/ssl/cert.pem"),  # macOS
)


def bundle(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the machine's bundle: what a variable names, else a well-known place, else None.

    A variable that names no readable file is passed over.
    """
    named = (Path(environment[name]) for name in VARIABLES if environment.get(name))
    return next((path for path in (*named, *_WELL_KNOWN) if os.access(path, os.R_OK)), None)
