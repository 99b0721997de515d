"""Load trades by time range into a SQL table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook, BaseOperator

from hyperoru_provider.hooks.hyperoru import HyperoruHook

if TYPE_CHECKING:
    from airflow.sdk import Context


class HyperoruTradesToSqlOperator(BaseOperator):
    """Load the trades of a time range, each once and none missing, into a table of PostgreSQL or SQLite.

    The rows are those with ``start <= trade_time < end``. They are written in one transaction, after the server was
    read to its end: nobody ever sees a part of them, and a failed run leaves the table as it was. The columns are
    those of the Trade model, and ``extra`` for a JSON object of all that it does not know; no digit of an amount
    changes. Further columns of the table are left alone. Returns a summary: ``rows``, ``window``, ``table``,
    ``mode``, ``first_time`` and ``last_time``.

    .. seealso:: ``docs/trades-to-sql.md``

    :param sql_conn_id: the database's connection. (templated)
    :param table: the table, or ``schema.table``, exactly as the database has it. (templated)
    :param start: begin of the window, inclusive: a datetime, date or ISO 8601 text, in UTC if it has no offset.
        Default: ``{{ data_interval_start }}``. (templated)
    :param end: end of the window, exclusive; likewise. Default: ``{{ data_interval_end }}``. (templated)
    :param account_id: only this trader's. Default: all. (templated)
    :param symbol: only this symbol's, such as ``BTC``. Default: all. (templated)
    :param mode: ``replace`` (the default): the table then has the server's rows of the window, of this trader and
        symbol, and no others; ``upsert``: rows are inserted, or updated by their key where they differ, and none is
        deleted, which needs a unique index on the key. (templated)
    :param create_table: whether to create the table if there is none, with the key as its primary key and an index
        on the time. Default: ``False``.
    :param concurrency: how many requests to have under way at once, at least 1. Default: 4.
    :param batch_rows: rows to write at once. Default: 5,000.
    :param hyperoru_conn_id: the connection. Default: ``hyperoru_default``. (templated)
    :raises HyperoruConfigError: an argument or a connection is wrong, the window is empty, or the table is missing
        or does not fit. Nothing was asked or written.
    :raises HyperoruContractError: the server's pages don't prove to be right and complete. Nothing was changed.
    :raises HyperoruApiError: the server refused or could not be asked. Nothing was changed.
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
    ui_color = "#dfe9f5"

    def __init__(
        self,
        *,
        sql_conn_id: str,
        table: str,
        start: datetime | str = "{{ data_interval_start }}",
        end: datetime | str = "{{ data_interval_end }}",
        account_id: int | str | None = None,
        symbol: str | None = None,
        mode: str = "replace",
        create_table: bool = False,
        concurrency: int = 4,
        batch_rows: int = 5_000,
        hyperoru_conn_id: str = HyperoruHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sql_conn_id = sql_conn_id
        self.table = table
        self.start = start
        self.end = end
        self.account_id = account_id
        self.symbol = symbol
        self.mode = mode
        self.create_table = create_table
        self.concurrency = concurrency
        self.batch_rows = batch_rows
        self.hyperoru_conn_id = hyperoru_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Load the window."""
        from airflow.providers.common.sql.hooks.sql import DbApiHook

        from hyperoru_provider.client.api.models import Trade
        from hyperoru_provider.client.errors import HyperoruConfigError
        from hyperoru_provider.export.destinations.sql import SqlDestination, load
        from hyperoru_provider.export.fetch import fetch
        from hyperoru_provider.export.progress import Progress
        from hyperoru_provider.export.run import ExportSpec
        from hyperoru_provider.params import arguments

        window = arguments.window(self.start, self.end)
        filters = arguments.trade_filters(self.account_id, self.symbol)
        table = arguments.optional("table", self.table)
        if table is None:
            raise HyperoruConfigError("table is missing.")
        concurrency = arguments.positive("concurrency", self.concurrency)
        batch_rows = arguments.positive("batch_rows", self.batch_rows)
        hook = BaseHook.get_connection(self.sql_conn_id).get_hook()  # type: ignore[no-untyped-call]
        if not isinstance(hook, DbApiHook):
            raise HyperoruConfigError(f"The connection {self.sql_conn_id} is no SQL database: it gives {hook!r}.")
        with HyperoruHook(self.hyperoru_conn_id).get_conn() as client:
            landing = SqlDestination(hook.get_conn, table, self.mode, Trade, client.contract.trades)
            landing.prepare(arguments.flag("create_table", self.create_table))
            progress = Progress(window)
            reader = client.list_reader("trades", window.start, window.end, **filters)
            spans = fetch(client, reader, concurrency, progress)
            return load(spans, ExportSpec("trades", window, filters), landing, batch_rows, progress)
