"""Each list of the service, whatever it is, over HTTP: in files and in a table, full and empty, to the last digit."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from hyperoru_provider.client import HyperoruClient
from hyperoru_provider.client.api.resource import Resource
from hyperoru_provider.client.api.resources import RESOURCES
from hyperoru_provider.client.errors import HyperoruConfigError, HyperoruContractError
from hyperoru_provider.client.http.library import httpx
from hyperoru_provider.export.columns import ColumnSchema
from hyperoru_provider.export.destinations.iceberg import IcebergDestination
from hyperoru_provider.export.destinations.sql import SqlDestination
from hyperoru_provider.export.destinations.storage import StorageDestination
from hyperoru_provider.export.run import export_list
from hyperoru_provider.params.window import Window
from hyperoru_provider.sandbox import Sandbox
from tests.databases import Database
from tests.lakes import TABLE, local_lake

NOW = 1_769_083_200.25  # 2026-01-22T12:00:00.25Z
DAY = ("2026-01-20T00:00:00Z", "2026-01-21T00:00:00Z")
LATER = ("2031-01-20T00:00:00Z", "2031-01-21T00:00:00Z")
DECIMALS = 18
SWITCH = {"trading_mode": "mainnet"}
#: values for what a path needs, or the spacing of rows; a further list may need a further one
VALUES = {
    "account_id": 1,
    "user_id": 1,
    "decision_id": 20_473_000,
    "task_id": "task-1",
    "factor_name": "skew_24",
    "symbol": "BTC",
    "interval": "1h",
    "timeframe": "1h",
}
#: lists that the sandbox serves for themselves
OWN = ("trades", "klines", "traders", "orders", "coverage", "supported_symbols", "backfill_jobs")
EACH = pytest.mark.parametrize("resource", RESOURCES.values(), ids=list(RESOURCES))


@pytest.fixture(scope="module")
def full() -> Iterator[Sandbox]:
    with Sandbox(clock=lambda: NOW) as running:
        yield running


@pytest.fixture(scope="module")
def hiding() -> Iterator[Sandbox]:
    """A sandbox whose lists are empty until a switch is set, but for those that have none."""
    with Sandbox(rows=[], clock=lambda: NOW, hidden_by_default="trading_mode=mainnet") as running:
        yield running


def filters_of(resource: Resource[Any]) -> dict[str, Any]:
    return {name: VALUES[name] for name in resource.needed(resource.endpoint)}


def window_of(resource: Resource[Any], bounds: tuple[str, str] = DAY) -> Window | None:
    return Window.parse(*bounds) if resource.windowed else None


def exact(text: str | bytes) -> Any:
    """Return JSON with numbers as they are written."""
    return json.loads(text, parse_float=str, parse_int=str)


def facts(sandbox: Sandbox, resource: Resource[Any]) -> list[dict[str, Any]]:
    """Return the rows as the sandbox has them, by a way of its own."""
    filters, bounds = filters_of(resource), DAY if resource.windowed else ()
    if resource.name not in OWN:
        found = [exact(text) for text in sandbox.facts(resource.name, *bounds, **filters)]
        if resource.endpoint.time_filter == "none":  # the facts are those of any time
            found = [row for row in found if DAY[0] <= row[resource.endpoint.time] < DAY[1]]
        return found
    path = resource.endpoint.path.format_map(filters)
    query: dict[str, Any] = {name: filters[name] for name in ("symbol", "interval") if name in filters}
    query |= {"per_page": 500} if resource.name == "trades" else {}
    query |= dict(zip(("start", "end"), bounds, strict=False))
    login = httpx.post(f"{sandbox.url}/api/users/login", json={"email": sandbox.email, "password": sandbox.password})
    headers = {"Authorization": f"Bearer {login.json()['session_token']}"}
    data = exact(httpx.get(sandbox.url + path, params=query, headers=headers).text)
    if resource.endpoint.shape == "values":
        return [{resource.endpoint.key[0]: value} for value in data["symbols"]]
    return list(data["items"] if resource.name == "trades" else data)


def counted(rows: list[dict[str, Any]]) -> Counter[str]:
    return Counter(json.dumps(row, sort_keys=True) for row in rows)


def added(resource: Resource[Any], known: list[dict[str, Any]]) -> set[str]:
    """Return the fields that an export may have put into each row."""
    return {*filters_of(resource), "as_of"} - {name for row in known for name in row}


def files_of(client: HyperoruClient, resource: Resource[Any], where: Path, window: Window | None) -> Any:
    destination = StorageDestination(UPath(where))
    return export_list(client, resource.name, window, filters_of(resource), destination, on_empty="succeed")


def lines(summary: dict[str, Any]) -> list[dict[str, Any]]:
    return [exact(line) for file in summary["files"] for line in gzip.decompress(Path(file).read_bytes()).splitlines()]


@EACH
def test_files_have_each_row_to_the_last_digit(
    full: Sandbox, client_of: Callable[..., HyperoruClient], resource: Resource[Any], tmp_path: Path
) -> None:
    known = facts(full, resource)
    assert known or resource.name == "backfill_jobs"  # nobody has started one
    summary = files_of(client_of(full), resource, tmp_path, window_of(resource))
    rows = lines(summary)
    more = added(resource, known)
    assert counted([{name: row[name] for name in row if name not in more} for row in rows]) == counted(known)
    manifest = json.loads(Path(summary["manifest"]).read_text())
    assert manifest["rows"] == len(known)
    assert {row.get("as_of") for row in rows} == ({manifest["as_of"]} if resource.is_snapshot else {None}) or not rows
    assert ("as_of" in manifest) is resource.is_snapshot


@EACH
@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_formats_with_columns_take_each_list(
    full: Sandbox,
    client_of: Callable[..., HyperoruClient],
    resource: Resource[Any],
    file_format: str,
    tmp_path: Path,
) -> None:
    """A number that does not fit Parquet's 18 decimals is an error that names its row, and nothing is rounded."""
    destination = StorageDestination(UPath(tmp_path), file_format)
    window, filters = window_of(resource), filters_of(resource)
    known = facts(full, resource)
    longest = max((-int(Decimal(each).as_tuple().exponent) for row in known for each in numbers(row)), default=0)
    if file_format == "parquet" and longest > DECIMALS:
        with pytest.raises(
            HyperoruContractError,
            match=r"\w+ [-+.\dE]+ of the row .* does not fit decimal128\(38, 18\).*jsonl and csv keep",
        ):
            export_list(client_of(full), resource.name, window, filters, destination)
        return
    summary = export_list(client_of(full), resource.name, window, filters, destination, on_empty="succeed")
    assert summary["rows"] == len(known)


def numbers(row: dict[str, Any]) -> list[str]:
    """Return the numbers of a row, but for those inside of lists and objects."""
    texts = (value for value in row.values() if isinstance(value, str))
    return [text for text in texts if re.fullmatch(r"-?[0-9.]+([eE][-+]?[0-9]+)?", text)]


@EACH
def test_a_table_has_each_row_to_the_last_digit(
    full: Sandbox, client_of: Callable[..., HyperoruClient], resource: Resource[Any], sqlite: Database
) -> None:
    known = facts(full, resource)
    client, schema = client_of(full), ColumnSchema(resource.model, resource.endpoint)
    for deleted in (0, len(known)):  # the second load takes the place of the first
        destination = SqlDestination(sqlite.connect, "rows", create_table=True)
        summary = export_list(
            client, resource.name, window_of(resource), filters_of(resource), destination, on_empty="succeed"
        )
        assert (summary["rows"], summary["inserted"], summary["deleted"]) == (len(known), len(known), deleted)
    amounts = [column.name for column in schema.columns if column.type == "decimal"] or ["extra"]
    found = sqlite.query("SELECT " + ", ".join(f'"{name}"' for name in amounts) + " FROM rows")
    if amounts != ["extra"]:
        expected = Counter(tuple(amount(sent(row, resource, name)) for name in amounts) for row in known)
        assert Counter(tuple(map(amount, row)) for row in found) == expected


@EACH
def test_a_table_of_iceberg_takes_each_list(
    full: Sandbox, client_of: Callable[..., HyperoruClient], resource: Resource[Any], tmp_path: Path
) -> None:
    """A number that does not fit its 18 decimals is an error that names its row; a list without a key is one moment."""
    known = facts(full, resource)
    lake = local_lake(tmp_path)

    def load() -> Any:
        destination = IcebergDestination(lake.catalog, TABLE, create_table=True)
        window, filters = window_of(resource), filters_of(resource)
        return export_list(client_of(full), resource.name, window, filters, destination, on_empty="succeed")

    longest = max((-int(Decimal(each).as_tuple().exponent) for row in known for each in numbers(row)), default=0)
    if longest > DECIMALS:
        with pytest.raises(HyperoruContractError, match=r"does not fit decimal128\(38, 18\)"):
            load()
        return
    assert load()["rows"] == len(known)
    assert lake.table.scan().count() == len(known)
    again = load()
    assert again["replaced"] == (len(known) if again["written"] else 0)
    assert lake.table.scan().count() == len(known)


def sent(row: dict[str, Any], resource: Resource[Any], name: str) -> object:
    """Return a field of a row, under whichever name it has."""
    return next((row[each] for each in resource.endpoint.names_of(name) if each in row), None)


def amount(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value))


@EACH
def test_an_empty_list_is_no_row_and_an_export(
    hiding: Sandbox, full: Sandbox, client_of: Callable[..., HyperoruClient], resource: Resource[Any], tmp_path: Path
) -> None:
    """An object that is ``null`` is no row, either."""
    of_its_own = resource.name in {*OWN} - {"trades", "orders"}
    if resource.name == "supported_symbols":
        of_its_own = True
    sandbox = hiding if of_its_own and resource.name != "klines" else full
    full.set_faults(hidden_by_default=None if of_its_own else "trading_mode=mainnet")
    cap = {"cap": 1_000} if resource.endpoint.time_filter == "none" and resource.endpoint.paging == "none" else {}
    try:
        client = client_of(sandbox, contract={resource.name: cap})
        summary = files_of(client, resource, tmp_path, window_of(resource, LATER))
        assert (summary["rows"], lines(summary)) == (0, [])
    finally:
        full.set_faults(hidden_by_default=None)


@EACH
def test_a_switch_shows_what_its_default_hides(
    client_of: Callable[..., HyperoruClient], full: Sandbox, resource: Resource[Any], tmp_path: Path
) -> None:
    if resource.name in OWN:
        pytest.skip("tested where the list is")
    full.set_faults(hidden_by_default="trading_mode=mainnet")
    try:
        client = client_of(full, contract={resource.name: {"query": SWITCH}})
        assert files_of(client, resource, tmp_path, window_of(resource))["rows"] == len(facts(full, resource)) > 0
    finally:
        full.set_faults(hidden_by_default=None)


@EACH
def test_an_answer_of_success_that_says_it_failed_is_an_error(
    client_of: Callable[..., HyperoruClient], full: Sandbox, resource: Resource[Any], tmp_path: Path
) -> None:
    if resource.name == "supported_symbols":
        pytest.skip("the sandbox knows no faults of it")
    full.set_faults(false_success=True)
    try:
        with pytest.raises(HyperoruContractError, match="says that the request failed"):
            files_of(client_of(full), resource, tmp_path, window_of(resource))
    finally:
        full.set_faults(false_success=False)


@EACH
def test_upsert_needs_a_key(
    full: Sandbox, client_of: Callable[..., HyperoruClient], resource: Resource[Any], sqlite: Database
) -> None:
    destination = SqlDestination(sqlite.connect, "rows", "upsert", create_table=True)
    window, filters = window_of(resource), filters_of(resource)

    def load() -> Any:
        return export_list(client_of(full), resource.name, window, filters, destination, on_empty="succeed")

    if resource.endpoint.key:
        assert load()["rows"] == load()["rows"]
    else:
        with pytest.raises(HyperoruConfigError, match=f"{resource.name} has no key, so upsert"):
            load()


def test_secrets_of_traders_are_masked(full: Sandbox, client_of: Callable[..., HyperoruClient], tmp_path: Path) -> None:
    contract = {"traders": {"secret_fields": {"base_url": True}}}
    summary = files_of(client_of(full, contract=contract), RESOURCES["traders"], tmp_path, None)
    rows = lines(summary)
    assert {row["base_url"] for row in rows} == {"***", None}
    assert [row["initial_capital"] for row in rows] == ["10000.0", "25000.0", "10000.0", "10000.0"]


def test_candles_are_read_in_stretches_and_resumed_after_the_last(
    full: Sandbox, client_of: Callable[..., HyperoruClient], tmp_path: Path
) -> None:
    """More candles than a capped list shows, in several parts."""
    full.set_faults(cap=100)
    try:
        window = Window.parse("2026-01-18T00:00:00Z", "2026-01-20T00:00:00Z")
        destination = StorageDestination(UPath(tmp_path), rows_per_part=1_000)
        filters = {"symbol": "BTC", "interval": "1m"}
        summary = export_list(client_of(full), "klines", window, filters, destination)
    finally:
        full.set_faults(cap=None)
    rows = lines(summary)
    assert (len(rows), len(summary["files"])) == (2 * 1_440, 3)
    assert [row["timestamp"] for row in rows] == sorted({row["timestamp"] for row in rows})
    assert {(row["symbol"], row["interval"]) for row in rows} == {("BTC", "1m")}


def test_a_method_of_each_list_takes_what_its_path_needs(
    full: Sandbox, client_of: Callable[..., HyperoruClient]
) -> None:
    client = client_of(full)
    assert len(client.decisions(*DAY, account_id=2)) == sum(
        row["account_id"] == "2" for row in facts(full, RESOURCES["decisions"])
    )
    balance = client.balance(1)
    assert balance is not None
    assert balance.account_id == 1
    assert [position.account_id for position in client.positions(2)] == [2] * len(full.facts("positions", account_id=2))
    with pytest.raises(TypeError, match="account_id"):
        client.positions()
    with pytest.raises(TypeError, match="symbol"):
        client.positions(1, symbol="BTC")
