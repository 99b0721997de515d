"""Where things are that tests read."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "example_dags"
#: real rows, which are beside the project and never in it
REAL_ROWS = ROOT.parent / "shared" / "data" / "real_fills.ndjson.gz"
