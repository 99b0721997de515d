"""Airflow homes for tests: the database is migrated once, each test works on a copy."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

_FERNET_KEY = urlsafe_b64encode(secrets.token_bytes(32)).decode()
_JWT_SECRET = secrets.token_urlsafe(32)


def environment(home: Path, dags: Path, **more: str) -> dict[str, str]:
    """Say all that a process of this home needs to know; nothing of the caller's own Airflow is left in it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "_AIRFLOW"))}
    scratch = home / "scratch"
    scratch.mkdir(exist_ok=True)
    return {
        **kept,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__FERNET_KEY": _FERNET_KEY,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "false",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__API_AUTH__JWT_SECRET": _JWT_SECRET,
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "NO_PROXY": "127.0.0.1",
        "TMPDIR": str(scratch),
        "TZ": "UTC",
        **more,
    }


def connection(sandbox: Any, **extra: object) -> str:
    """Write a connection to a sandbox as ``AIRFLOW_CONN_...`` takes it."""
    return json.dumps(
        {
            "conn_type": "hyperoru",
            "host": sandbox.url,
            "login": sandbox.email,
            "password": sandbox.password,
            "extra": extra,
        }
    )


def migrated(directory: Path, **variables: str) -> Path:
    """Make a home and its database, unless it is there."""
    if not (directory / "airflow.cfg").exists():
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "airflow.cfg").touch()
        result = subprocess.run(
            [sys.executable, "-m", "airflow", "db", "migrate"],
            env=environment(directory, directory / "dags", **variables),
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        assert result.returncode == 0, result.stderr + result.stdout
    return directory


def copied(template: Path, home: Path) -> Path:
    """Copy the database, and leave all other settings at Airflow's defaults."""
    home.mkdir(parents=True)
    (home / "airflow.cfg").touch()
    shutil.copy(template / "airflow.db", home)
    return home


def fernet_key() -> str:
    """The key that encrypts the Variables of these homes."""
    return _FERNET_KEY
