"""Exports that stop at any write, and go on."""

from __future__ import annotations

import json
import logging
import random
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import time_machine
from airflow.sdk import Context

from hyperoru_provider.client import HyperoruClient
from hyperoru_provider.client.errors import HyperoruContractError, HyperoruServerError
from hyperoru_provider.client.escaping import storable
from hyperoru_provider.operators.trades import HyperoruExportTradesOperator
from hyperoru_provider.sandbox import Sandbox
from tests.exports import WRITES, Killed, assert_readable, files_of
from tests.task_states import TaskStates

START = datetime(2026, 1, 15, tzinfo=UTC)
ROWS = [
    {
        "trade_id": number,
        "account_id": 1,
        "symbol": "BTC",
        "side": "BUY",
        "price": 1.5,
        "quantity": 2,
        "trade_time": (START + timedelta(minutes=number // 4)).isoformat(),  # so that parts end between equal times
    }
    for number in range(40)
]


class WatchedStates(TaskStates):
    """A store of which each change is a write."""

    def before(self, method: str) -> None:
        super().before(method)
        if method != "get":
            WRITES.step()


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with Sandbox(rows=ROWS) as running:
        yield running


@pytest.fixture(autouse=True)
def connection(connect: Callable[..., None], server: Sandbox) -> None:
    server.reset()
    connect(server, token_cache="memory", max_retries=0)


@pytest.fixture(params=["file", "task state store"])
def context(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {} if request.param == "file" else {"task_state_store": WatchedStates()}


def export(where: Path, context: dict[str, Any], rows_per_part: int = 15, **arguments: Any) -> dict[str, Any]:
    operator = HyperoruExportTradesOperator(
        task_id="t",
        start="2026-01-15",
        end="2026-01-16",
        destination=str(where),
        rows_per_part=rows_per_part,
        **arguments,
    )
    summary: dict[str, Any] = operator.execute(cast("Context", context))
    return summary


def killed_at(write: int | str, where: Path, context: dict[str, Any], **arguments: Any) -> bool:
    """Export until a write, which is not done; tells whether there was one."""
    WRITES.begin(where, write)
    try:
        export(where, context, **arguments)
    except Killed:
        return True
    finally:
        WRITES.end()
    return False


EARLIER = {"none": None, "other parts": 13, "the same": 15}


def prepared(where: Path, earlier: str) -> Path:
    where.mkdir()
    if rows_per_part := EARLIER[earlier]:
        export(where, {}, rows_per_part)
    return where


@pytest.mark.slow
@pytest.mark.parametrize("earlier", EARLIER)
def test_killed_at_any_write(
    tmp_path: Path, context: dict[str, Any], earlier: str, caplog: pytest.LogCaptureFixture
) -> None:
    export(tmp_path / "undisturbed", {})
    undisturbed = files_of(tmp_path / "undisturbed")
    assert len(undisturbed) == 4
    caplog.set_level(logging.INFO)
    before = prepared(tmp_path / "before", earlier)
    resumed, write = 0, 0
    while True:
        write += 1
        where = tmp_path / str(write)
        shutil.copytree(before, where)
        caplog.clear()
        if not killed_at(write, where, context):
            break
        assert_readable(where)
        export(where, context)
        assert files_of(where) == undisturbed, write
        assert not context or not context["task_state_store"].texts
        resumed += "Resuming after" in caplog.text
    assert write > 15
    assert resumed >= 8


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_killed_again_and_again(tmp_path: Path, context: dict[str, Any], seed: int) -> None:
    rng = random.Random(seed)
    export(tmp_path / "undisturbed", {}, rows_per_part=4)
    where = prepared(tmp_path / "export", rng.choice([*EARLIER]))
    tries = 1
    while killed_at(rng.randint(1, 40), where, context, rows_per_part=4):
        assert_readable(where)
        tries += 1
    assert 1 < tries < 50
    assert files_of(where) == files_of(tmp_path / "undisturbed")


def stopped(where: Path, context: dict[str, Any], **arguments: Any) -> None:
    """Leave an export of which two parts of three are closed and noted."""
    assert killed_at("part-00002", where, context, **arguments)


def test_only_what_is_missing_is_read_again(
    tmp_path: Path, context: dict[str, Any], caplog: pytest.LogCaptureFixture, connect: Callable[..., None],
    server: Sandbox,
) -> None:  # fmt: skip
    connect(server, token_cache="memory", contract={"trades": {"page_size": 5}})
    caplog.set_level(logging.INFO)
    whole = export(tmp_path / "undisturbed", {})
    in_one_go = server.stats()["requests"]
    assert "Exported 40 trades, 2026-01-15 to 2026-01-16, in 3 files of " in caplog.text
    stopped(tmp_path / "export", context)
    caplog.clear()
    server.reset()
    summary = export(tmp_path / "export", context)
    assert server.stats()["requests"] <= in_one_go - 5
    assert "Resuming after 2026-01-15T00:07:00Z: 30 rows in 2 parts are already there" in caplog.text
    assert f"; {server.stats()['requests']} requests in " in caplog.text
    assert "after 30 rows of an earlier try" in caplog.text
    addresses = dict.fromkeys(("manifest", "prefix", "keys", "files"))
    assert summary | addresses == whole | addresses


CHANGES: dict[str, dict[str, Any]] = {
    "format": {"file_format": "csv"},
    "compression": {"compression": "none"},
    "rows_per_part": {"rows_per_part": 16},
    "bytes_per_part": {"bytes_per_part": 1000},
}


@pytest.mark.parametrize("change", [*CHANGES, "contract", "server", "user", "versions"])
def test_something_else_starts_over(
    tmp_path: Path, context: dict[str, Any], change: str, connect: Callable[..., None], server: Sandbox,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.INFO)
    stopped(tmp_path / "export", context)
    if change == "contract":
        connect(server, token_cache="memory", contract={"trades": {"fields": {"symbol": "side"}}})
    elif change == "server":
        monkeypatch.setenv(
            "AIRFLOW_CONN_HYPERORU_DEFAULT",
            json.dumps(
                {
                    "conn_type": "hyperoru",
                    "host": server.url.replace("127.0.0.1", "localhost"),
                    "login": server.email,
                    "password": server.password,
                }
            ),
        )
    elif change == "user":  # the rows that are there may be those of another one
        tokens: list[str] = []
        HyperoruClient(server.url, server.email, server.password, on_token=tokens.append).login()
        connect(server, session_token=tokens[-1])
    elif change == "versions":
        monkeypatch.setattr("platform.python_version", lambda: "3.99.0")
    export(tmp_path / "export", context, **CHANGES.get(change, {}))
    assert "starting over" in caplog.text
    assert "Resuming" not in caplog.text
    export(tmp_path / "undisturbed", {}, **CHANGES.get(change, {}))
    assert files_of(tmp_path / "export") == files_of(tmp_path / "undisturbed")


def test_parts_that_are_not_whole_start_over(
    tmp_path: Path, context: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    export(tmp_path / "undisturbed", {})
    undisturbed = files_of(tmp_path / "undisturbed")
    for pattern in ("_next-part-00001*", "_next-keys-*"):
        for damage in (Path.unlink, lambda path: path.write_bytes(path.read_bytes()[::-1])):
            where = tmp_path / f"{pattern[:7]}{damage}"
            stopped(where, context)
            damage(sorted(where.rglob(pattern))[0])
            export(where, context)
            assert files_of(where) == undisturbed
    assert caplog.text.count("missing: starting over") == 4
    assert "Resuming" not in caplog.text


def test_a_key_that_comes_again_after_the_closed_parts_is_an_error(
    tmp_path: Path, context: dict[str, Any], connect: Callable[..., None]
) -> None:
    with Sandbox(rows=ROWS) as before:
        connect(before, token_cache="memory")
        stopped(tmp_path, context)
    rows = [*ROWS, {**ROWS[2], "trade_time": "2026-01-15T12:00:00Z"}]
    with (
        Sandbox(rows=rows, port=int(before.url.rpartition(":")[2])),
        pytest.raises(HyperoruContractError, match="different times"),
    ):
        export(tmp_path, context)


def test_rows_that_fail_their_proof_are_not_kept(
    tmp_path: Path, context: dict[str, Any], server: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """An advice to export again once the list has settled would be void if its unsettled rows were kept."""
    caplog.set_level(logging.INFO)
    stopped(tmp_path, context)
    server.set_faults(false_success=True)
    with pytest.raises(HyperoruContractError):
        export(tmp_path, context)
    server.reset()
    caplog.clear()
    export(tmp_path, context)
    assert "Resuming" not in caplog.text


def test_a_server_that_is_down_costs_nothing_of_it(
    tmp_path: Path, context: dict[str, Any], server: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    stopped(tmp_path, context)
    server.set_faults(error_rate=1.0)
    with pytest.raises(HyperoruServerError):
        export(tmp_path, context)
    server.reset()
    caplog.set_level(logging.INFO)
    export(tmp_path, context)
    assert "Resuming" in caplog.text


def test_what_is_a_day_old_starts_over(
    tmp_path: Path, context: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    stopped(tmp_path, context)
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=25)):
        export(tmp_path, context)
    assert "starting over" in caplog.text


def test_what_is_dated_in_the_future_starts_over(
    tmp_path: Path, context: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """It would be resumed for ever; a clock that is a little ahead is no reason."""
    caplog.set_level(logging.INFO)
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=4)):
        stopped(tmp_path / "a", context)
    export(tmp_path / "a", context)
    assert "Resuming" in caplog.text
    with time_machine.travel(datetime.now(UTC) + timedelta(days=400)):
        stopped(tmp_path / "b", context)
    export(tmp_path / "b", context)
    assert "starting over" in caplog.text


def test_the_age_is_that_of_the_first_part(
    tmp_path: Path, context: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert killed_at("part-00001", tmp_path, context)
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=23)):
        assert killed_at("part-00002", tmp_path, context)
    assert "Resuming" in caplog.text
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=25)):
        export(tmp_path, context)
    assert "starting over" in caplog.text


def test_a_cleared_task_exports_again(tmp_path: Path, context: dict[str, Any], server: Sandbox) -> None:
    export(tmp_path, context)
    asked = server.stats()["requests"]
    export(tmp_path, context)
    assert server.stats()["requests"] == 2 * asked - 1  # the login


@pytest.mark.parametrize("failing", ["get", "set", "delete"])
def test_a_store_that_fails_costs_a_warning(tmp_path: Path, failing: str, caplog: pytest.LogCaptureFixture) -> None:
    export(tmp_path / "undisturbed", {})
    context = {"task_state_store": TaskStates(failing)}
    for _ in range(2):
        caplog.clear()
        export(tmp_path / "export", context)
        assert "the store is away" in caplog.text
        assert files_of(tmp_path / "export") == files_of(tmp_path / "undisturbed")


@pytest.mark.parametrize("state", ["[]", "{}", '{"digest": 1, "begun_at": "x"}', '"text"', "1"])
def test_a_state_that_is_none_starts_over(tmp_path: Path, state: str) -> None:
    states = WatchedStates()
    stopped(tmp_path / "export", {"task_state_store": states})
    (name,) = states.texts
    states.texts[name] = state
    export(tmp_path / "export", {"task_state_store": states})
    assert not states.texts


def test_the_state_is_small_and_holds_no_secret(tmp_path: Path, server: Sandbox) -> None:
    states = WatchedStates()
    stopped(tmp_path, {"task_state_store": states})
    (text,) = states.texts.values()
    assert states.retentions == [timedelta(days=1)] * 2
    assert len(text) < 800
    assert server.password not in text
    assert server.email not in text


@pytest.mark.parametrize("key", ["a\0b", 2**70])
def test_a_key_that_a_store_may_refuse_is_noted_as_text(
    tmp_path: Path, connect: Callable[..., None], key: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    rows = list(ROWS)
    rows[28] = {**rows[28], "trade_time": "2026-01-15T00:06:30Z"}
    rows[29] = {**rows[29], "trade_time": "2026-01-15T00:06:31Z", "trade_id": key}  # the last row of the second part
    states = WatchedStates()
    with Sandbox(rows=rows) as sandbox:
        connect(sandbox, token_cache="memory", max_retries=0)
        stopped(tmp_path / "export", {"task_state_store": states})
        (text,) = states.texts.values()
        assert storable(json.loads(text)) == json.loads(text)
        export(tmp_path / "export", {"task_state_store": states})
        assert "Resuming after" in caplog.text
        export(tmp_path / "undisturbed", {})
    assert files_of(tmp_path / "export") == files_of(tmp_path / "undisturbed")
