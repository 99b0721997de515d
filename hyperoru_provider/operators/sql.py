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
    """Load the trades of a time range, each once and none missing, into a table of PostgreSQL or SQLite.

    The rows are those with ``start <= trade_time < end``. They are written in one transaction, after the server was
    read to its end: nobody ever sees a part of them, and a failed run leaves the table as it was. The columns are
    those of the Trade model, and ``extra`` for a JSON object of all that it does not know; no digit of an amount
    changes. Further columns of the table are left alone. Returns a summary: ``rows``, ``window``, ``table``,
    ``mode``, ``first_time`` and ``last_time``, and how many rows were ``inserted``, ``updated`` and ``deleted``.

    All parameters but ``resource`` and ``filters`` of
    :class:`~hyperoru_provider.operators.export.HyperoruToSqlOperator` are known here, too.

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
    :param hyperoru_conn_id: the connection. Default: ``hyperoru_default``. (templated)
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
