"""Windows that were exported or loaded, after which the server has other rows."""

from __future__ import annotations

import json
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from airflow.sdk import Asset, Context

from hyperoru_provider.client.errors import HyperoruConfigError, HyperoruContractError, HyperoruServerError
from hyperoru_provider.hooks.compat import AirflowSkipException
from hyperoru_provider.hooks.failures import HyperoruConfigFailure
from hyperoru_provider.operators.export import HyperoruExportOperator, HyperoruToSqlOperator
from hyperoru_provider.operators.reconcile import HyperoruReconcileOperator, HyperoruReconcileSqlOperator
from hyperoru_provider.sandbox import Sandbox
from tests.databases import Database
from tests.exports import WRITES, Killed, assert_readable, files_of
from tests.task_states import StateOf, TaskStates

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
Rows = list[dict[str, Any]]
Serve = Callable[..., Any]


def trade(number: int, day: int, second: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "trade_id": number,
        "account_id": 1 + number % 2,
        "symbol": "BTC",
        "side": "BUY",
        "price": 1.5,
        "quantity": 2,
        "note": 'two\n"lines"',
        "trade_time": f"{START + timedelta(days=day, seconds=second):%Y-%m-%dT%H:%M:%SZ}",
        **more,
    }


def of_days(days: int, each: int = 20) -> dict[int, Rows]:
    return {day: [trade(1000 * day + n, day, 60 * n) for n in range(each)] for day in range(days)}


@pytest.fixture
def serve(connect: Callable[..., None]) -> Serve:
    """Make a sandbox with these rows the connection."""

    @contextmanager
    def serving(rows: dict[int, Rows], **faults: Any) -> Iterator[Sandbox]:
        with Sandbox(rows=[row for day in rows.values() for row in day], **faults) as sandbox:
            connect(sandbox, token_cache="memory", max_retries=0)
            yield sandbox

    return serving


def day_of(number: int) -> dict[str, str]:
    return {
        "start": f"{START + number * DAY:%Y-%m-%dT%H:%M:%SZ}",
        "end": f"{START + (number + 1) * DAY:%Y-%m-%dT%H:%M:%SZ}",
    }


def run(operator: Any, context: dict[str, Any] | None = None) -> Any:
    given = cast("Context", context or {})
    operator.render_template_fields(given)
    result = operator.execute(given)
    assert json.loads(json.dumps(result)) == result
    return result


def export(where: Path, days: Any, **arguments: Any) -> None:
    for day in days:
        given = {"resource": "trades", "destination": str(where), **day_of(day), **arguments}
        run(HyperoruExportOperator(task_id="t", **given))


def reconcile(where: Path, context: dict[str, Any] | None = None, **arguments: Any) -> Any:
    given = {"task_id": "t", "resource": "trades", "destination": str(where), **arguments}
    return run(HyperoruReconcileOperator(**given), context)


def found(summary: dict[str, Any]) -> dict[str, tuple[int, int, int]]:
    """Return what has changed, by day."""
    return {each["window"]["start"][:10]: counts(each) for each in summary["changed"]}


def counts(each: dict[str, Any]) -> tuple[int, int, int]:
    return each["added"], each["removed"], each["changed"]


def stamps(where: Path) -> dict[str, tuple[int, int]]:
    """Return of each file and directory when it was written, and its number."""
    return {str(path.relative_to(where)): (path.stat().st_mtime_ns, path.stat().st_ino) for path in where.rglob("*")}


def changed_in_five(rows: dict[int, Rows], seed: int) -> tuple[dict[int, Rows], dict[str, tuple[int, int, int]]]:
    """Return rows of which some have come, gone and changed in five days, and how many."""
    rng, after, expected = random.Random(seed), dict(rows), {}
    for day in rng.sample(sorted(rows), 5):
        kept = list(rows[day])
        gone = [kept.pop(rng.randrange(len(kept))) for _ in range(rng.randrange(4))]
        places = rng.sample(range(len(kept)), rng.randrange(4))
        for place in places:
            kept[place] = kept[place] | rng.choice(
                [{"price": 77}, {"note": "new"}, {"trade_time": day_of(day)["start"]}]
            )
            if kept[place] in rows[day]:  # its time was that already
                kept[place] |= {"price": 78}
        late = [trade(500_000 + 1000 * day + n, day, rng.randrange(86_400)) for n in range(rng.randrange(1, 5))]
        after[day] = sorted([*kept, *late], key=lambda row: row["trade_time"])
        expected[day_of(day)["start"][:10]] = len(late), len(gone), len(places)
    return after, expected


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    ("file_format", "rows_per_part"), [("jsonl", 7), ("jsonl", None), ("csv", 7), ("parquet", 7), ("parquet", None)]
)
def test_five_of_thirty_windows_are_found_and_put_right_and_nothing_else_is_written(
    tmp_path: Path, serve: Serve, seed: int, file_format: str, rows_per_part: int | None
) -> None:
    how: dict[str, Any] = {"file_format": file_format, "rows_per_part": rows_per_part}
    rows = of_days(30)
    after, expected = changed_in_five(rows, seed)
    with serve(rows):
        export(tmp_path / "lake", range(30), **how)
    before, times = files_of(tmp_path / "lake"), stamps(tmp_path / "lake")
    with serve(after):
        summary = reconcile(tmp_path / "lake", windows=30, end="2026-01-31", **how)
        export(tmp_path / "fresh", range(30), **how)
        now, then = files_of(tmp_path / "lake"), stamps(tmp_path / "lake")
        assert reconcile(tmp_path / "lake", windows=30, end="2026-01-31", **how) == {
            "windows": 30,
            "same": 30,
            "changed": [],
            "gaps": [],
        }
    assert (summary["windows"], summary["same"], summary["gaps"]) == (30, 25, [])
    assert found(summary) == expected
    assert [each["rows"] for each in summary["changed"]] == [
        len(after[int(each["window"]["start"][8:10]) - 1]) for each in summary["changed"]
    ]
    assert now == files_of(tmp_path / "fresh")
    assert stamps(tmp_path / "lake") == then
    for name, stamp in times.items():
        if not any(day.replace("-", "") in name.partition("_")[0] for day in expected):
            assert then[name] == stamp
            assert now.get(name) == before.get(name)


def test_only_parts_that_differ_are_written(tmp_path: Path, serve: Serve) -> None:
    rows = of_days(1)
    with serve(rows):
        export(tmp_path, [0], rows_per_part=5)
    times = stamps(tmp_path)
    with serve({0: [*rows[0][:-1], rows[0][-1] | {"price": 2}]}):
        reconcile(tmp_path, rows_per_part=5)
    now = stamps(tmp_path)
    written = {Path(name).name for name in times if now[name] != times[name]}
    assert written == {"part-00003.jsonl.gz", "_manifest.json", "20260101T000000Z_20260102T000000Z"}


class TestWhichWindows:
    """Those of the last exports of this list and these filters."""

    def test_the_last_ones(self, tmp_path: Path, serve: Serve) -> None:
        rows = of_days(9)
        with serve(rows):
            export(tmp_path, range(9))
            export(tmp_path, range(4), filters={"account_id": 1})
            export(tmp_path, [8], start="2026-01-01", end="2026-01-10")
        with serve({day: each[1:] for day, each in rows.items()}) as sandbox:
            assert found(reconcile(tmp_path, windows=1, end="2026-01-08")) == {"2026-01-07": (0, 1, 0)}
            interval = {"data_interval_end": datetime(2026, 1, 4, tzinfo=UTC)}
            assert list(found(reconcile(tmp_path, interval, windows=2))) == ["2026-01-02", "2026-01-03"]
            assert list(found(reconcile(tmp_path, interval, windows=2))) == []
            summary = reconcile(tmp_path, filters={"account_id": 1})
            assert found(summary) == {f"2026-01-0{n}": (0, 1, 0) for n in (1, 2, 3, 4)}
            before = sandbox.stats()["requests"]
            assert reconcile(tmp_path, filters={"account_id": 7}) == {
                "windows": 0,
                "same": 0,
                "changed": [],
                "gaps": [],
            }
            assert sandbox.stats()["requests"] == before
            assert reconcile(tmp_path)["same"] == 1  # the long window is one of the seven

    def test_windows_that_are_missing_are_told_and_not_made(
        self, tmp_path: Path, serve: Serve, caplog: pytest.LogCaptureFixture
    ) -> None:
        with serve(of_days(9)):
            export(tmp_path, [0, 1, 4, 6])
            (tmp_path / "trades/20260103T000000Z_20260104T000000Z").mkdir()  # an export that never ended
            (tmp_path / "trades/20261301T000000Z_20260104T000000Z").mkdir()
            (tmp_path / "trades/notes.txt").touch()
            before = stamps(tmp_path)
            summary = reconcile(tmp_path)
        assert summary["windows"] == 4
        assert summary["gaps"] == [
            {"start": "2026-01-03T00:00:00Z", "end": "2026-01-05T00:00:00Z"},
            {"start": "2026-01-06T00:00:00Z", "end": "2026-01-07T00:00:00Z"},
        ]
        assert "There is no export of the time from 2026-01-03T00:00:00Z to 2026-01-05T00:00:00Z" in caplog.text
        assert stamps(tmp_path) == before

    def test_no_export_at_all_is_warned_of(
        self, tmp_path: Path, serve: Serve, caplog: pytest.LogCaptureFixture
    ) -> None:
        with serve(of_days(1)):
            assert reconcile(tmp_path / "typo")["windows"] == 0
        assert "There is no export of trades below" in caplog.text


class TestNoRows:
    """A window whose rows are all gone."""

    @pytest.mark.parametrize("on_empty", [None, "skip", "fail"])
    def test_it_is_an_error_that_leaves_them(self, tmp_path: Path, serve: Serve, on_empty: str | None) -> None:
        rows = of_days(3)
        with serve(rows):
            export(tmp_path, range(3))
        before = files_of(tmp_path)
        with serve({**rows, 0: rows[0][1:], 1: [], 2: rows[2][1:]}):
            with pytest.raises(HyperoruContractError, match=r"0 trades, 2026-01-02 to 2026-01-03"):
                reconcile(tmp_path, on_empty=on_empty)
            kept = {name: data for name, data in files_of(tmp_path).items() if "20260101" not in name}
            assert kept == {name: data for name, data in before.items() if "20260101" not in name}
            assert found(reconcile(tmp_path, on_empty="succeed")) == {"2026-01-02": (0, 20, 0), "2026-01-03": (0, 1, 0)}
            assert reconcile(tmp_path)["same"] == 3


class TestKilled:
    """A task that ends in the middle, and its next try."""

    def test_before_each_write(self, tmp_path: Path, serve: Serve) -> None:
        """The earlier export can be read until the new one can, and what was changed is told once it is done."""
        rows = of_days(3, each=6)
        after = {**rows, 0: rows[0][1:], 2: [*rows[2], trade(9000, 2, 80_000)]}
        with serve(after):
            export(tmp_path / "fresh", range(3), rows_per_part=2)
        for stop_at in range(1, 100):
            where, states = tmp_path / str(stop_at), TaskStates()
            with serve(rows):
                export(where, range(3), rows_per_part=2)
            with serve(after):
                WRITES.begin(where, stop_at, lambda: assert_readable(where))  # noqa: B023
                try:
                    reconcile(where, {"task_state_store": states}, rows_per_part=2)
                    done = True
                except Killed:
                    done = False
                finally:
                    WRITES.end()
                assert_readable(where)
                summary = reconcile(where, {"task_state_store": states}, rows_per_part=2)
                assert files_of(where) == files_of(tmp_path / "fresh")
            if done:
                break
            assert found(summary) == {"2026-01-01": (0, 1, 0), "2026-01-03": (1, 0, 0)}
            assert states.texts == {}
        assert stop_at > 10
        assert found(summary) == {}

    def test_the_server_fails_in_the_middle(self, tmp_path: Path, serve: Serve) -> None:
        rows = of_days(2, each=60)
        with serve(rows):
            export(tmp_path, range(2))
        before = files_of(tmp_path)
        with serve({0: rows[0][1:], 1: rows[1]}) as sandbox:
            sandbox.set_faults(error_rate=1.0)
            with pytest.raises(HyperoruServerError):
                reconcile(tmp_path)
        assert files_of(tmp_path) == before


class TestOtherBytes:
    """Files that differ for another reason than rows."""

    def test_the_same_rows_in_other_parts_are_exported_anew(
        self, tmp_path: Path, serve: Serve, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        with serve(of_days(1)):
            export(tmp_path, [0], rows_per_part=7, compression="none")
            assert found(reconcile(tmp_path, rows_per_part=8)) == {"2026-01-01": (0, 0, 0)}
            assert reconcile(tmp_path, rows_per_part=8)["same"] == 1
        assert "the same rows, as other bytes" in caplog.text

    def test_another_format_is_an_error(self, tmp_path: Path, serve: Serve) -> None:
        with serve(of_days(1)):
            export(tmp_path, [0], file_format="csv")
            with pytest.raises(HyperoruConfigFailure, match=r"files of the format csv.*set file_format='csv'"):
                reconcile(tmp_path)

    @pytest.mark.parametrize("damage", ["missing", "damaged"])
    def test_a_damaged_part_is_mended(
        self, tmp_path: Path, serve: Serve, caplog: pytest.LogCaptureFixture, damage: str
    ) -> None:
        with serve(of_days(1)):
            export(tmp_path, [0], rows_per_part=8)
            before = files_of(tmp_path)
            (part,) = tmp_path.rglob("part-00001*")
            part.unlink() if damage == "missing" else part.write_bytes(part.read_bytes()[::-1])
            assert found(reconcile(tmp_path, rows_per_part=8)) == {"2026-01-01": (8, 0, 0)}
            assert files_of(tmp_path) == before
        assert "part-00001.jsonl.gz is missing or damaged" in caplog.text

    def test_a_key_of_fields_that_no_column_has(self, tmp_path: Path, connect: Callable[..., None]) -> None:
        """Such as the number of a fill, which CSV has in the column ``extra``."""
        rows = [trade(number // 2, 0, number, fill=number % 2, account_id=1) for number in range(8)]
        how: dict[str, Any] = {"file_format": "csv", "compression": "gzip"}
        for served, expected in ((rows, {}), (rows[:-1], {"2026-01-01": (0, 1, 0)})):
            with Sandbox(rows=served) as sandbox:
                contract = {"trades": {"key": ["trade_id", "fill"]}}
                connect(sandbox, token_cache="memory", max_retries=0, contract=contract)
                if not expected:
                    export(tmp_path, [0], **how)
                assert found(reconcile(tmp_path, **how)) == expected


@pytest.mark.parametrize("resource", ["orders", "nothing"])
def test_a_list_without_windows_is_an_error(tmp_path: Path, serve: Serve, resource: str) -> None:
    with pytest.raises(HyperoruConfigFailure):
        HyperoruReconcileOperator(task_id="t", resource=resource, destination=str(tmp_path))
    operator = HyperoruReconcileOperator(task_id="t", resource="{{ x }}", destination=str(tmp_path))
    with pytest.raises(HyperoruConfigFailure, match=r"not read by time|expected trades"):
        run(operator, {"x": resource})


def test_the_log_tells_at_a_glance(tmp_path: Path, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rows = of_days(2)
    with serve(rows):
        export(tmp_path, range(2))
    with serve({0: rows[0], 1: [*rows[1][1:], trade(7000, 1, 5), trade(7001, 1, 6)]}):
        reconcile(tmp_path)
    assert "Compared 20 trades, 2026-01-01 to 2026-01-02: nothing has changed; " in caplog.text
    assert "Exported 21 trades, 2026-01-02 to 2026-01-03, in 1 file of " in caplog.text
    assert ": 2 rows added, 1 removed; " in caplog.text
    assert "Compared 2 windows: 1 the same, 1 put right" in caplog.text


class TestSql:
    """The same of a table."""

    @pytest.fixture
    def table(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        monkeypatch.setenv("AIRFLOW_CONN_SQL", json.dumps(database.connection))
        return {"task_id": "t", "resource": "trades", "sql_conn_id": "sql", "table": "trades"}

    def load(self, table: dict[str, Any], days: int, **more: Any) -> None:
        whole = {"start": day_of(0)["start"], "end": day_of(days - 1)["end"]}
        run(HyperoruToSqlOperator(**{**table, **whole, "create_table": True, **more}))

    def reconcile(self, table: dict[str, Any], last: int, context: dict[str, Any] | None = None, **more: Any) -> Any:
        return run(HyperoruReconcileSqlOperator(**{**table, **day_of(last), **more}), context)

    def place(self, database: Database) -> dict[str, Any]:
        """Return where the database has each row, which changes when it is written."""
        if database.kind == "mariadb":
            stamp = "TIMESTAMP(6) NOT NULL DEFAULT NOW(6) ON UPDATE NOW(6)"
            database.query(f"ALTER TABLE trades ADD COLUMN IF NOT EXISTS written {stamp}")
        columns = {"postgres": "ctid::text, xmin::text", "sqlite": "rowid", "mariadb": "written"}[database.kind]
        return {row[0]: row[1:] for row in database.query(f"SELECT trade_id, {columns} FROM trades")}

    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_five_of_thirty_windows(self, database: Database, table: dict[str, Any], serve: Serve, seed: int) -> None:
        rows = of_days(30)
        after, expected = changed_in_five(rows, seed)
        with serve(rows):
            self.load(table, 30)
        database.query("ALTER TABLE trades ADD COLUMN mine TEXT")
        database.query("UPDATE trades SET mine = 'kept'")
        before = self.place(database)
        with serve(after):
            summary = self.reconcile(table, 29, windows=30)
            now = self.place(database)
            assert self.reconcile(table, 29, windows=30)["same"] == 30
            assert self.place(database) == now
            kept = database.query("SELECT trade_id FROM trades WHERE mine = 'kept'")
            database.query("ALTER TABLE trades DROP COLUMN mine")
            if database.kind == "mariadb":
                database.query("ALTER TABLE trades DROP COLUMN written")
            found_rows = sorted(database.query("SELECT * FROM trades"))
            self.load(table, 30)
        assert sorted(database.query("SELECT * FROM trades")) == found_rows
        assert (summary["windows"], summary["same"]) == (30, 25)
        assert found(summary) == expected
        same = {str(row["trade_id"]) for day in rows for row in after[day] if row in rows[day]}
        assert {key for (key,) in kept} == same
        assert {key: now[key] for key in same} == {key: before[key] for key in same}

    def test_a_row_that_moves_to_another_window(self, database: Database, table: dict[str, Any], serve: Serve) -> None:
        """Either way: it would be one key twice, if windows were written one after the other."""
        rows = of_days(2)
        with serve(rows):
            self.load(table, 2)
        there, back = (
            rows[0][3] | {"trade_time": "2026-01-02T05:00:00Z"},
            rows[1][3] | {"trade_time": "2026-01-01T05:00:00Z"},
        )
        moved = {
            0: [*(row for row in rows[0] if row != rows[0][3]), back],
            1: [*(row for row in rows[1] if row != rows[1][3]), there],
        }
        with serve(moved):
            summary = self.reconcile(table, 1, windows=2)
        assert found(summary) == {"2026-01-01": (1, 1, 0), "2026-01-02": (1, 1, 0)}
        assert len(database.trades()) == 40

    def test_only_the_rows_of_the_windows_and_filters(
        self, database: Database, table: dict[str, Any], serve: Serve
    ) -> None:
        rows = of_days(4)
        with serve(rows):
            self.load(table, 4)
        with serve({day: each[2:] for day, each in rows.items()}):
            summary = self.reconcile(table, 2, windows=2, filters={"account_id": 1})
        assert found(summary) == {"2026-01-02": (0, 1, 0), "2026-01-03": (0, 1, 0)}
        assert Counter(account for account, _ in database.trades().values()) == {"1": 38, "2": 40}

    @pytest.mark.parametrize("on_empty", [None, "skip", "fail"])
    def test_a_window_without_rows(
        self, database: Database, table: dict[str, Any], serve: Serve, on_empty: str | None
    ) -> None:
        rows = of_days(3)
        with serve(rows):
            self.load(table, 3)
        before = self.place(database)
        with serve({0: rows[0][1:], 1: [], 2: rows[2]}):
            with pytest.raises(HyperoruContractError, match=r"0 trades, 2026-01-02 to 2026-01-03"):
                self.reconcile(table, 2, windows=3, on_empty=on_empty)
            assert self.place(database) == before
            summary = self.reconcile(table, 2, windows=3, on_empty="succeed")
        assert found(summary) == {"2026-01-01": (0, 1, 0), "2026-01-02": (0, 20, 0)}

    def test_nothing_at_all(self, table: dict[str, Any], serve: Serve) -> None:
        with serve(of_days(1)):
            self.load(table, 1)
            with pytest.raises(AirflowSkipException):
                self.reconcile(table, 9, windows=3, on_empty="skip")
            assert self.reconcile(table, 9, windows=3) == {"windows": 3, "same": 3, "changed": []}

    def test_amounts_are_compared_exactly(self, database: Database, table: dict[str, Any], serve: Serve) -> None:
        rows = of_days(1, each=3)
        with serve(rows):
            self.load(table, 1)
        price = Decimal("1.5000000000000000000000001")
        event = SimpleNamespace(extra={})
        outlet = Asset("trades")
        with serve({0: [rows[0][0] | {"price": str(price)}, *rows[0][1:]]}):
            summary = self.reconcile(table, 0, {"outlet_events": StateOf(outlet, event)}, outlets=[outlet])
        assert found(summary) == {"2026-01-01": (0, 0, 1)}
        assert event.extra == {name: summary[name] for name in ("windows", "changed")}
        assert database.trades()["0"][1] == price

    def test_a_row_that_a_table_without_a_key_has_twice(
        self, database: Database, table: dict[str, Any], serve: Serve
    ) -> None:
        rows = of_days(1, each=3)
        database.create()
        with serve(rows):
            self.load(table, 1, create_table=False)
            database.query("INSERT INTO trades SELECT * FROM trades WHERE trade_id = '0'")
            with pytest.raises(HyperoruContractError, match="3 rows were written to trades, but 4 are found"):
                self.reconcile(table, 0)
        with serve({0: [rows[0][0] | {"price": 7}, *rows[0][1:]]}):
            assert found(self.reconcile(table, 0)) == {"2026-01-01": (0, 1, 1)}
        assert len(database.trades()) == 3

    def test_killed_while_it_commits(self, table: dict[str, Any], serve: Serve) -> None:
        class Killing(TaskStates):
            def after(self, method: str) -> None:
                if method == "set" and not killed:
                    killed.append(method)
                    raise Killed

        killed: list[str] = []
        rows, states = of_days(2), Killing()
        with serve(rows):
            self.load(table, 2)
        with serve({0: rows[0][1:], 1: rows[1][2:]}):
            with pytest.raises(Killed):
                self.reconcile(table, 1, {"task_state_store": states})
            summary = self.reconcile(table, 1, {"task_state_store": states})
        assert found(summary) == {"2026-01-01": (0, 1, 0), "2026-01-02": (0, 2, 0)}
        assert states.texts == {}

    def test_windows_before_the_first_year(self, table: dict[str, Any], serve: Serve) -> None:
        with serve(of_days(1)), pytest.raises(HyperoruConfigError, match="before the year 1"):
            self.reconcile(table, 0, windows=10**6)
