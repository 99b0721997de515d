"""Check that a tag may be released, and print what the changelog says of it.

The tag, such as v1.2.3, has to be that of the version in hyperoru_provider/version.py, and CHANGELOG.md has to have a
section of that version. This needs nothing but Python, so that a wrong tag is refused before anything is installed.
"""

# ruff: noqa: T201

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def notes_of(tag: str, root: Path = ROOT) -> str:
    """Return what the changelog says of a tag's version.

    :param tag: the tag, ``v`` and the version
    :param root: the directory of the project
    :raises ValueError: if the tag is not that of the project's version, or the changelog says nothing of it
    """
    (version,) = re.findall(r'^__version__ = "(.+)"$', (root / "hyperoru_provider" / "version.py").read_text(), re.M)
    if tag != f"v{version}":
        raise ValueError(f"The tag is {tag!r}, but the version in hyperoru_provider/version.py is {version}.")
    head = rf"^## \[{re.escape(version)}\].*\n"
    _, *sections = re.split(head, (root / "CHANGELOG.md").read_text(), maxsplit=1, flags=re.M)
    notes = re.split(r"^## ", sections[0], maxsplit=1, flags=re.M)[0].strip() if sections else ""
    if not notes:
        raise ValueError(f"CHANGELOG.md has no section [{version}], or nothing in it.")
    return notes


if __name__ == "__main__":
    try:
        print(notes_of(" ".join(sys.argv[1:])))
    except ValueError as refusal:
        sys.exit(f"Not to be released: {refusal}")
