"""Run Airflow with its UI, the example DAGs, and connections to a sandbox and a SQLite file, until Ctrl-C."""

# ruff: noqa: S603, T201

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import local

HOME = local.MADE / "airflow-ui"
LOG = local.MADE / "airflow-ui.log"


def main() -> int:
    """Run it all."""
    wanted = os.environ.get("PORT")
    port = free_port(int(wanted or 8080))
    if wanted and port != int(wanted):
        sys.exit(f"Port {wanted} is taken. Without PORT, a free one is used.")
    with local.sandbox() as sandbox:
        print(f"The sandbox is {sandbox.url}. Starting Airflow in {HOME.relative_to(local.ROOT)}", flush=True)
        database = {"conn_type": "sqlite", "host": str(HOME / "trades.db")}
        catalog = {"type": "sql", "uri": f"sqlite:///{HOME}/iceberg.db", "warehouse": (HOME / "iceberg").as_uri()}
        with standalone(
            HOME,
            str(local.MADE / "exports-ui"),
            LOG,
            port,
            {
                local.CONNECTION: sandbox.connection,
                "hyperoru_sql": database,
                "iceberg_default": {"conn_type": "iceberg", "extra": catalog},
            },
            core__simple_auth_manager_all_admins=True,  # nobody but this machine gets there
        ) as process:
            print(
                f"Open {address(port)} - everybody is an admin there, without a password. Ctrl-C ends it.", flush=True
            )
            process.wait()
            fail(LOG)
    return 1


def address(port: int) -> str:
    """Say where the UI is."""
    return f"http://127.0.0.1:{port}"


@contextmanager
def standalone(
    home: Path, exports: str, log: Path, port: int, connections: Mapping[str, object], **settings: object
) -> Iterator[subprocess.Popen[Any]]:
    """Run ``airflow standalone`` with the example DAGs; the block begins when its UI answers.

    :param home: its directory, made if need be.
    :param exports: where the example DAGs write.
    :param log: the file for what it prints.
    :param port: of its UI.
    :param connections: what its database is to know, by their ids.
    :param settings: further options of Airflow, such as ``core__simple_auth_manager_users``.
    """
    url = address(port)
    environment = local.airflow_environment(
        home,
        exports,
        api__host="127.0.0.1",
        api__port=port,
        api__base_url=url,
        core__execution_api_server_url=f"{url}/execution/",
        core__parallelism=4,
        core__test_connection="Enabled",
        logging__worker_log_server_port=free_port(8793),
        logging__trigger_log_server_port=free_port(8794),
        **settings,
    )
    with log.open("wb") as output:
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory, "connections.json")
            file.write_text(json.dumps(connections))
            for command in (("db", "migrate"), ("connections", "import", "--overwrite", str(file))):
                ended = subprocess.run(
                    local.airflow(*command), env=environment, stdout=output, stderr=output, check=False
                )
                if ended.returncode:
                    fail(log)
        with local.running(local.airflow("standalone"), env=environment, stdout=output, stderr=output) as process:
            deadline = time.monotonic() + 180
            while not answers(url):
                if process.poll() is not None or time.monotonic() > deadline:
                    fail(log)
                time.sleep(1)
            yield process


def answers(url: str) -> bool:
    """Say whether the UI is there."""
    try:
        return bool(local.fetch(f"{url}/api/v2/monitor/health"))
    except OSError:
        return False


def free_port(wanted: int) -> int:
    """Give this port, or another one if it is taken."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("There is no free port.")


def fail(log: Path) -> NoReturn:
    """End, with the end of the log."""
    print(*log.read_text(errors="replace").splitlines()[-40:], sep="\n", file=sys.stderr)
    sys.exit(f"\nAirflow did not start, or ended. These are the last lines of {log}.")


if __name__ == "__main__":
    local.run(main)
