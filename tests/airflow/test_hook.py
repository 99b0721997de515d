"""From an Airflow connection to clients, and the test of a connection."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk import Variable

from hyperoru_provider import client as client_package
from hyperoru_provider.client import HyperoruClient
from hyperoru_provider.client.errors import HyperoruConfigError
from hyperoru_provider.client.http.tokens import MemoryTokenStore, Token
from hyperoru_provider.get_provider_info import get_provider_info
from hyperoru_provider.hooks import hyperoru as module
from hyperoru_provider.hooks import token_store
from hyperoru_provider.hooks.hyperoru import HyperoruHook
from hyperoru_provider.hooks.token_store import VariableTokenStore
from hyperoru_provider.sandbox import Sandbox

Connect = Callable[..., None]


class Variables:
    """Airflow's Variables as a task sees them, without a metadata database."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def get(self, key: str, default: Any = None, deserialize_json: bool = False) -> Any:
        value = self.values.get(key)
        return default if value is None else json.loads(value) if deserialize_json else value

    def set(self, key: str, value: Any, description: str | None = None, serialize_json: bool = False) -> None:
        self.values[key] = json.dumps(value) if serialize_json else value


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Variables:
    stand_in = Variables()
    monkeypatch.setattr(Variable, "get", stand_in.get)
    monkeypatch.setattr(Variable, "set", stand_in.set)
    return stand_in


@pytest.fixture
def arguments(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The arguments of the client that was made last."""
    noted: dict[str, Any] = {}

    class NotingClient(HyperoruClient):
        def __init__(self, **arguments: Any) -> None:
            noted.update(arguments)
            super().__init__(**arguments)

    monkeypatch.setattr(client_package, "HyperoruClient", NotingClient)
    return noted


@pytest.fixture
def other_process(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let this process know no token any more, as another one does not."""

    def forget() -> None:
        monkeypatch.setattr(MemoryTokenStore, "read", lambda self, binding: None)

    return forget


@pytest.fixture
def masked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    seen: list[str] = []
    for user in (module, token_store):
        monkeypatch.setattr(user, "mask_secret", seen.append)
    return seen


def set_uri(monkeypatch: pytest.MonkeyPatch, value: Any) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_HYPERORU_DEFAULT", value if isinstance(value, str) else json.dumps(value))


def test_a_client_of_the_connection(
    connect: Connect, sandbox: Sandbox, variables: Variables, arguments: dict[str, Any]
) -> None:
    bounds = {"max_answer_seconds": 20, "max_answer_bytes": "1e6"}
    connect(sandbox, timeout="7.5", max_retries=2, requests_per_second=3, **bounds)
    hook = HyperoruHook()
    with hook.get_conn() as client:
        assert isinstance(client, HyperoruClient)
        assert hook.get_conn() is client
        assert client.profile().email == sandbox.email
    assert (arguments["timeout"], arguments["retry_policy"].max_retries) == (7.5, 2)
    assert arguments["requests_per_second"] == 3
    assert (arguments["max_answer_seconds"], arguments["max_answer_bytes"]) == (20, 1_000_000)
    again = hook.get_conn()
    assert again is not client
    assert again.profile().email == sandbox.email


def test_an_async_client_of_the_connection(connect: Connect, sandbox: Sandbox, variables: Variables) -> None:
    connect(sandbox)

    async def run() -> str | None:
        async with HyperoruHook().get_async_conn() as client:
            return (await client.profile()).email

    assert asyncio.run(run()) == sandbox.email
    assert variables.values


def test_making_a_hook_asks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_HYPERORU_DEFAULT", raising=False)
    HyperoruHook("no_such_connection")


@pytest.mark.parametrize(
    ("parts", "url"),
    [
        ({}, "https://api.production.hyperoru.com"),
        ({"host": "api.example.com"}, "https://api.example.com"),
        ({"host": "https://api.example.com/"}, "https://api.example.com"),
        ({"host": "http://127.0.0.1:8080/prefix"}, "http://127.0.0.1:8080/prefix"),
        ({"host": "api.example.com", "schema": "http", "port": 8080}, "http://api.example.com:8080"),
        ({"host": "https://api.example.com/prefix", "port": 8443}, "https://api.example.com:8443/prefix"),
        ({"host": "https://api.example.com:1", "port": 2}, "https://api.example.com:1"),
        ({"host": "https://[::1]", "port": 2}, "https://[::1]:2"),
        ({"host": "::1", "schema": "http", "port": 8099}, "http://[::1]:8099"),
        ({"host": "[::1]", "schema": "http", "port": 8099}, "http://[::1]:8099"),
        ({"host": "http://::1/prefix", "port": 8099}, "http://[::1]:8099/prefix"),
        ({"host": "2001:db8::1"}, "https://[2001:db8::1]"),
        ({"host": "api.example.com", "port": 0}, "https://api.example.com"),
    ],
)
def test_the_base_url(monkeypatch: pytest.MonkeyPatch, parts: dict[str, Any], url: str) -> None:
    set_uri(monkeypatch, {"conn_type": "hyperoru", **parts})
    assert HyperoruHook().get_conn().base_url == url


def test_a_connection_uri(monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any]) -> None:
    set_uri(monkeypatch, "hyperoru://me%40x.com:pw@127.0.0.1:8080/http?timeout=3")
    client = HyperoruHook().get_conn()
    assert client.base_url == "http://127.0.0.1:8080"
    assert arguments["timeout"] == 3


def test_a_connection_uri_with_an_ipv6_address(monkeypatch: pytest.MonkeyPatch) -> None:
    set_uri(monkeypatch, "hyperoru://u:p@[::1]:8099/http")
    assert HyperoruHook().get_conn().base_url == "http://[::1]:8099"


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        ({"timeout": "soon"}, "timeout"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"timeout": float("inf")}, "timeout"),
        ({"max_answer_seconds": 0}, "max_answer_seconds"),
        ({"max_answer_bytes": 999}, "max_answer_bytes"),
        ({"max_retries": -1}, "max_retries"),
        ({"requests_per_second": "nan"}, "requests_per_second"),
        ({"token_cache": "disk"}, "token_cache"),
        ({"session_token": 5}, "session_token"),
        ({"headers": "{"}, "headers"),
        ({"headers": ["x"]}, "headers"),
        ({"headers": {"X-Key": 5}}, "headers: the value of X-Key"),
        ({"headers": {"Authorization": "Basic x"}}, "headers: 'Authorization' can't be set"),
        ({"verify": 5}, "verify"),
        ({"verify": "/no/such.pem"}, "verify names '/no/such.pem', which can't be read"),
        ({"contract": "{"}, "contract"),
        ({"contract": [1]}, "contract"),
        ({"contract": {"trades": {"pagin": "page"}}}, "contract.trades.pagin"),
        ({"contract": '{"trades": {"paging": "x"}}'}, "contract.trades.paging"),
    ],
)
def test_a_wrong_extra_is_named(monkeypatch: pytest.MonkeyPatch, extra: dict[str, Any], named: str) -> None:
    set_uri(monkeypatch, {"conn_type": "hyperoru", "extra": extra})
    with pytest.raises(HyperoruConfigError, match=named):
        HyperoruHook().get_conn()


def test_empty_form_fields_are_defaults(monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any]) -> None:
    names = ("session_token", "token_cache", "timeout", "max_retries", "requests_per_second", "contract")
    for nothing in (None, ""):
        set_uri(monkeypatch, {"conn_type": "hyperoru", "extra": dict.fromkeys(names, nothing)})
        HyperoruHook().get_conn()
        assert (arguments["timeout"], arguments["retry_policy"].max_retries) == (30.0, 8)


def test_the_contract_may_be_text(monkeypatch: pytest.MonkeyPatch) -> None:
    set_uri(monkeypatch, {"conn_type": "hyperoru", "extra": {"contract": '{"trades": {"path": "/x"}}'}})
    assert HyperoruHook().get_conn().contract.trades.path == "/x"


def test_the_variable_serves_other_processes(
    connect: Connect,
    sandbox: Sandbox,
    variables: Variables,
    masked: list[str],
    other_process: Callable[[], None],
) -> None:
    connect(sandbox)
    other_process()
    for _ in range(3):
        HyperoruHook().get_conn().profile()
    assert sandbox.stats()["logins"] == 1
    ((key, value),) = variables.values.items()
    assert "token" in key  # Airflow hides the value of such a name
    token = json.loads(value)["token"]
    assert token in masked
    assert sandbox.password not in value


def test_memory_alone_leaves_no_variable(
    connect: Connect, sandbox: Sandbox, variables: Variables, masked: list[str]
) -> None:
    connect(sandbox, token_cache="memory")
    HyperoruHook().get_conn().profile()
    assert not variables.values
    HyperoruHook().get_conn().profile()
    assert sandbox.stats()["logins"] == len(set(masked)) == 1


def test_another_password_means_another_login(
    connect: Connect, sandbox: Sandbox, variables: Variables, masked: list[str]
) -> None:
    connect(sandbox)
    HyperoruHook().get_conn().profile()
    (key,) = variables.values
    stored = json.loads(variables.values[key])
    assert VariableTokenStore("hyperoru_default").read(stored["bound_to"]) is not None
    assert VariableTokenStore("hyperoru_default").read("other") is None


@pytest.mark.parametrize(
    "stored", ["", "x", "[]", "{}", '{"token": 5}', '{"token":"t","bound_to":"b","expires_at":"x"}']
)
def test_a_broken_store_costs_a_warning(
    connect: Connect, sandbox: Sandbox, variables: Variables, stored: str, caplog: pytest.LogCaptureFixture
) -> None:
    connect(sandbox)
    variables.values["hyperoru_session_token__hyperoru_default"] = stored
    HyperoruHook().get_conn().profile()
    assert sandbox.stats()["logins"] == 1
    assert stored == "" or "can't be read" in caplog.text or '"b"' in stored


def test_a_store_that_is_down_costs_a_warning(
    connect: Connect,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    masked: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def down(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError(f"down: {args} {kwargs}")

    monkeypatch.setattr(Variable, "get", down)
    monkeypatch.setattr(Variable, "set", down)
    caplog.set_level(logging.DEBUG)
    connect(sandbox)
    HyperoruHook().get_conn().profile()
    (token,) = masked
    assert caplog.text.count("can't be") == 3  # read, read again before the login, written
    assert token not in caplog.text


def test_a_written_token_is_read_back(variables: Variables, masked: list[str]) -> None:
    token = Token("tok", datetime.now(UTC).replace(microsecond=0) + timedelta(days=1), "binding")
    store = VariableTokenStore("mine")
    store.write(token)
    assert store.read("binding") == token
    assert masked == ["tok"]


def test_a_token_of_the_connection_is_masked(monkeypatch: pytest.MonkeyPatch, masked: list[str]) -> None:
    set_uri(monkeypatch, {"conn_type": "hyperoru", "extra": {"session_token": "tok-5"}})
    HyperoruHook().get_conn()
    assert masked == ["tok-5"]


def test_test_connection(connect: Connect, sandbox: Sandbox, variables: Variables) -> None:
    connect(sandbox)
    assert HyperoruHook().test_connection() == (True, "The service is healthy; logged in as demo.")
    assert not variables.values
    HyperoruHook().get_conn().profile()
    assert sandbox.stats()["logins"] == 2  # no token was kept


@pytest.mark.parametrize("fault", [{"error_rate": 1.0}, {"drop_rate": 1.0}, {"error_rate": 1.0, "error_body": "html"}])
def test_test_connection_tells_what_is_wrong(connect: Connect, sandbox: Sandbox, fault: dict[str, Any]) -> None:
    sandbox.set_faults(**fault)
    connect(sandbox)
    works, told = HyperoruHook().test_connection()
    assert not works
    assert "/api/health" in told
    assert sandbox.stats()["requests"] == 1


def test_test_connection_repeats_nothing(connect: Connect, sandbox: Sandbox) -> None:
    connect(sandbox, max_retries=5)
    sandbox.set_faults(fail_next=2)
    works, told = HyperoruHook().test_connection()
    assert not works
    assert "/api/users/profile" in told
    assert set(sandbox.stats()["by_path"].values()) == {1}


def test_test_connection_passes_where_only_the_profile_can_t_be_read(connect: Connect, sandbox: Sandbox) -> None:
    connect(sandbox, contract={"profile": {"path": "/api/nobody"}})
    works, told = HyperoruHook().test_connection()
    assert works
    assert told.startswith("The service is healthy; logged in, and 5 traders are listed. The profile can't be read")
    assert "/api/nobody, status 404" in told


def test_test_connection_without_profile_and_traders(connect: Connect, sandbox: Sandbox) -> None:
    connect(sandbox, contract={"profile": {"path": "/api/nobody"}, "traders": {"path": "/api/nowhere"}})
    works, told = HyperoruHook().test_connection()
    assert not works
    assert "/api/nobody, status 404" in told


def test_test_connection_escapes_what_the_service_says(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.set_faults(health="degr\0aded")
    connect(sandbox)
    assert HyperoruHook().test_connection() == (False, "The service is degr\\x00aded; logged in as demo.")


def test_test_connection_with_a_wrong_password(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = {"conn_type": "hyperoru", "host": sandbox.url, "login": sandbox.email, "password": "hunter-2"}
    set_uri(monkeypatch, connection)
    works, told = HyperoruHook().test_connection()
    assert not works
    assert "login was refused" in told
    assert "hunter-2" not in told


@pytest.mark.parametrize("connection", [{"host": "ftp://x"}, {"extra": {"timeout": "x"}}, {"extra": "["}])
def test_test_connection_never_raises(monkeypatch: pytest.MonkeyPatch, connection: dict[str, Any]) -> None:
    set_uri(monkeypatch, {"conn_type": "hyperoru", **connection})
    works, told = HyperoruHook().test_connection()
    assert not works
    assert told


def test_test_connection_of_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_HYPERORU_DEFAULT", raising=False)
    works, told = HyperoruHook("no_such_connection").test_connection()
    assert not works
    assert told


def test_test_connection_is_bounded(connect: Connect, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three requests that take three seconds each, it does not wait for the last."""
    monkeypatch.setattr(module, "TEST_SECONDS", 0.3)
    sandbox.set_faults(latency=3)
    connect(sandbox, timeout=60)
    works, told = HyperoruHook().test_connection()
    assert not works
    assert "did not answer" in told
    assert "/api/users/profile" not in sandbox.stats()["by_path"]


@pytest.mark.parametrize("extra", [{"max_retry": 3}, {"Timeout": 3}, {"timeout": 3, "verify_ssl": False}])
def test_a_misspelt_extra_is_an_error_that_lists_what_there_is(
    connect: Connect, sandbox: Sandbox, extra: dict[str, Any]
) -> None:
    connect(sandbox, **extra)
    (*_, misspelt) = extra
    with pytest.raises(
        HyperoruConfigError, match=rf"has unknown keys: {misspelt}; known are session_token, .*max_retries"
    ):
        HyperoruHook().get_conn()


@pytest.mark.parametrize("conn_type", ["http", "https", "postgres"])
def test_a_connection_of_another_type_is_an_error(
    monkeypatch: pytest.MonkeyPatch, conn_type: str, sandbox: Sandbox
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_HYPERORU_DEFAULT", json.dumps({"conn_type": conn_type, "host": sandbox.url}))
    with pytest.raises(
        HyperoruConfigError, match=f"hyperoru_default has the type {conn_type}: change its type to hyperoru"
    ):
        HyperoruHook().get_conn()
    assert sandbox.stats()["requests"] == 0


def test_the_form_shows_the_port_without_which_the_test_button_tests_nothing() -> None:
    """The UI sends port 0 for a connection that has none, which Airflow takes for another address than the stored."""
    (form,) = (each["ui-field-behaviour"] for each in get_provider_info()["connection-types"])
    assert "port" not in form["hidden-fields"]
    assert form["placeholders"]["port"].startswith("443 (the Test button")
