"""The texts that docs/troubleshooting.md shows are those of the package."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "troubleshooting.md"
AIRFLOW_SAYS = (
    "The host or port to test differs from the stored connection",
    "run already exists; skipping dagrun creation",
)


@cache
def spoken() -> str:
    """Return all that the package's modules say, without the values in between."""
    modules = [ast.parse(path.read_text()) for path in (ROOT / "hyperoru_provider").rglob("*.py")]
    constants = (node for module in modules for node in ast.walk(module) if isinstance(node, ast.Constant))
    return "\n".join(node.value for node in constants if isinstance(node.value, str))


def shown() -> list[str]:
    """Return the texts of the page, of which each has several words."""
    texts = re.findall(r"`([^`\n]+)`", PAGE.read_text())
    return [text for text in texts if len(text.split()) > 3 and text not in AIRFLOW_SAYS]


@pytest.mark.parametrize("text", shown())
def test_a_text_is_one_of_the_package(text: str) -> None:
    pieces = [piece.strip(" :;(") for piece in text.split("...")]
    assert any(len(piece) > 12 for piece in pieces)
    assert [piece for piece in pieces if not re.search(r"\s+".join(map(re.escape, piece.split())), spoken())] == []


def test_a_text_of_nobody_is_noticed() -> None:
    assert "No such text is in any module" not in spoken()
