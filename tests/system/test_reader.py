"""A reader that polls an export while it is replaced again and again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hyperoru_provider.operators.trades import HyperoruExportTradesOperator
from hyperoru_provider.sandbox import Sandbox

pytestmark = pytest.mark.slow

READER = Path(__file__).with_name("reader.py")
TIMES = 50


def rows(version: int) -> list[dict[str, object]]:
    """Rows of which the later half differs in each version, so that parts are replaced, kept, added and removed."""
    return [
        {
            "trade_id": number,
            "account_id": 1,
            "symbol": "BTC",
            "side": "BUY",
            "price": 1.5 if number < 200 else version,
            "quantity": 2,
            "trade_time": f"2026-01-15T{number // 60:02}:{number % 60:02}:00Z",
        }
        for number in range(400 + version % 7 * 30)
    ]


def test_a_reader_never_sees_half_an_export(tmp_path: Path, connect: Callable[..., None]) -> None:
    def export(version: int) -> Path:
        with Sandbox(rows=rows(version)) as sandbox:
            connect(sandbox, token_cache="memory")
            summary = HyperoruExportTradesOperator(
                task_id="t",
                start="2026-01-15",
                end="2026-01-16",
                destination=str(tmp_path / "export"),
                rows_per_part=40 + version % 3 * 10,
            ).execute({})
        return Path(summary["manifest"])

    manifest, done = export(0), tmp_path / "done"
    with subprocess.Popen([sys.executable, str(READER), str(manifest), str(done)], stdout=subprocess.PIPE) as reader:
        committed = []
        try:
            for version in range(1, TIMES + 1):
                export(version)
                committed.append(manifest.read_text())
        finally:
            done.touch()
        told, _ = reader.communicate(timeout=30)
    assert reader.returncode == 0
    seen = json.loads(told)
    print(f"{seen['reads']} reads, {len(seen['manifests'])} manifests, {seen['overtaken']} times overtaken")
    assert len(set(committed)) == TIMES
    assert len(set(committed) & set(seen["manifests"])) > TIMES // 2
    assert seen["reads"] > 2 * TIMES
