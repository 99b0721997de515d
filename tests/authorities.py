"""A file of certificate authorities with one in it: each client loads all that there are, which takes its time."""

from __future__ import annotations

from pathlib import Path

import certifi

_END = "-----END CERTIFICATE-----\n"


def one_authority(directory: Path) -> Path:
    """Return the file; ``SSL_CERT_FILE`` names it."""
    file = directory / "one.pem"
    file.write_text(Path(certifi.where()).read_text().partition(_END)[0] + _END)
    return file
