from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from hyperoru_provider.client import HyperoruClient
from hyperoru_provider.client.http import tokens
from hyperoru_provider.client.http.retry import RetryPolicy
from hyperoru_provider.client.http.tokens import MemoryTokenStore
from hyperoru_provider.sandbox import Sandbox
from tests import authorities
from tests.databases import Database, in_file, in_mariadb, in_schema

# a machine under load is slow now and then, which says nothing about the code
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("default")

FAST = RetryPolicy(max_retries=8, initial_delay=0.001, max_delay=0.01)


@pytest.fixture(autouse=True, scope="session")
def own_temp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what tests leave in the temp directory, such as lock files, together."""
    before, tempfile.tempdir = tempfile.tempdir, str(tmp_path_factory.mktemp("temp"))
    yield
    tempfile.tempdir = before


@pytest.fixture(autouse=True, scope="session")
def one_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Trust one certificate authority in place of all: each client loads them, and nothing here asks the internet."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(authorities.one_authority(tmp_path_factory.mktemp("authorities"))))
        yield


@pytest.fixture(autouse=True, scope="session")
def binding_rounds() -> Iterator[int]:
    """Let the digest that is slow on purpose be quick, as each of thousands of clients needs one; else a fifth of the
    time of tests goes there. Gives the rounds of other processes, and of production."""
    rounds = tokens.BINDING_ROUNDS
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens, "BINDING_ROUNDS", 1)
        yield rounds


@pytest.fixture(autouse=True)
def fresh_memory() -> Iterator[None]:
    """Each test begins as a new process does: without tokens."""
    MemoryTokenStore().clear()
    yield
    MemoryTokenStore().clear()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def client_of() -> Iterator[Callable[..., HyperoruClient]]:
    """Make clients of a sandbox which wait milliseconds where others wait seconds."""
    clients = []

    def make(sandbox: Sandbox, **options: Any) -> HyperoruClient:
        defaults: dict[str, Any] = {"email": sandbox.email, "password": sandbox.password, "retry_policy": FAST}
        clients.append(HyperoruClient(sandbox.url, **defaults | options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make a sandbox the connection ``hyperoru_default``."""

    def set_connection(sandbox: Sandbox, **extra: Any) -> None:
        connection = {
            "conn_type": "hyperoru",
            "host": sandbox.url,
            "login": sandbox.email,
            "password": sandbox.password,
            "extra": extra,
        }
        monkeypatch.setenv("AIRFLOW_CONN_HYPERORU_DEFAULT", json.dumps(connection))

    return set_connection


@pytest.fixture(params=["postgres", "sqlite", "mariadb"])
def database(request: pytest.FixtureRequest) -> Database:
    found: Database = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def postgres() -> Iterator[Database]:
    with in_schema() as database:
        yield database


@pytest.fixture
def mariadb() -> Iterator[Database]:
    with in_mariadb("mysql-connector-python") as database:
        yield database


@pytest.fixture
def mysqlclient() -> Iterator[Database]:
    """The same database by the driver that Airflow's hook takes by default, and that no wheel brings to Linux."""
    with in_mariadb("mysqlclient") as database:
        yield database


@pytest.fixture
def sqlite(tmp_path: Path) -> Database:
    return in_file(tmp_path / "test.db")
