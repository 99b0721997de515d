"""Rows into XCom: only few, since XCom is a column of Airflow's metadata database."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import chain
from typing import Any

from hyperoru_provider.client.calls import dumped
from hyperoru_provider.client.errors import HyperoruConfigError
from hyperoru_provider.client.lists.rows import Rows
from hyperoru_provider.export.checkpoint import ExportState
from hyperoru_provider.export.destinations import Earlier
from hyperoru_provider.export.manifest import ExportSpec
from hyperoru_provider.export.progress import Progress


class XComDestination:
    """Returns rows as dicts that JSON can hold; amounts as text, since XCom's JSON would round them.

    :param max_bytes: bytes of JSON at most.
    """

    prepare = None

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._rows: list[dict[str, Any]] = []

    def open(self, spec: ExportSpec) -> ExportState:
        """Return an empty state: nothing is left of an earlier try."""
        self._schema = spec.schema
        return ExportState()

    def write(self, batches: Iterable[Rows]) -> None:
        """Collect rows, until there are too many.

        :raises HyperoruConfigError: there are.
        """
        size = 2
        for row in chain.from_iterable(batches):
            item = dumped(self._schema.item(row))
            size += len(json.dumps(item, ensure_ascii=False).encode()) + 2
            if size > self._max_bytes:
                raise HyperoruConfigError(
                    f"The rows take more than {self._max_bytes} bytes, too much for XCom. Set a destination to write "
                    "them to files, choose a shorter window, or raise max_xcom_bytes."
                )
            self._rows.append(item)

    def earlier(self) -> Earlier:
        """Return that nothing is known of earlier rows."""
        return Earlier(0, of_resource=False)

    def commit(self, progress: Progress) -> list[dict[str, Any]]:
        """Return the rows."""
        return self._rows

    def describe(self, rows: str) -> str:
        """Return what was done."""
        return f"Exported {rows}, to XCom"
