"""Rows of a table are put right where they differ from others, and all else is left alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from hyperoru_provider.export.row_changes import RowChanges

#: what is true of just the rows of a window, in the table and among the new rows
Conditions = tuple[list[sa.ColumnElement[bool]], list[sa.ColumnElement[bool]]]


def write_differences(
    connection: sa.Connection,
    table: sa.Table,
    stage: sa.Table,
    windows: Sequence[Conditions],
    exact: Callable[[sa.ColumnElement[Any]], sa.ColumnElement[Any]],
) -> list[RowChanges]:
    """Delete the rows that are gone or differ, and insert those that are not there, window by window.

    All is deleted before anything is inserted, as a row may have moved from one window to another.

    :param stage: the new rows, under their key.
    :param windows: the windows.
    :param exact: returns a column as it is compared character by character.
    :return: how many rows of each window have changed.
    """
    key = stage.primary_key.columns.keys()
    same_key = [table.c[name] == stage.c[name] for name in key]
    same_row = [exact(column).is_not_distinct_from(stage.c[column.name]) for column in table.columns]
    deleted = []
    for old, new in windows:
        gone = table.delete().where(*old, ~sa.exists().where(*same_key, *new))
        other = table.delete().where(*old, ~sa.exists().where(*same_key, *same_row, *new))
        deleted.append([connection.execute(each).rowcount for each in (gone, other)])
    changes = []
    for (old, new), (gone_count, other_count) in zip(windows, deleted, strict=True):
        missing = sa.except_(stage.select().where(*new), sa.select(*table.columns).where(*old))
        statement = table.insert().from_select(stage.columns.keys(), missing)
        inserted = connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount
        changed = min(inserted, other_count)  # in a table without a key, a row may have been there twice
        changes.append(RowChanges(inserted - changed, gone_count + other_count - changed, changed))
    return changes
