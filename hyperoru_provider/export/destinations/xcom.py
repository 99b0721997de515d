"""Rows as XCom: only few, since XCom is a column of Airflow's metadata database."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from hyperoru_provider.client.api.models import Model
from hyperoru_provider.client.errors import HyperoruConfigError


def collect(items: Iterable[Model], max_bytes: int) -> list[dict[str, Any]]:
    """Make items JSON-able dicts; amounts become text, since XCom's JSON would round them.

    :param items: read only until there are too many.
    :param max_bytes: how much JSON may come together.
    :raises HyperoruConfigError: there is more.
    """
    rows = []
    size = 2
    for item in items:
        row = item.model_dump(mode="json")
        size += len(json.dumps(row, ensure_ascii=False).encode()) + 2
        if size > max_bytes:
            raise HyperoruConfigError(
                f"The rows come to more than {max_bytes} bytes, too much for XCom. Give a destination to land them in "
                "files, take a shorter window, or raise max_xcom_bytes."
            )
        rows.append(row)
    return rows
