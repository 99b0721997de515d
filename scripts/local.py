"""What demo.py and ui.py share: a sandbox, and an Airflow that knows nothing of another one on this machine."""

# ruff: noqa: S603, T201

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

ROOT = Path(__file__).resolve().parents[1]
MADE = Path(os.environ.get("DEMO_DIRECTORY", ROOT / ".demo"))
CONNECTION = "hyperoru_default"
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Sandbox(NamedTuple):
    """A running sandbox.

    :param url: where it listens.
    :param connection: an Airflow connection to it.
    """

    url: str
    connection: dict[str, object]

    def logins(self) -> int:
        """Say how often somebody logged in."""
        return int(json.loads(fetch(f"{self.url}/__sandbox__/stats"))["logins"])


@contextmanager
def sandbox() -> Iterator[Sandbox]:
    """Run a sandbox on a free port."""
    login, password = "demo@hyperoru.example", "demo-password"
    command = ["-m", "hyperoru_provider.sandbox", "--port", "0", "--email", login, "--password", password]
    with running([sys.executable, *command], stdout=subprocess.PIPE, text=True) as server:
        found = re.search(r"http://\S+", server.stdout.readline() if server.stdout else "")
        if not found:
            sys.exit("The sandbox did not start.")
        # The test button of Airflow 3.3.2 refuses a connection that has no port of its own.
        host, _, port = found[0].rpartition(":")
        connection = {"conn_type": "hyperoru", "host": host, "port": int(port), "login": login, "password": password}
        yield Sandbox(found[0], connection)


def airflow_environment(home: Path, exports: Path | str, **settings: object) -> dict[str, str]:
    """Give the environment of an Airflow with the example DAGs, without any setting of the user's own Airflow.

    :param home: its directory, made if need be.
    :param exports: where the example DAGs write.
    :param settings: further options of Airflow, such as ``core__test_connection``.
    """
    home.mkdir(parents=True, exist_ok=True)
    settings = {"core__dags_folder": ROOT / "example_dags", "core__load_examples": False, **settings}
    return {
        **{name: value for name, value in os.environ.items() if not name.lstrip("_").startswith("AIRFLOW_")},
        **{f"AIRFLOW__{name.upper()}": str(value) for name, value in settings.items()},
        "AIRFLOW_HOME": str(home),
        "HYPERORU_EXPORTS": str(exports),
        "HYPERORU_DUCKDB": str(home / "trades.duckdb"),
        # standalone looks for the command "airflow"
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        **{name: f"{os.environ.get(name, '')},127.0.0.1,localhost".lstrip(",") for name in ("NO_PROXY", "no_proxy")},
    }


def airflow(*arguments: str) -> list[str]:
    """Give a command of Airflow."""
    return [sys.executable, "-m", "airflow", *arguments]


@contextmanager
def running(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """Run a command in the background. It ends with the block, and with it all that it started."""
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, start_new_session=True, **options)
    try:
        yield process
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # an impatient second Ctrl-C would leave some of them behind
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(6)
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        signal.signal(signal.SIGINT, signal.default_int_handler)


def run(main: Callable[[], int]) -> NoReturn:
    """Run a script's main function so that Ctrl-C, a kill or a closed terminal ends all that it started."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nStopped.")
        sys.exit(130)


def fetch(url: str) -> bytes:
    """Get what this machine serves."""
    with _DIRECT.open(url, timeout=5) as answer:
        return bytes(answer.read())
