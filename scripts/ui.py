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
from pathlib import Path

import local

HOME = local.MADE / "airflow-ui"
LOG = local.MADE / "airflow-ui.log"


def main() -> int:
    """Run it all."""
    wanted = os.environ.get("PORT")
    port = free_port(int(wanted or 8080))
    if wanted and port != int(wanted):
        sys.exit(f"Port {wanted} is taken. Without PORT, a free one is used.")
    url = f"http://127.0.0.1:{port}"
    environment = local.airflow_environment(
        HOME,
        local.MADE / "exports-ui",
        api__host="127.0.0.1",
        api__port=port,
        api__base_url=url,
        core__execution_api_server_url=f"{url}/execution/",
        core__parallelism=4,
        core__simple_auth_manager_all_admins=True,  # nobody but this machine gets there
        core__test_connection="Enabled",
        logging__worker_log_server_port=free_port(8793),
        logging__trigger_log_server_port=free_port(8794),
    )
    with LOG.open("wb") as log, local.sandbox() as sandbox:
        print(f"The sandbox is {sandbox.url}. Preparing Airflow's database in {HOME.relative_to(local.ROOT)}")
        with tempfile.TemporaryDirectory() as directory:
            connections = Path(directory, "connections.json")
            database = {"conn_type": "sqlite", "host": str(HOME / "trades.db")}
            connections.write_text(json.dumps({local.CONNECTION: sandbox.connection, "hyperoru_sql": database}))
            for command in (("db", "migrate"), ("connections", "import", "--overwrite", str(connections))):
                ended = subprocess.run(local.airflow(*command), env=environment, stdout=log, stderr=log, check=False)
                if ended.returncode:
                    fail()
        print("Starting Airflow", end="", flush=True)
        with local.running(local.airflow("standalone"), env=environment, stdout=log, stderr=log) as standalone:
            deadline = time.monotonic() + 180
            while not answers(url):
                if standalone.poll() is not None or time.monotonic() > deadline:
                    fail()
                print(".", end="", flush=True)
                time.sleep(1)
            print(f"\nOpen {url} - everybody is an admin there, without a password. Ctrl-C ends it.", flush=True)
            standalone.wait()
        fail()
    return 1


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


def fail() -> None:
    """End, with the end of the log."""
    print(*LOG.read_text(errors="replace").splitlines()[-40:], sep="\n", file=sys.stderr)
    sys.exit(f"\nAirflow did not start, or ended. These are the last lines of {LOG.relative_to(local.ROOT)}.")


if __name__ == "__main__":
    local.run(main)
