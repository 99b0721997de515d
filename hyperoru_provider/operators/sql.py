"""Load trades by time range into a SQL table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from hyperoru_provider.hooks.tasks import failing_at_once
from hyperoru_provider.operators.export import HyperoruToSqlOperator
from hyperoru_provider.params import arguments
from hyperoru_provider.params.arguments import INTERVAL_END, INTERVAL_START


class HyperoruTradesToSqlOperator(HyperoruToSqlOperator):
    """Load the trades of a time range, each once and none missing, into a table of a database:
    PostgreSQL, MySQL, MariaDB or SQLite.

    The rows are those with ``start <= trade_time < end``. They are written in one transaction, after the server was
    read to its end: nobody ever sees a part of them, and a failed run leaves the table as it was. The columns are
    those of the Trade model, and ``extra`` for a JSON object of all that it does not know; no digit of an amount
    changes. Further columns of the table are left alone. Returns a summary: ``rows``, ``window``, ``table``,
    ``mode``, ``first_time`` and ``last_time``, and how many rows were ``inserted``, ``updated`` and ``deleted``.

    .. seealso:: ``docs/trades-to-sql.md``

    :param sql_conn_id: the database's connection. (templated)
    :param table: the table, or ``schema.table``, exactly as the database has it. (templated)
    :param start: start of the window, inclusive: a datetime, date or ISO 8601 text, in UTC if it has no offset.
        Default: the start of the run's data interval. (templated)
    :param end: end of the window, exclusive; likewise. Default: the end of the run's data interval. (templated)
    :param account_id: only this trader's. Default: all. (templated)
    :param symbol: only this symbol's, such as ``BTC``. Default: all. (templated)
    :param mode: ``replace`` (the default): the table then has the server's rows of the window, of this trader and
        symbol, and no others; ``upsert``: rows are inserted, or updated by their key where they differ, and none is
        deleted, which needs a unique index on the key. (templated)
    :param create_table: whether to create the table if it does not exist, with the key as its primary key and an index
        on the time. Default: ``False``.
    :param concurrency: how many requests to send at the same time, at least 1. Default: the number that the server
        answers best, up to 32, found while exporting.
    :param batch_rows: rows to write at once. Default: 5,000.
    :param on_nul: what to do with a text that contains a NUL character, which PostgreSQL can't hold: ``fail`` (the
        default), or ``replace``, which puts U+FFFD in its place and logs a warning.
    :param on_empty: what to do with a list without rows: ``succeed``, ``skip`` (the task is skipped, and nothing
        written) or ``fail``. Default: ``succeed``, unless ``replace`` would only delete rows, which only an explicit
        ``succeed`` allows.
    :param hyperoru_conn_id: the connection. Default: ``hyperoru_default``. (templated)
    :raises HyperoruConfigError: an argument or a connection is wrong, the window is empty, or the table is missing
        or does not fit. Nothing was requested or written.
    :raises HyperoruContractError: the server's pages can't be proved right and complete, or there are no rows where
        that is an error. Nothing was changed.
    :raises HyperoruApiError: the server refused a request or could not be reached. Nothing was changed.
    """

    template_fields: Sequence[str] = (
        "sql_conn_id",
        "table",
        "start",
        "end",
        "account_id",
        "symbol",
        "mode",
        "hyperoru_conn_id",
    )

    @failing_at_once()
    def __init__(
        self,
        *,
        start: datetime | str = INTERVAL_START,
        end: datetime | str = INTERVAL_END,
        account_id: int | str | None = None,
        symbol: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(resource="trades", start=start, end=end, filters=None, **kwargs)
        arguments.early(arguments.optional, "account_id", account_id)
        arguments.early(arguments.optional, "symbol", symbol)
        self.account_id = account_id
        self.symbol = symbol

    def given_filters(self) -> Mapping[str, Any]:
        """Return the trader and the symbol."""
        return {"account_id": self.account_id, "symbol": self.symbol}
