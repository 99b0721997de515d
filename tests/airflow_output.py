"""What a process of Airflow prints."""

from __future__ import annotations

import re

_ALEMBIC = re.compile(r"^.*\[alembic\.runtime\.plugins\].*\n", re.MULTILINE)


def without_alembic(printed: str) -> str:
    """Return what was printed, without what alembic 1.18 logs when Airflow 3.1 or 3.2 imports it."""
    return _ALEMBIC.sub("", printed)
