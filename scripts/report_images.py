"""Write the images of docs/report.md: a week of the sandbox's trades, and one without, as a phone and a desk show them.

Needs Chromium, which root installs where there is none.
"""

# ruff: noqa: S603, T201

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from chromium import find_chromium, save_image
from upath import UPath

from hyperoru_provider.client import HyperoruClient
from hyperoru_provider.export.destinations.storage import StorageDestination
from hyperoru_provider.export.run import export_list
from hyperoru_provider.params.window import Window
from hyperoru_provider.report.run import write_report
from hyperoru_provider.sandbox import Sandbox

PLACE = Path(__file__).resolve().parents[1] / "docs" / "images"
WEEK = Window.parse("2026-01-05", "2026-01-12")
#: image -> the trader of its report, width and height in pixels, whether it is dark
IMAGES = {
    "report-desk": (None, 840, 1545, False),
    "report-desk-dark": (None, 840, 1545, True),
    "report-phone": (None, 360, 1585, False),
    "report-phone-dark": (None, 360, 1585, True),
    "report-empty": ("5", 360, 760, False),
}


def main() -> None:
    """Write all images."""
    browser = find_chromium()
    PLACE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        pages = {trader: report(directory, trader) for trader in (None, "5")}
        for image, (trader, width, height, dark) in IMAGES.items():
            take(browser, pages[trader], directory / "image.png", (width, height), dark=dark)
            path = PLACE / f"{image}.png"
            save_image((directory / "image.png").read_bytes(), path)
            print(f"{path.name}: {path.stat().st_size:,} bytes")


def report(directory: Path, trader: str | None) -> Path:
    """Export a week of a sandbox, and write a report of it."""
    exports, page = directory / f"exports-{trader}", directory / f"report-{trader}.html"
    with (
        Sandbox(seed=1) as sandbox,
        HyperoruClient(sandbox.url, email=sandbox.email, password=sandbox.password) as client,
    ):
        destination = StorageDestination(UPath(exports))
        export_list(client, "trades", WEEK, {"account_id": trader}, destination, concurrency=4, on_empty="succeed")
        write_report([UPath(exports)], UPath(page), client.contract.trades)
    return page


def take(browser: str, page: Path, image: Path, size: tuple[int, int], *, dark: bool) -> None:
    """Write an image of the top of a page."""
    options = [
        "--headless",
        "--no-sandbox",
        "--hide-scrollbars",
        f"--window-size={size[0]},{size[1]}",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        f"--screenshot={image}",
    ]
    subprocess.run([browser, *options, page.as_uri()], check=True, capture_output=True)


if __name__ == "__main__":
    main()
