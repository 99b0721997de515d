"""Exports become a report: each format, each row once, each sum as in the rows themselves."""

from __future__ import annotations

import gzip
import json
import re
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any, cast

import pytest
from upath import UPath

from hyperoru_provider.client import HyperoruClient
from hyperoru_provider.client.api.contract import DEFAULT_CONTRACT, load_contract
from hyperoru_provider.client.api.endpoints import WindowedEndpoint
from hyperoru_provider.client.api.models import Trade
from hyperoru_provider.client.errors import HyperoruConcurrentWriteError, HyperoruConfigError, HyperoruContractError
from hyperoru_provider.client.lists.rows import Row
from hyperoru_provider.client.times import format_time
from hyperoru_provider.export.destinations.storage import StorageDestination
from hyperoru_provider.export.formats import FORMATS
from hyperoru_provider.export.manifest import ExportSpec
from hyperoru_provider.export.run import export_list, export_rows
from hyperoru_provider.params.window import Window
from hyperoru_provider.report.coverage import Coverage
from hyperoru_provider.report.exports import find_exports
from hyperoru_provider.report.figures import Figures
from hyperoru_provider.report.fills import FillStore
from hyperoru_provider.report.run import write_report
from hyperoru_provider.sandbox import Sandbox
from tests.exports import batch_of
from tests.places import REAL_ROWS
from tests.sample_trades import trades

START = datetime(2026, 1, 5, tzinfo=UTC)
WEEK = Window(START, START + timedelta(days=7))
CHOICES = [(name, packed) for name, encoder in FORMATS.items() for packed in encoder.compressions]
ENDPOINT = DEFAULT_CONTRACT.trades
#: the number of a tile or of the table of exact sums
TILE = r'id="{}">.*?<data value="([^"]*)"'


def export(
    lines: list[bytes],
    where: Path,
    window: Window = WEEK,
    endpoint: WindowedEndpoint = ENDPOINT,
    file_format: str = "jsonl",
    compression: str | None = None,
    rows_per_part: int = 250_000,
    **filters: Any,
) -> None:
    """Export rows that are in order, as if a server had sent them."""
    spec = ExportSpec("trades", window, filters, Trade, endpoint)
    times = [cast("Trade", spec.schema.item(Row(None, 0, line))).trade_time for line in lines]
    rows = [Row(time, number, line) for number, (time, line) in enumerate(zip(times, lines, strict=True))]
    destination = StorageDestination(UPath(where), file_format, compression, rows_per_part=rows_per_part)
    export_rows(spec, lambda *_: iter([batch_of(rows)] if rows else []), destination, on_empty="succeed")


def figures_of(where: Path, endpoint: WindowedEndpoint = ENDPOINT, account_id: str | None = None) -> Figures:
    exports = find_exports(UPath(where))
    store = FillStore(endpoint, account_id)
    for each in exports:
        store.add(each)
    return Figures(Coverage.of((each.manifest.filters, each.window) for each in exports), store)


def sums(lines: Iterable[bytes]) -> dict[str, Decimal]:
    """Add up what rows say, without the package."""
    rows = [json.loads(line, parse_float=Decimal, parse_int=Decimal) for line in lines]
    with localcontext(prec=100):
        return {
            name: sum((row[name] for row in rows), Decimal(0)) for name in ("realized_pnl", "commission", "notional")
        }


def check(figures: Figures, lines: list[bytes]) -> None:
    totals = figures.totals
    expected = sums(lines)
    assert totals.trades == len(lines)
    assert {"realized_pnl": totals.profit, "commission": totals.fees, "notional": totals.volume} == expected
    rows = [json.loads(line, parse_float=Decimal, parse_int=Decimal) for line in lines]
    assert totals.wins == sum(row["realized_pnl"] > 0 for row in rows)
    assert totals.losses == sum(row["realized_pnl"] < 0 for row in rows)
    for groups, name in ((figures.symbols, "symbol"), (figures.traders, "account_id")):
        found = {name: (group.trades, group.profit) for name, group in groups.items()}
        with localcontext(prec=100):
            assert found == {
                key: (count, sum((row["realized_pnl"] for row in rows if str(row[name]) == key), Decimal(0)))
                for key, count in Counter(str(row[name]) for row in rows).items()
            }
    by_day = Counter(row["trade_time"][:10] for row in rows)
    assert {f"{day:%Y-%m-%d}": group.trades for day, group in figures.days.items()} == by_day


@pytest.mark.parametrize(("file_format", "compression"), CHOICES)
def test_each_format_gives_the_sums_of_its_rows(tmp_path: Path, file_format: str, compression: str) -> None:
    lines = trades(400, START, timedelta(days=7))
    export(lines, tmp_path, file_format=file_format, compression=compression, rows_per_part=97)
    assert len(find_exports(UPath(tmp_path))[0].manifest.files) == 5
    check(figures_of(tmp_path), lines)


@pytest.mark.slow
@pytest.mark.skipif(not REAL_ROWS.exists(), reason="there are no real rows on this machine")
@pytest.mark.parametrize("file_format", FORMATS)
def test_real_rows(tmp_path: Path, client_of: Callable[..., HyperoruClient], file_format: str) -> None:
    window = Window.parse("2024-09-20", "2025-05-02")
    with Sandbox(data=REAL_ROWS) as sandbox:
        destination = StorageDestination(UPath(tmp_path), file_format, rows_per_part=4_000)
        export_list(client_of(sandbox), "trades", window, {}, destination, concurrency=4)
    figures = figures_of(tmp_path)
    check(figures, gzip.decompress(REAL_ROWS.read_bytes()).splitlines())
    assert figures.totals.net == Decimal("1272260.125956") - Decimal("80597.53564146")
    assert figures.totals.volume == Decimal("449979775.66")
    summary = write_report([UPath(tmp_path)], UPath(tmp_path / "report.html"), ENDPOINT)
    page = (tmp_path / "report.html").read_text()
    assert summary["rows"] == 15_629
    shown = {name: re.search(TILE.format(name), page) for name in ("net", "profit", "fees", "volume")}
    assert {name: found and found[1] for name, found in shown.items()} == {
        "net": "1191662.59031454",
        "profit": "1272260.125956",
        "fees": "80597.53564146",
        "volume": "449979775.66",
    }
    assert "1,191,662.59031454" in page


def halves(lines: list[bytes], cut: datetime, back: datetime) -> tuple[list[bytes], list[bytes]]:
    """Return the rows before a time, and those from an earlier one on."""
    times = [datetime.fromisoformat(json.loads(line)["trade_time"]) for line in lines]
    return (
        [line for line, time in zip(lines, times, strict=True) if time < cut],
        [line for line, time in zip(lines, times, strict=True) if time >= back],
    )


@pytest.mark.parametrize("second", FORMATS)
def test_a_trade_of_overlapping_windows_is_counted_once(tmp_path: Path, second: str) -> None:
    """In whichever formats they are: 2.50 is 2.5, and 7 is "7"."""
    lines = trades(500, START, timedelta(days=7))
    cut, back = START + timedelta(days=5), START + timedelta(days=2)
    before, after = halves(lines, cut, back)
    assert len(before) + len(after) > len(lines) + 50
    export(before, tmp_path, Window(START, cut))
    export(after, tmp_path, Window(back, WEEK.end), file_format=second)
    check(figures_of(tmp_path), lines)
    assert figures_of(tmp_path).coverage.gaps == ()


def test_trades_come_in_order_of_time_whatever_their_keys(tmp_path: Path) -> None:
    """So that a drawdown is one."""
    line = trades(1, START, timedelta(minutes=1), first_id=1)[0]
    lines = [
        re.sub(rb'"realized_pnl":[^,]*', b'"realized_pnl":%d' % profit, line)
        .replace(b'"trade_id":1,', b'"trade_id":%d,' % (30 - hour))
        .replace(b"T00:00:00Z", b"T%02d:00:00Z" % hour)
        for hour, profit in enumerate([5, 7, -4, -6, 9])
    ]
    export(lines, tmp_path)
    figures = figures_of(tmp_path)
    assert [point.profit for point in figures.curve] == [5, 12, 8, 2, 11]


def test_a_trade_that_two_exports_show_differently_is_an_error_that_names_it(tmp_path: Path) -> None:
    (line,) = trades(1, START, timedelta(minutes=1), first_id=4711)
    export([line], tmp_path)
    wider = Window(START - timedelta(days=1), WEEK.end)
    export([line.replace(b'"side"', b'"account_name":"Atlas","side"')], tmp_path, wider)
    assert figures_of(tmp_path).totals.trades == 1  # another name is no other trade
    export([re.sub(rb'"notional":[^,]*', b'"notional":1', line)], tmp_path, wider)
    with pytest.raises(HyperoruContractError, match=r"The trade 4711 in .* is not as in another export"):
        figures_of(tmp_path)


def test_one_trader_of_all(tmp_path: Path) -> None:
    lines = trades(300, START, timedelta(days=7))
    export(lines, tmp_path)
    check(figures_of(tmp_path, account_id="2"), [line for line in lines if b'"account_id":2,' in line])


def test_exports_of_another_trader_are_not_read(tmp_path: Path) -> None:
    lines = trades(300, START, timedelta(days=7))
    for trader in (1, 2):
        export([line for line in lines if b'"account_id":%d,' % trader in line], tmp_path, account_id=trader)
    (other,) = tmp_path.glob("trades/*,account_id-1/part*")
    other.write_bytes(b"damaged")
    summary = write_report([UPath(tmp_path)], UPath(tmp_path / "r.html"), ENDPOINT, account_id="2")
    assert (summary["exports"], summary["rows"]) == (1, sum(b'"account_id":2,' in line for line in lines))
    with pytest.raises(HyperoruConfigError, match=r"There is no export of trader 9 there, only of 1, 2\."):
        write_report([UPath(tmp_path)], UPath(tmp_path / "r.html"), ENDPOINT, account_id="9")


def test_rows_that_do_not_name_their_trader_are_of_their_exports(tmp_path: Path) -> None:
    lines = [re.sub(rb'"account_id":\d,', b"", line) for line in trades(20, START, timedelta(days=7))]
    export(lines, tmp_path, account_id=3)
    assert {trader: totals.trades for trader, totals in figures_of(tmp_path).traders.items()} == {"3": 20}


@pytest.mark.parametrize("file_format", FORMATS)
def test_rows_of_another_contract(tmp_path: Path, file_format: str) -> None:
    """Other names, other times, and a key of two fields, of which the model does not know one."""
    contract: Mapping[str, Any] = {
        "trades": {
            "time_format": "milliseconds",
            "key": ["trade_id", "leg"],
            "fields": {"commission": "fee", "trade_time": "time"},
        }
    }
    endpoint = load_contract(contract).trades
    moment = int(START.timestamp() * 1000)
    lines = [
        b'{"trade_id":7,"leg":%d,"symbol":"BTC","side":"BUY","price":2,"quantity":3.5,"fee":0.%d,"time":%d}'
        % (leg, leg, moment + leg)
        for leg in range(1, 4)
    ]
    for days in (6, 7):
        export(lines, tmp_path, Window(START, START + timedelta(days=days)), endpoint, file_format)
    figures = figures_of(tmp_path, endpoint)
    assert (figures.totals.trades, figures.totals.fees, figures.totals.volume) == (3, Decimal("0.6"), Decimal(21))
    assert figures.totals.unknown_profits == 3
    if file_format == "jsonl":
        with pytest.raises(HyperoruContractError, match="the contract's fields"):
            figures_of(tmp_path)


@pytest.mark.parametrize("damage", ["changed", "cut", "gone", "more"])
def test_a_file_that_is_not_the_manifests_is_refused(tmp_path: Path, damage: str) -> None:
    export(trades(50, START, timedelta(days=7)), tmp_path, compression="none")
    page = tmp_path / "r.html"
    page.write_text("the report before")
    (part,) = tmp_path.glob("trades/*/part*")
    content = part.read_bytes()
    if damage == "gone":
        part.unlink()
    else:
        part.write_bytes(
            {"changed": content.replace(b"BUY", b"SEL", 1), "cut": content[:-1], "more": content + content}[damage]
        )
    with pytest.raises(HyperoruConcurrentWriteError, match=r"part-00000\.jsonl is not the file that _manifest\.json"):
        write_report([UPath(tmp_path)], UPath(page), ENDPOINT)
    assert page.read_text() == "the report before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.html", "trades"]


def test_a_manifest_that_counts_other_rows_than_its_file_is_refused(tmp_path: Path) -> None:
    export(trades(50, START, timedelta(days=7)), tmp_path)
    (manifest,) = tmp_path.glob("trades/*/_manifest.json")
    manifest.write_text(manifest.read_text().replace('"rows": 50', '"rows": 51'))
    with pytest.raises(HyperoruConcurrentWriteError):
        figures_of(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("{", "[", "not the manifest of an export"),
        ('"rows"', '"lines"', "not the manifest of an export"),
        ('"format_version": 1', '"format_version": 2', "another version"),
        ('"resource": "trades"', '"resource": "orders"', "is an export of orders, but a report needs one of trades"),
        ('"name": "part', '"name": "../part', "a file that is not next to it"),
    ],
)
def test_what_is_no_manifest_of_trades_is_refused(tmp_path: Path, old: str, new: str, named: str) -> None:
    export(trades(5, START, timedelta(days=7)), tmp_path)
    (manifest,) = tmp_path.glob("trades/*/_manifest.json")
    manifest.write_text(manifest.read_text().replace(old, new))
    with pytest.raises(HyperoruConfigError, match=re.escape(named)):
        find_exports(UPath(tmp_path))


def test_trades_under_different_switches_are_not_added_up(tmp_path: Path) -> None:
    for days, mode in ((6, "mainnet"), (7, "testnet")):
        endpoint = load_contract({"trades": {"query": {"trading_mode": mode}}}).trades
        export(trades(5, START, timedelta(days=6)), tmp_path, Window(START, START + timedelta(days=days)), endpoint)
    with pytest.raises(HyperoruConfigError, match=r"mainnet.*testnet.*must not be added up"):
        write_report([UPath(tmp_path)], UPath(tmp_path / "r.html"), ENDPOINT)


def test_exports_are_found_by_any_of_their_places(tmp_path: Path) -> None:
    export(trades(5, START, timedelta(days=7)), tmp_path)
    (directory,) = tmp_path.glob("trades/*")
    (tmp_path / "trades" / "unfinished").mkdir()
    (tmp_path / "orders").mkdir()
    places = [tmp_path, tmp_path / "trades", directory, directory / "_manifest.json"]
    found = {str(each.directory) for place in places for each in find_exports(UPath(place))}
    assert found == {str(directory)}
    again = write_report([UPath(place) for place in places], UPath(tmp_path / "r.html"), ENDPOINT)
    assert (again["exports"], again["rows"]) == (1, 5)
    for place in (tmp_path / "orders", tmp_path / "nowhere", tmp_path / "r.html"):
        with pytest.raises(HyperoruConfigError, match="There is no export of trades in"):
            find_exports(UPath(place))


def test_an_export_without_rows_is_a_report_without_trades(tmp_path: Path) -> None:
    export([], tmp_path)
    page = tmp_path / "new" / "r.html"
    summary = write_report([UPath(tmp_path)], UPath(page), ENDPOINT)
    assert summary == {"path": str(page), "rows": 0, "window": WEEK.as_dict(), "exports": 1, "gaps": 0}
    assert "There are no trades in this time." in page.read_text()


def test_the_same_exports_give_the_same_page(tmp_path: Path) -> None:
    export(trades(50, START, timedelta(days=7)), tmp_path)
    for name in ("a.html", "b.html"):
        write_report([UPath(tmp_path)], UPath(tmp_path / name), ENDPOINT)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def memory_of(count: int, where: Path) -> int:
    """Return how much memory Python took at most to add up so many rows."""
    step = timedelta(days=7) / count
    line = trades(1, START, timedelta(minutes=1))[0]
    lines = [
        re.sub(
            rb'"trade_time":"[^"]*"',
            b'"trade_time":"%s"' % format_time(START + step * number).encode(),
            line.replace(b'"trade_id":1,', b'"trade_id":%d,' % number),
        )
        for number in range(count)
    ]
    export(lines, where)
    figures_of(where)  # what is made once
    tracemalloc.start()
    try:
        assert figures_of(where).totals.trades == count
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    small, large = memory_of(2_000, tmp_path / "small"), memory_of(10_000, tmp_path / "large")
    assert large < small + 1_000_000
