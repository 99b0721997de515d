"""Waiting and events in a real Airflow with a triggerer, on SQLite and on PostgreSQL.

HYPERORU_MARKET_SECONDS says how long the market is watched, and HYPERORU_MARKET_PACE how many trades a second it makes;
``make market-test`` watches it for half an hour.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from hyperoru_provider.sandbox import Sandbox
from tests.airflow_home import connection, migrated
from tests.databases import of_one_own
from tests.exports import windows
from tests.listed import held
from tests.places import EXAMPLES
from tests.system.airflow_processes import AirflowProcesses

SECONDS = float(os.environ.get("HYPERORU_MARKET_SECONDS", "30"))
PACE = float(os.environ.get("HYPERORU_MARKET_PACE", "20"))
SEED = int(os.environ.get("HYPERORU_SEED", "1"))
PASSWORD = "market-pass-K4m7p2"
LIVE = "hyperoru_live_trades"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600 + 2 * SECONDS)]

HERE = Path(__file__).resolve().parent
EXAMPLE = EXAMPLES / f"{LIVE}.py"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(password=PASSWORD) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def since() -> datetime:
    """Where the exports begin."""
    return datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def airflow(
    request: pytest.FixtureRequest, sandbox: Sandbox, since: datetime, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AirflowProcesses]:
    """A running Airflow with a triggerer, the example DAG, and the DAGs of ``live/``."""
    home = tmp_path_factory.mktemp(request.param) / "home"
    dags = shutil.copytree(HERE / "live", home / "dags")
    shutil.copy(EXAMPLE, dags)
    with of_one_own() if request.param == "postgresql" else nullcontext() as url:
        database = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url} if url else {}
        airflow = AirflowProcesses(
            migrated(home, **database),
            dags,
            triggerer=True,
            AIRFLOW_CONN_HYPERORU_DEFAULT=connection(sandbox),
            HYPERORU_EXPORTS=(home / "exports").as_uri(),
            HYPERORU_SINCE=since.isoformat(),
            **database,
        )
        try:
            airflow.start()
            yield airflow
        finally:
            airflow.kill_all()


def test_every_sensor_waits_deferred(airflow: AirflowProcesses, sandbox: Sandbox) -> None:
    begun = datetime.now(UTC)
    sandbox.set_faults(error_rate=1)
    run_id = airflow.trigger("waiting", since=begun.isoformat(), until=(begun + timedelta(seconds=20)).isoformat())
    airflow.wait_for(lambda: states(airflow, "waiting").count("deferred") == 5, "each sensor to be deferred")
    time.sleep(5)  # a scheduler that is slow takes a task that comes back at once for one that was killed
    sandbox.set_faults(error_rate=0)
    airflow.wait_for(lambda: sandbox.stats()["sockets"]["open"], "the stream")
    sandbox.trade(2, account_id=5, side="SELL")
    airflow.finished("waiting", run_id)


def test_an_event_wakes_the_dag(airflow: AirflowProcesses, sandbox: Sandbox) -> None:
    settled(airflow)
    runs, begun = states(airflow, LIVE, "dag_run"), time.monotonic()
    sandbox.trade()
    airflow.wait_for(lambda: len(states(airflow, LIVE, "dag_run")) > len(runs), "the DAG to be woken")
    seconds = time.monotonic() - begun
    print(f"woken after {seconds:.1f} s")
    assert seconds < 10


def test_exports_are_what_the_market_traded(airflow: AirflowProcesses, sandbox: Sandbox, since: datetime) -> None:
    """Sockets are dropped, events lost, the triggerer is killed twice and the server restarted: no row is."""
    dice = random.Random(SEED)
    acts: list[Callable[[], None]] = [
        lambda: airflow.replace("triggerer"),
        lambda: restart(sandbox),
        lambda: airflow.replace("triggerer"),
    ]
    moments = sorted(dice.uniform(0.1, 0.8) * SECONDS for _ in acts)
    before = sandbox.stats()["sockets"]["opened"]
    sandbox.set_faults(pace=PACE, socket_drop_rate=0.005, socket_lose_rate=0.05, socket_duplicate_rate=0.05)
    begun = time.monotonic()
    while (now := time.monotonic() - begun) < SECONDS:
        if moments and now > moments[0]:
            moments.pop(0)
            acts.pop(0)()
        time.sleep(0.2)
    assert not acts
    sandbox.set_faults(pace=0, socket_drop_rate=0, socket_lose_rate=0)
    last = str(sandbox.trade()[0]["trade_id"]).encode()

    def complete() -> bool:
        return any(last in row for _, rows in windows(airflow.home / "exports")[-3:] for row in rows)

    airflow.wait_for(complete, "the last trade's export", every=1)
    settled(airflow)

    exports, opened = windows(airflow.home / "exports"), sandbox.stats()["sockets"]["opened"] - before
    rows = [row for _, rows in exports for row in rows]
    print(f"{SECONDS:.0f} s: {len(rows)} rows in {len(exports)} windows, {opened} sockets")
    assert opened  # it was lost, at least once: those who die at the same time lose one socket
    assert len(rows) > PACE / 2 * SECONDS
    assert all(one["end"] == next_one["start"] for (one, _), (next_one, _) in pairwise(exports))
    assert rows == held(sandbox, start=since.isoformat(), end=exports[-1][0]["end"])


def test_fifty_watchers_have_one_socket_and_their_own_events(airflow: AirflowProcesses, sandbox: Sandbox) -> None:
    """Those of ``live/watchers.py``, and the example's."""
    airflow.wait_for(lambda: sandbox.stats()["sockets"]["open"] == 1, "the last lost socket to be opened again")
    hints: dict[int, list[dict[str, Any]]] = {}

    def all_told() -> bool:
        sandbox.trade(100)
        sql = (
            "SELECT asset.name, asset_event.extra FROM asset_event JOIN asset ON asset.id = asset_id "
            "WHERE asset.name LIKE 'watched%'"
        )
        hints.clear()
        for name, extra in airflow.query(sql):
            payload = (json.loads(extra) if isinstance(extra, str) else extra)["payload"]
            if payload["count"]:
                hints.setdefault(int(name.removeprefix("watched_")), []).append(payload)
        return len(hints) == 50

    airflow.wait_for(all_told, "each watcher to have an event", every=2)
    for number, payloads in hints.items():
        assert {account_id for hint in payloads for account_id in hint["account_ids"]} == {number % 4 + 1}
    assert sandbox.stats()["sockets"]["open"] == 1


def test_no_secret_is_kept(airflow: AirflowProcesses) -> None:
    token = airflow.secret("hyperoru_session_token__hyperoru_default")["token"]
    seen = 0
    for place, text in airflow.everything():
        seen += 1
        assert not any(secret in text for secret in (PASSWORD.encode(), token[:20].encode())), place
    assert seen > 1_000


def states(airflow: AirflowProcesses, dag_id: str, table: str = "task_instance") -> list[str]:
    """The states of all runs of a DAG, or of their tasks."""
    return [state for (state,) in airflow.query(f"SELECT state FROM {table} WHERE dag_id = :dag_id", dag_id=dag_id)]


def settled(airflow: AirflowProcesses) -> None:
    """Wait until the DAG has run, and does not for some seconds."""

    def quiet() -> bool:
        before = states(airflow, LIVE, "dag_run")
        time.sleep(4)
        return set(before) == {"success"} and states(airflow, LIVE, "dag_run") == before

    airflow.wait_for(quiet, "the DAG to come to rest")


def restart(sandbox: Sandbox) -> None:
    sandbox.stop()
    time.sleep(2)
    sandbox.start()
