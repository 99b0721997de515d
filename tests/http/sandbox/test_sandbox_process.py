"""Start and stop, in a thread and as a process."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time

import httpx
import pytest

from hyperoru_provider.sandbox import Sandbox
from hyperoru_provider.sandbox.__main__ import main

COMMAND = [sys.executable, "-m", "hyperoru_provider.sandbox"]


def test_starts_and_stops_at_once():
    with Sandbox():
        pass  # the first one pays for imports
    before = time.perf_counter()
    with Sandbox() as sandbox, httpx.Client(base_url=sandbox.url) as client:
        client.get("/api/health")
        assert time.perf_counter() - before < 0.3
        before = time.perf_counter()
        sandbox.stop()
        assert time.perf_counter() - before < 0.2
        with pytest.raises(httpx.TransportError):
            client.get("/api/health")


def test_stops_although_an_answer_is_held_back():
    with Sandbox(latency=30) as sandbox:
        failures = []

        def ask() -> None:
            try:
                httpx.get(sandbox.url + "/api/health", timeout=30)
            except httpx.TransportError as error:
                failures.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        while sandbox.stats()["requests"] == 0:
            time.sleep(0.01)
        before = time.perf_counter()
        sandbox.stop()
        asking.join(2)
        assert time.perf_counter() - before < 1
        assert len(failures) == 1


def test_a_stopped_sandbox_can_start_again_on_its_port():
    before = set(threading.enumerate())
    sandbox = Sandbox()
    for _ in range(2):
        with sandbox:
            assert httpx.get(sandbox.url + "/api/health").status_code == 200
    assert set(threading.enumerate()) <= before


def test_several_at_once_do_not_share_anything():
    with Sandbox(cap=1) as first, Sandbox(email="ann", password="other") as second:
        assert first.url != second.url
        login = {"username": "ann", "password": "other"}
        assert httpx.post(second.url + "/api/users/login", json=login).status_code == 200
        assert httpx.post(first.url + "/api/users/login", json=login).status_code == 401
        assert (second.faults.cap, second.stats()["logins"], first.stats()["logins"]) == (None, 1, 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command_line(number, tmp_path):
    path = tmp_path / "rows.ndjson"
    path.write_bytes(b'{"trade_id":1,"account_id":1,"symbol":"BTC","trade_time":"2025-01-01T00:00:00Z"}\n')
    options = ["--data", str(path), "--email", "ann@example.com", "--password", "pw", "--latency", "0.01"]
    options += ["--fault", "envelope=data", "--fault", 'ignore_params=["page"]', "--retry-after", "3", "--pace", "2.5"]
    with subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        url = re.fullmatch(
            r"Hyperoru sandbox: (http://127\.0\.0\.1:\d+) \(login ann@example\.com, password pw\)\n", line
        )[1]
        faults = httpx.get(url + "/__sandbox__/faults").json()
        assert {name: faults[name] for name in ("envelope", "latency", "ignore_params", "retry_after", "pace")} == {
            "envelope": "data",
            "latency": 0.01,
            "ignore_params": ["page"],
            "retry_after": 3,
            "pace": 2.5,
        }
        before = time.perf_counter()
        process.send_signal(number)
        assert process.wait(5) == 0
        assert time.perf_counter() - before < 1
        assert (process.stdout.read(), process.stderr.read()) == ("", "")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--data", "missing.ndjson"], "missing.ndjson"),
        (["--fault", "nonsense=1"], "nonsense"),
        (["--fault", "cap=none"], "cap"),
        (["--fault", "cap"], "NAME=JSON"),
        (["--port", "many"], "many"),
        (["--error-rate", "2"], "error_rate"),
        (["--host", "0.0.0.0"], "--allow-remote"),
    ],
)
def test_command_line_errors_are_one_line(arguments, named, capsys, monkeypatch):
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert named in said.err


def test_port_in_use_is_an_error():
    with Sandbox() as sandbox:
        port = sandbox.url.rsplit(":", 1)[1]
        done = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
