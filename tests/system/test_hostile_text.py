"""A server whose text no database takes, and which repeats secrets, in a real Airflow on PostgreSQL at DEBUG.

It harms nobody's DAGs, and no canary is anywhere that Airflow keeps something.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from hyperoru_provider.sandbox import Sandbox
from tests.airflow_home import connection, migrated
from tests.canaries import EMAIL, PASSWORD, TOKEN, echo, seen_in
from tests.databases import of_one_own
from tests.system.airflow_processes import AirflowProcesses

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

#: Airflow's supervisor writes what a task puts into a Variable, at DEBUG and as it is: see docs/security.md
_DEBUG = {"AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG", "AIRFLOW__LOGGING__NAMESPACE_LEVELS": "supervisor=INFO"}
HERE = Path(__file__).resolve().parent
NUL = "a\0b\x1b[2J\u202e"
ROW: dict[str, Any] = {
    "trade_id": 1,
    "account_id": 1,
    "account_name": NUL,
    "symbol": f"B{NUL}",
    "side": "BUY",
    "price": 1,
    "quantity": 1,
    "trade_time": "2026-01-15T08:00:00Z",
    f"new{NUL}": [{NUL: NUL}],
}
JOB = {"task_id": "j-1", "started_at": NUL, "note": NUL}


class _Answers(BaseHTTPRequestHandler):
    """Answers each call of the API with hostile text. A first question has an honest answer, so that a task defers."""

    asked: set[str]

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if self.path not in self.asked and "ETH" not in self.path and not path.endswith(("-tasks", "health")):
            self.asked.add(self.path)
            return self._answer(503, {"error": NUL + self._secrets, "code": NUL, "request_id": NUL + self._secrets})
        if path == "/api/crypto/price":
            if "ETH" in self.path:
                return self._answer(200, {"symbol": "ETH", "price": 1, "market": NUL})
            return self._answer(404, {"error": NUL + self._secrets, "code": NUL})
        if path.startswith("/api/klines/backfill/status/"):
            return self._answer(200, {**JOB, "status": "completed", "message": NUL})
        bodies: dict[str, Any] = {
            "/api/health": {"status": f"degr{NUL}aded"},
            "/api/arena/trades": {"success": False, "message": NUL + self._secrets},
            "/api/klines/coverage": [{"symbol": NUL, "interval": NUL, "earliest": NUL}],
            "/api/klines/backfill-tasks": {"tasks": []},
        }
        return self._answer(200, bodies[path])

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/api/users/login":
            return self._answer(200, {"session_token": TOKEN, "user": {"username": NUL + self._secrets}})
        return self._answer(200, {**JOB, "status": f"pen{NUL}ding"})

    @property
    def _secrets(self) -> str:
        """What the request holds, or the login before it did, as it was sent."""
        names = ["password", "email", *(["token"] if self.headers.get("Authorization") else [])]
        return f" {echo('as it is', *names)}; {echo('in base64', *names)}"

    def _answer(self, status: int, data: Any) -> None:
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Set-Cookie", f"session={TOKEN}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def hostile() -> Iterator[str]:
    _Answers.asked = set()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def strange() -> Iterator[Sandbox]:
    with given_token(), Sandbox(rows=[ROW], email=EMAIL, password=PASSWORD) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with given_token(), Sandbox(error_rate=1, email=EMAIL, password=PASSWORD) as sandbox:
        yield sandbox


@contextmanager
def given_token() -> Iterator[None]:
    """Let sandboxes give the canary token for each login."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hyperoru_provider.sandbox.state.secrets.token_urlsafe", lambda _: TOKEN)
        yield


@pytest.fixture(scope="module")
def commands() -> set[str]:
    """The command lines of all processes while Airflow runs."""
    return set()


@pytest.fixture(scope="module")
def airflow(
    sandbox: Sandbox, strange: Sandbox, hostile: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AirflowProcesses]:
    """A running Airflow with a triggerer, on PostgreSQL."""
    home = tmp_path_factory.mktemp("hostile") / "home"
    to_hostile = {"conn_type": "hyperoru", "host": hostile, "login": EMAIL, "password": PASSWORD}
    with of_one_own() as url:
        database = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url, **_DEBUG}
        airflow = AirflowProcesses(
            migrated(home, **database),
            HERE / "hostile",
            triggerer=True,
            AIRFLOW_CONN_HYPERORU_DEFAULT=connection(sandbox),
            AIRFLOW_CONN_STRANGE=connection(strange),
            AIRFLOW_CONN_HOSTILE=json.dumps({**to_hostile, "extra": {"token_cache": "memory", "max_retries": 0}}),
            **database,
        )
        try:
            airflow.start()
            yield airflow
        finally:
            airflow.kill_all()


def test_one_nul_does_not_end_the_triggerer_for_everybody(
    airflow: AirflowProcesses, sandbox: Sandbox, strange: Sandbox, commands: set[str]
) -> None:
    bystander = airflow.trigger("bystander")
    airflow.wait_for(lambda: tasks(airflow, "bystander") == {"waits": "deferred"}, "the bystander to be deferred")
    runs = {dag_id: airflow.trigger(dag_id) for dag_id in ("hostile_answers", "hostile_rows", "hostile_results")}

    def all_over() -> bool:
        commands.update(" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))
        if strange.stats()["sockets"]["open"]:
            strange.trade(symbol=ROW["symbol"])
        return all(tasks(airflow, dag_id) and over(airflow, dag_id) for dag_id in runs)

    airflow.wait_for(all_over, "all that asked to be over", every=1)
    assert tasks(airflow, "hostile_answers") == dict.fromkeys(["price", "health", "trades", "coverage"], "failed")
    assert tasks(airflow, "hostile_rows") == dict.fromkeys(["event", "traders", "rows"], "success")
    assert tasks(airflow, "hostile_results") == dict.fromkeys(["market", "backfill"], "success")

    sandbox.set_faults(error_rate=0)
    airflow.finished("bystander", bystander)


def test_what_was_sent_is_in_the_database_escaped(airflow: AirflowProcesses) -> None:
    results = dict(airflow.query("SELECT task_id, value FROM xcom WHERE key = 'return_value'"))
    assert results["event"]["symbols"] == ["Ba\\x00b\\x1b[2J\\u202e"]
    assert results["rows"][0]["account_name"] == results["traders"][0]["name"] == "a\\x00b\\x1b[2J\u202e"
    assert results["market"][0]["market"] == results["backfill"]["started_at"] == "a\\x00b\\x1b[2J\u202e"


def test_the_log_of_a_task_says_escaped_why_it_failed(airflow: AirflowProcesses) -> None:
    logs = "".join(path.read_text() for path in (airflow.home / "logs" / "dag_id=hostile_answers").rglob("*.log"))
    for said in ("The server answered 404: a\\x00b\\x1b[2J", "The service is degra\\x00b"):
        assert json.dumps(said)[1:-1] in logs, said


def test_no_canary_is_in_the_database_a_log_a_file_or_a_command_line(
    airflow: AirflowProcesses, commands: set[str]
) -> None:
    assert airflow.secret("hyperoru_session_token__strange")["token"] == TOKEN  # so this is what is to be searched for
    places = 0
    for place, content in airflow.everything():
        places += 1
        assert not seen_in(content.decode("latin-1")), place
    assert places > 1_000
    assert any("airflow" in command for command in commands)
    assert not seen_in("\n".join(commands))


def tasks(airflow: AirflowProcesses, dag_id: str) -> dict[str, str]:
    """The states of a DAG's tasks."""
    return dict(airflow.query("SELECT task_id, state FROM task_instance WHERE dag_id = :dag_id", dag_id=dag_id))


def over(airflow: AirflowProcesses, dag_id: str) -> bool:
    return set(tasks(airflow, dag_id).values()) <= {"success", "failed"}
