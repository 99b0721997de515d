"""Whether rows that a load is about to update or to delete are its own.

A key may be that of two rows, as of two traders, and a filter may find rows of two symbols.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import sqlalchemy as sa

from hyperoru_provider.client.api.endpoints import ListEndpoint
from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.escaping import shorten
from hyperoru_provider.export.manifest import ExportSpec


def check_own_rows(
    connection: sa.Connection, table: sa.Table, stage: sa.Table, time: str | None, spec: ExportSpec
) -> None:
    """Raise an error if a row of the table that has the key of a new one is another one, as far as it shows.

    It is where a column differs by which rows are told apart, and where it is outside of the load's window: rows of
    which the server was not asked. One that has moved to another time is updated by a load of a window with both.

    :param stage: the new rows, under their key.
    :raises HyperoruContractError: one is; the text names it.
    """
    key = stage.primary_key.columns.keys()
    names = {*spec.limits, *(spec.endpoint.verified_fields if isinstance(spec.endpoint, ListEndpoint) else ())}
    for name in sorted(names & {*table.c.keys()} - {*key}):
        old = sa.func.lower(table.c[name])
        differs = old != sa.func.lower(stage.c[name])
        if name in spec.limits:
            differs = sa.or_(differs, old != sa.func.lower(spec.limits[name]))
        if found := _first(connection, table, stage, name, differs):
            raise HyperoruContractError(
                f"{found}: upsert would replace one row by another. Everything was rolled back. If {name} tells such "
                f"rows apart, name it in the contract's key of {spec.resource}; else give each load its own table."
            )
    if time is None or spec.window is None:
        return
    outside = sa.or_(table.c[time] < spec.window.start, table.c[time] >= spec.window.end)
    if found := _first(connection, table, stage, time, outside):
        raise HyperoruContractError(
            f"{found}: upsert would change a row outside its window. Everything was rolled back. If the row has "
            "moved to another time, load one window that contains both times; if these are two rows, name what tells "
            f"them apart in the contract's key of {spec.resource}, or give each load its own table."
        )


@contextmanager
def keeping_spellings(
    connection: sa.Connection, table: sa.Table, replaced: Sequence[sa.ColumnElement[bool]], spec: ExportSpec
) -> Iterator[None]:
    """Raise an error if a block takes away all rows of a filter's value in one spelling, and was not told just that.

    Values are compared without upper and lower case, as many servers do; to others ``USDe`` and ``USDE`` are two.

    :param replaced: what is true of the rows that the block replaces.
    :raises HyperoruContractError: it does; the text names the value.
    """
    cased = [name for name, value in spec.limits.items() if value.upper() != value.lower()]
    there = {name: sa.select(table.c[name]).where(*replaced).distinct() for name in cased}
    before = {name: {*connection.scalars(found)} for name, found in there.items()}
    yield
    for name, found in there.items():
        if lost := before[name] and before[name] - {spec.limits[name], *connection.scalars(found)}:
            raise HyperoruContractError(
                f"The table {table.name} has rows with {name} {shorten(' and '.join(sorted(lost)))}, which would be "
                f"deleted: what was read for {name} {spec.limits[name]} differs from them in upper and lower case. "
                f"Everything was rolled back. Filter by the {name} as it is written there, or set mode='upsert'."
            )


def _first(
    connection: sa.Connection,
    table: sa.Table,
    stage: sa.Table,
    name: str,
    condition: sa.ColumnElement[bool],
) -> str | None:
    """Return what an error says of the first two rows of one key of which a condition is true; ``None`` for none.

    :param name: the column by which they differ.
    """
    key = stage.primary_key.columns.keys()
    columns = [*(table.c[each] for each in key), table.c[name], stage.c[name]]
    same_key = (table.c[each] == stage.c[each] for each in key)
    pairs = sa.select(*columns).select_from(table.join(stage, sa.and_(*same_key, condition)))
    found = connection.execute(pairs.order_by(*columns).limit(1)).first()
    if found is None:
        return None
    *values, old, new = found
    named = ", ".join(f"{each}={shorten(str(value))}" for each, value in zip(key, values, strict=True))
    return f"The table {table.name} has a row {named} with {name} {old}, and the new row of this key has {new}"
