"""The lists of the family: which rows a query selects, and what stands around them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hyperoru_provider.sandbox.catalog import (
    FACTORS,
    GROUPS,
    POOLS,
    PROGRAMS,
    PROMPTS,
    SIGNALS,
    breakdown,
    factor_effectiveness,
    factor_history,
    metrics,
)
from hyperoru_provider.sandbox.errors import Refusal
from hyperoru_provider.sandbox.family.table import Table, epoch, naive
from hyperoru_provider.sandbox.records import CURVE_STEPS, Record, decision_texts, json_text
from hyperoru_provider.sandbox.rows import DAY
from hyperoru_provider.sandbox.state import State

__all__ = ["Lists"]

_CURVE_DAYS = 7  # without a start
_SHOWN_ACCOUNT = ("id", "name", "model", "account_type")


class Lists:
    """The handlers of lists; each returns the JSON text of an answer.

    :param state: faults and counts
    :param tables: the rows of each trading mode that has some
    """

    def __init__(self, state: State, tables: Mapping[str, Table]) -> None:
        self._state = state
        self._tables = tables
        self._main = tables["mainnet"]

    def trades(
        self,
        *,
        limit: int,
        account_id: int | None,
        wallet_address: str | None,
        trading_mode: str | None,
        symbol: str | None,
        exchange: str | None,
    ) -> str:
        """List the newest trades; without a mode those of paper, of which there are none."""
        table = self._tables.get(trading_mode or "paper")
        found = table.newest_trades(self._limit(limit), account_id, symbol) if table else []
        wanted = {"wallet_address": wallet_address, "exchange": exchange}
        found = [each for each in found if _fits(each, wanted)]
        with self._state.lock:
            self._state.stats.rows_served += len(found)
        return self._dashboard("trades", _array(found), accounts=json_array(self._accounts()))

    def decisions(
        self,
        limit: int,
        trading_mode: str | None,
        include_snapshots: bool,
        after_time: int | None,
        before_time: int | None,
        **wanted: object,
    ) -> str:
        """List the newest decisions of a window."""
        table = self._tables.get(trading_mode or "mainnet")
        found = (
            self._newest(table.records.decisions, after_time, before_time, wanted)[: self._limit(limit)]
            if table
            else []
        )
        if include_snapshots:
            found = [each._replace(fields={**each.fields, **decision_texts(each)}) for each in found]
        return self._dashboard("entries", _array(found))

    def program_runs(self, limit: int, after: int | None, before: int | None, **wanted: object) -> str:
        """List the newest program runs of a window."""
        found = self._newest(self._main.records.program_runs, after, before, wanted)
        return _array(found[: self._limit(limit)])

    def closed_trades(self, limit: int, offset: int, **of: Any) -> str:
        """List the closed trades of some days, both included, page by page."""
        found = self._closed(**of)
        page = _array(found[offset : offset + self._limit(limit)])
        return f'{{"trades":{page},"total":{len(found)},"limit":{limit},"offset":{offset}}}'

    def signal_triggers(self, limit: int, offset: int, **wanted: object) -> str:
        """List when which signal was triggered, page by page."""
        found = self._newest(self._main.records.signal_triggers, None, None, wanted)
        return f'{{"logs":{_array(found[offset : offset + self._limit(limit)])},"total":{len(found)}}}'

    def asset_curve(
        self,
        timeframe: str,
        trading_mode: str,
        account_id: int | None,
        start_date: int | None,
        end_date: int | None,
    ) -> str:
        """List the points of the asset curve, oldest first, with what is of the time ``end_date``."""
        table = self._tables.get(trading_mode)
        if table is None:
            return "[]"
        end = table.records.now if end_date is None else end_date
        start = end - _CURVE_DAYS * DAY if start_date is None else start_date
        accounts = [each for each in _ids(table) if account_id in (None, each)]
        found = [
            point
            for each in accounts
            for point in table.records.asset_curve(each, CURVE_STEPS[timeframe], start, end + 1)
        ]
        return _array(sorted(found, key=lambda point: point.time), epoch)

    def account_snapshots(self, account_id: int, limit: int) -> str:
        """List the newest snapshots of an account."""
        if account_id not in _ids(self._main):
            raise Refusal(404, "not_found", "Account not found")
        records = self._main.records
        found = list(records.account_snapshots(account_id, *records.window()))[::-1][: self._limit(limit)]
        return f'{{"account_id":{account_id},"snapshots":{_array(found)},"snapshot_count":{len(found)}}}'

    def positions(self, trading_mode: str | None) -> str:
        """List the accounts, and the positions of each."""
        table = self._tables.get(trading_mode or "paper")
        accounts = [
            {**each, "positions": table.records.positions(int(str(each["account_id"]))) if table else []}
            for each in self._accounts()
        ]
        return self._dashboard("accounts", json_array(accounts))

    def signals(self) -> str:
        """List signals, and pools of them."""
        return f'{{"signals":{json_array(SIGNALS)},"pools":{json_array(POOLS)}}}'

    def programs(self) -> str:
        """List programs."""
        return json_array(PROGRAMS)

    def prompts(self) -> str:
        """List prompts."""
        return json_array(PROMPTS)

    def factors(self) -> str:
        """List factors."""
        return json_array(FACTORS)

    def factor_effectiveness(self) -> str:
        """List how well each factor predicts."""
        return json_array(factor_effectiveness(self._main.records.seed))

    def factor_history(self, factor_name: str) -> str:
        """List how well a factor predicted on each day."""
        if factor_name not in [each["name"] for each in FACTORS]:
            raise Refusal(404, "not_found", "Factor not found")
        records = self._main.records
        found = factor_history(records.seed, factor_name, records.now // DAY)
        return json_array(found, lambda time: naive(time)[:10])

    def summary(self, **of: Any) -> dict[str, object]:
        """Return what the closed trades of some days sum up to."""
        return metrics(self._closed(**of))

    def breakdown(self, name: str) -> Callable[..., dict[str, object]]:
        """Return the handler that lists what the closed trades of each group sum up to."""
        field = GROUPS[name]
        shown = "account_id" if name == "account" else name.replace("-", "_")

        def handle(**of: Any) -> dict[str, object]:
            groups = breakdown(self._closed(**of), field)
            return {"items": [{shown: group, "metrics": sums} for group, sums in groups]}

        return handle

    def _closed(
        self,
        start_date: int | None,
        end_date: int | None,
        account_id: int | None,
        environment: str,
        exchange: str | None = None,
    ) -> list[Record]:
        """Return the closed trades of some days, both included."""
        end = None if end_date is None else end_date + DAY
        table = self._tables[environment]
        return self._newest(table.records.closed_trades, start_date, end, {"account_id": account_id})

    def _newest(
        self,
        records: Callable[[int, int], list[Record]],
        start: int | None,
        end: int | None,
        wanted: Mapping[str, object],
    ) -> list[Record]:
        """Return the records of a window with certain fields, newest first; None is no limit."""
        first, last = self._main.records.window()
        end = last if end is None else end
        found = records(min(first, end) if start is None else start, end)
        return [each for each in reversed(found) if _fits(each, wanted)]

    def _limit(self, limit: int) -> int:
        """Return how many rows an answer has at most."""
        return min(limit, self._state.faults.cap or limit)

    def _accounts(self) -> list[dict[str, object]]:
        return [
            {"account_id" if name == "id" else name: trader[name] for name in _SHOWN_ACCOUNT}
            for trader in self._main.book.traders
            if trader["show_on_dashboard"]
        ]

    def _dashboard(self, name: str, rows: str, **beside: str) -> str:
        """Return an answer with a list, what stands beside it, and when it was made."""
        lists = ",".join(f'"{key}":{value}' for key, value in (*beside.items(), (name, rows)))
        return f'{{"generated_at":"{naive(self._main.records.now)}",{lists}}}'


def json_array(rows: Iterable[Mapping[str, object]], moment: Callable[[int], object] = naive) -> str:
    """Return the JSON text of rows."""
    return f"[{','.join(json_text(row, moment) for row in rows)}]"


def _array(records: Iterable[Record], moment: Callable[[int], object] = naive) -> str:
    return json_array((each.fields for each in records), moment)


def _fits(record: Record, wanted: Mapping[str, object]) -> bool:
    """Return whether a record has these fields; None is no limit."""
    return all(value in (None, record.fields.get(name)) for name, value in wanted.items())


def _ids(table: Table) -> list[int]:
    return [int(str(trader["id"])) for trader in table.book.traders]
