"""The lists of what a user has set up, and of how well it did."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hyperoru_provider.sandbox import catalog
from hyperoru_provider.sandbox.book import Book
from hyperoru_provider.sandbox.errors import Refusal
from hyperoru_provider.sandbox.queries import integer, natural, text
from hyperoru_provider.sandbox.records import Moment, Record, Records
from hyperoru_provider.sandbox.rows import DAY, SECOND, Row, iso
from hyperoru_provider.sandbox.served import ServedList, rows_of

__all__ = ["SetUpLists"]

_DAYS = 30
_TASK, _CHUNKS = "task-1", 25

Fields = dict[str, object]
Query = Mapping[str, Any]


class SetUpLists:
    """The lists.

    :param seed: of how well it did
    :param records: what happened
    :param book: the traders
    """

    def __init__(self, seed: int, records: Records, book: Book) -> None:
        self._seed = seed
        self._records = records
        self._book = book

    def all(self) -> list[ServedList]:
        """Return all of them."""
        factors = "/api/factors"
        return [
            ServedList("programs", "/api/programs/", _plain(catalog.PROGRAMS)),
            ServedList("signals", "/api/signals/", _plain(catalog.SIGNALS), envelope="definitions"),
            ServedList("signal_pools", "/api/signals/", _plain(catalog.POOLS), envelope="pools"),
            ServedList("prompts", "/api/prompts/", _plain(catalog.PROMPTS)),
            ServedList("backtest_tasks", "/api/prompt-backtest/tasks", _plain(self._backtests())),
            ServedList("factors", f"{factors}/custom", _plain(catalog.FACTORS)),
            ServedList(
                "factor_effectiveness",
                f"{factors}/effectiveness",
                _plain(catalog.factor_effectiveness(self._seed)),
            ),
            ServedList(
                "factor_history",
                f"{factors}/effectiveness/{{factor_name}}/history",
                self._history,
                path_parameters={"factor_name": text},
            ),
            ServedList(
                "analytics_summary",
                "/api/analytics/summary",
                self._summary,
                filters={"days": natural(365)},
                envelope="object",
            ),
            *(
                ServedList(f"analytics_by_{group.replace('-', '_')}", f"/api/analytics/by-{group}", self._by(group))
                for group in catalog.GROUPS
            ),
            ServedList(
                "ai_stream_chunks",
                "/api/ai-stream/{task_id}",
                _chunks,
                path_parameters={"task_id": text},
                filters={"since": integer},
                envelope="chunks",
                beside={"task_id": _TASK, "is_done": True, "next_cursor": _CHUNKS, "status": "completed"},
            ),
        ]

    def _history(self, query: Query) -> Iterable[Row]:
        if all(factor["name"] != query["factor_name"] for factor in catalog.FACTORS):
            raise Refusal(404, "FACTOR_NOT_FOUND", "Factor not found")
        days = catalog.factor_history(self._seed, query["factor_name"], self._records.now // DAY)
        return rows_of((Record(0, each) for each in days), lambda moment: iso(moment)[:10])

    def _closed(self, days: int = _DAYS) -> list[Record]:
        return self._records.closed_trades(self._records.now - days * DAY, self._records.now + 1)

    def _summary(self, query: Query) -> Iterable[Row]:
        found = catalog.metrics(self._closed(query.get("days", _DAYS)))
        fields = {
            "total_trades": found["trade_count"],
            "win_rate": found["win_rate"],
            "total_pnl": found["total_pnl"],
            "avg_return_pct": float(str(found["net_pnl"])) / 1_000,
        }
        return rows_of([Record(0, fields)])

    def _by(self, group: str) -> Callable[[Query], Iterable[Row]]:
        """Return what selects the results of each group."""
        names = {trader["id"]: trader["name"] for trader in self._book.traders}
        field = "account_id" if group == "account" else group.replace("-", "_")

        def rows(query: Query) -> Iterable[Row]:
            for value, found in catalog.breakdown(self._closed(), catalog.GROUPS[group]):
                more = {"account_name": names[value]} if group == "account" else {}
                result = {"trades": found["trade_count"], "win_rate": found["win_rate"], "pnl": found["net_pnl"]}
                yield from rows_of([Record(0, {field: value, **more, **result})])

        return rows

    def _backtests(self) -> list[Fields]:
        return [
            {
                "id": prompt["id"],
                "status": "completed",
                "account_id": trader["id"],
                "progress": 100.0,
                "sample_count": 48,
                "started_at": prompt["created_at"],
                "finished_at": Moment(int(str(prompt["created_at"])) + 90 * SECOND),
            }
            for prompt, trader in zip(catalog.PROMPTS, self._book.traders, strict=False)
        ]


def _plain(facts: list[Fields]) -> Callable[[Query], Iterable[Row]]:
    return lambda query: rows_of(Record(0, each) for each in facts)


def _chunks(query: Query) -> Iterable[Row]:
    if query["task_id"] != _TASK:
        raise Refusal(404, "TASK_NOT_FOUND", "Task not found")
    pieces: list[Fields] = [
        {"index": number, "kind": "token", "metadata": {"logprob": -number / 7}, "content": f"RSI {number}, é; "}
        for number in range(_CHUNKS)
    ]
    return _plain(pieces[max(query.get("since", 0), 0) :])(query)
