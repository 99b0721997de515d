"""The lists of what happened: decisions, runs of programs, closed trades, triggers, and how accounts were."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hyperoru_provider.sandbox.book import Book
from hyperoru_provider.sandbox.errors import Refusal
from hyperoru_provider.sandbox.queries import choice, integer, text
from hyperoru_provider.sandbox.records import CURVE_STEPS, Record, Records, decision_texts
from hyperoru_provider.sandbox.rows import DAY, SECOND, Row
from hyperoru_provider.sandbox.served import ServedList, rows_of

__all__ = ["RecordLists", "known_account"]

_SNAPSHOT_DAYS = 14
_TRIGGER_DAYS = 30
_MOST_POINTS = 50_000
_ACCOUNT = {"account_id": integer}

Query = Mapping[str, Any]


class RecordLists:
    """The lists.

    :param records: what happened
    :param book: whom it happened to
    """

    def __init__(self, records: Records, book: Book) -> None:
        self._records = records
        self._book = book

    def all(self) -> list[ServedList]:
        """Return all of them."""
        return [*self._windowed_lists(), *self._other_lists()]

    def _windowed_lists(self) -> list[ServedList]:
        records = self._records
        return [
            ServedList(
                "decisions",
                "/api/arena/model-chat",
                self._windowed(records.decisions),
                filters=_ACCOUNT,
                window=("start", "end"),
                paging="page",
                most=200,
                envelope="items",
            ),
            ServedList(
                "closed_trades",
                "/api/analytics/trades",
                self._windowed(records.closed_trades),
                filters=_ACCOUNT,
                window=("start_date", "end_date"),
                closed_end="day",
                paging="offset",
                most=200,
                envelope="trades",
            ),
            ServedList(
                "program_runs",
                "/api/programs/executions/",
                self._windowed(records.program_runs),
                filters={**_ACCOUNT, "program_id": integer},
                window=("after", "before"),
                paging="limit",
                most=200,
            ),
            ServedList(
                "asset_curve",
                "/api/account/asset-curve",
                self._curve,
                filters={**_ACCOUNT, "timeframe": choice(*CURVE_STEPS)},
                window=("start_date", "end_date"),
                closed_end="moment",
            ),
        ]

    def _other_lists(self) -> list[ServedList]:
        return [
            ServedList(
                "decision_snapshots",
                "/api/arena/model-chat/{decision_id}/snapshots",
                self._texts,
                path_parameters={"decision_id": integer},
                envelope="items",
            ),
            ServedList(
                "account_snapshots",
                "/api/hyperliquid/accounts/{account_id}/snapshots",
                self._snapshots,
                path_parameters=_ACCOUNT,
                paging="limit",
                most=1_000,
                envelope="snapshots",
            ),
            ServedList(
                "signal_triggers",
                "/api/signals/logs",
                self._triggers,
                filters={"pool_id": integer, "signal_id": integer, "symbol": text},
                paging="offset",
                most=500,
                envelope="logs",
            ),
        ]

    def _windowed(self, select: Callable[[int, int], list[Record]]) -> Callable[[Query], Iterable[Row]]:
        def rows(query: Query) -> Iterable[Row]:
            if "account_id" in query:
                known_account(self._book, query["account_id"])
            return rows_of(_matching(select(query["start"], query["end"]), query, ("account_id", "program_id")))

        return rows

    def _curve(self, query: Query) -> Iterable[Row]:
        wanted, step = query.get("account_id"), CURVE_STEPS[query.get("timeframe", "1h")]
        traders = [int(str(trader["id"])) for trader in self._book.traders]
        accounts = traders if wanted is None else [known_account(self._book, wanted)]
        if (query["end"] - query["start"]) // step * len(accounts) > _MOST_POINTS:
            raise Refusal(422, "WINDOW_TOO_LONG", f"The window has more than {_MOST_POINTS} points")
        points = [
            point for each in accounts for point in self._records.asset_curve(each, step, query["start"], query["end"])
        ]
        return rows_of(sorted(points, key=lambda point: point.time), lambda moment: moment // SECOND)

    def _texts(self, query: Query) -> Iterable[Row]:
        wanted = query["decision_id"]
        day = wanted // 1_000 * DAY
        found = [each for each in self._records.decisions(day, day + DAY) if each.fields["id"] == wanted]
        if not found:
            raise Refusal(404, "DECISION_NOT_FOUND", "Decision not found")
        return rows_of(Record(each.time, {**decision_texts(each)}) for each in found)

    def _snapshots(self, query: Query) -> Iterable[Row]:
        account_id = known_account(self._book, query["account_id"])
        return rows_of(self._records.account_snapshots(account_id, *self._latest(_SNAPSHOT_DAYS)))

    def _triggers(self, query: Query) -> Iterable[Row]:
        found = self._records.signal_triggers(*self._latest(_TRIGGER_DAYS))
        return rows_of(_matching(found, query, ("pool_id", "signal_id", "symbol")))

    def _latest(self, days: int) -> tuple[int, int]:
        """Return the window of the last days, up to now."""
        return (self._records.now // DAY - days) * DAY, self._records.now + 1


def known_account(book: Book, account_id: int) -> int:
    """Return the id of an account.

    :raises Refusal: if there is none
    """
    if all(trader["id"] != account_id for trader in book.traders):
        raise Refusal(404, "ACCOUNT_NOT_FOUND", "Account not found")
    return account_id


def _matching(found: Iterable[Record], query: Query, fields: tuple[str, ...]) -> Iterable[Record]:
    given = {name: query[name] for name in fields if name in query}
    return (record for record in found if all(record.fields[name] == value for name, value in given.items()))
