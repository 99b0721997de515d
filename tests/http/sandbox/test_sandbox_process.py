"""Start and stop, in a thread and as a process."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from hyperoru_provider.sandbox import Sandbox
from hyperoru_provider.sandbox.__main__ import main

COMMAND = [sys.executable, "-m", "hyperoru_provider.sandbox"]


def test_starts_and_stops_at_once() -> None:
    def start_and_stop() -> tuple[float, float]:
        with httpx.Client(verify=False) as client:
            begun = time.perf_counter()
            with Sandbox() as sandbox:
                client.get(sandbox.url + "/api/health")
                served = time.perf_counter()
                sandbox.stop()
                stopped = time.perf_counter()
                with pytest.raises(httpx.TransportError):
                    client.get(sandbox.url + "/api/health")
        return served - begun, stopped - served

    starts, stops = zip(*(start_and_stop() for _ in range(5)), strict=True)
    assert min(starts) < 0.1
    assert min(stops) < 0.1


def test_stops_although_an_answer_is_held_back() -> None:
    with Sandbox(latency=60) as sandbox:
        failures = []

        def ask() -> None:
            try:
                httpx.get(sandbox.url + "/api/health", timeout=60)
            except httpx.TransportError as error:
                failures.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        while sandbox.stats()["requests"] == 0:
            time.sleep(0.01)
        before = time.perf_counter()
        sandbox.stop()
        asking.join(20)
        assert time.perf_counter() - before < 20  # the answer is held back for longer
        assert len(failures) == 1


def test_a_stopped_sandbox_can_start_again_on_its_port() -> None:
    before = set(threading.enumerate())
    sandbox = Sandbox()
    for _ in range(2):
        with sandbox:
            assert httpx.get(sandbox.url + "/api/health").status_code == 200
    assert set(threading.enumerate()) <= before


def test_several_at_once_do_not_share_anything() -> None:
    with Sandbox(cap=1) as first, Sandbox(email="ann", password="other") as second:
        assert first.url != second.url
        login = {"username": "ann", "password": "other"}
        assert httpx.post(second.url + "/api/users/login", json=login).status_code == 200
        assert httpx.post(first.url + "/api/users/login", json=login).status_code == 401
        assert (second.faults.cap, second.stats()["logins"], first.stats()["logins"]) == (None, 1, 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command_line(number: signal.Signals, tmp_path: Path) -> None:
    path = tmp_path / "rows.ndjson"
    path.write_bytes(b'{"trade_id":1,"account_id":1,"symbol":"BTC","trade_time":"2025-01-01T00:00:00Z"}\n')
    options = ["--data", str(path), "--email", "ann@example.com", "--password", "pw", "--latency", "0.01"]
    options += ["--fault", "envelope=data", "--fault", 'ignore_params=["page"]', "--retry-after", "3", "--pace", "2.5"]
    with subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        started = re.fullmatch(
            r"Hyperoru sandbox: (http://127\.0\.0\.1:\d+) \(login ann@example\.com, password pw\)\n", line
        )
        assert started
        url = started[1]
        faults = httpx.get(url + "/__sandbox__/faults").json()
        assert {name: faults[name] for name in ("envelope", "latency", "ignore_params", "retry_after", "pace")} == {
            "envelope": "data",
            "latency": 0.01,
            "ignore_params": ["page"],
            "retry_after": 3,
            "pace": 2.5,
        }
        process.send_signal(number)
        assert process.wait(20) == 0
        assert (process.stdout.read(), process.stderr.read()) == ("", "")


def test_a_password_of_the_environment_is_not_printed() -> None:
    environment = {**os.environ, "HYPERORU_SANDBOX_PASSWORD": "hush"}
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        url, password = line.split()[2], line.partition("password ")[2]
        assert password == "of HYPERORU_SANDBOX_PASSWORD)\n"
        login = {"email": "demo@hyperoru.example", "password": "hush"}
        assert httpx.post(f"{url}/api/users/login", json=login).status_code == 200
        process.terminate()
        assert process.wait(20) == 0


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
def test_command_line_errors_are_one_line(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert named in said.err


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "websockets"])
def test_without_the_extra_the_import_names_it(package: str) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; import hyperoru_provider.sandbox"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert f"needs {package}: pip install 'airflow-provider-hyperoru[sandbox]'" in last


def test_port_in_use_is_an_error() -> None:
    with Sandbox() as sandbox:
        port = sandbox.url.rsplit(":", 1)[1]
        done = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
