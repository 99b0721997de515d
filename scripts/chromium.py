"""Chromium for what makes images or looks at pages: found, or installed where that can be done."""

# ruff: noqa: S603

from __future__ import annotations

import io
import os
import shutil
import subprocess
from pathlib import Path

from PIL import Image

NAMES = ("chromium", "google-chrome", "chromium-browser")


def find_chromium() -> str:
    """Return the path of Chromium; where there is none, root installs it by apt.

    :raises RuntimeError: if there is none, and it can't be installed.
    """
    apt = shutil.which("apt-get")
    found = _found()
    if found is None and apt and os.geteuid() == 0:
        wait = ("-o", "DPkg::Lock::Timeout=300")
        packages = ("chromium", "fonts-inter")  # the font of Airflow's UI
        for command in (("update",), ("install", "--yes", "--no-install-recommends", *packages)):
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            subprocess.run([apt, "-qq", *wait, *command], check=False, stdout=subprocess.DEVNULL, env=environment)
        found = _found()
    if found is None:
        raise RuntimeError(
            f"There is no Chromium (one of {', '.join(NAMES)}), and it could not be installed: "
            "install it, such as by: apt-get install chromium fonts-inter"
        )
    return found


def save_image(image: bytes, path: Path) -> None:
    """Write a PNG with a palette, which is small."""
    Image.open(io.BytesIO(image)).convert("RGB").quantize(256).save(path, optimize=True)


def _found() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)
