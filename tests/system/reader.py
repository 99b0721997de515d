"""A process that reads an export over and over while it is exported again, and tells what it saw.

It reads as docs/export-trades.md says: the manifest, then the files that it names. If they don't fit, it reads the
manifest again. Another manifest means that a commit came in between; the same one means that it told an untruth.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path


class Overtaken(Exception):
    """The manifest changed while its files were read."""


def read(manifest_path: Path) -> str:
    """Read a whole export; gives its manifest."""
    text = manifest_path.read_text()
    for file in json.loads(text)["files"]:
        try:
            content = (manifest_path.parent / file["name"]).read_bytes()
        except FileNotFoundError:
            content = b""
        if hashlib.sha256(content).hexdigest() != file["sha256"]:
            if manifest_path.read_text() != text:
                raise Overtaken
            raise ValueError(f"{file} is not what lies there: {len(content)} bytes")
    return text


def main(manifest_path: Path, done: Path) -> None:
    manifests: list[str] = []
    reads = overtaken = 0
    while not done.exists():
        try:
            text = read(manifest_path)
        except Overtaken:
            overtaken += 1
            continue
        reads += 1
        if text not in manifests[-1:]:
            manifests.append(text)
    print(json.dumps({"reads": reads, "overtaken": overtaken, "manifests": manifests}))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
