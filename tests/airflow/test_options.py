"""What holds for all connections: the section [hyperoru] of Airflow's configuration."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hyperoru_provider.client.errors import HyperoruConfigError
from hyperoru_provider.get_provider_info import CONFIG_OPTIONS, CONNECTION_FIELDS
from hyperoru_provider.hooks.hyperoru import HyperoruHook
from hyperoru_provider.hooks.token_store import VariableTokenStore
from hyperoru_provider.sandbox import Sandbox
from tests.airflow_home import connection, environment

Connect = Callable[..., None]

#: option, what the environment says, what comes of it, what the extra says in its place, what comes of that
SET = [
    ("timeout", "7.5", 7.5, 3, 3),
    ("max_answer_seconds", "20", 20, "21", 21),
    ("max_answer_bytes", "1e6", 1_000_000, 2000, 2000),
    ("max_retries", "0", 0, 2, 2),
    ("requests_per_second", "2", 2, 0, None),
    ("token_cache", "memory", 1, "variable", 2),
]
DEFAULTS = {
    "timeout": 30,
    "max_answer_seconds": 300,
    "max_answer_bytes": 64_000_000,
    "max_retries": 8,
    "requests_per_second": None,
    "token_cache": 2,
}


def found(name: str) -> Any:
    """What a client gets for an option; of the token cache, how many stores."""
    options = HyperoruHook().get_client_options()
    match name:
        case "max_retries":
            return options["retry_policy"].max_retries
        case "token_cache":
            stores = options["token_stores"]
            assert all(isinstance(store, VariableTokenStore) for store in stores[1:])
            return len(stores)
    return options[name]


@pytest.mark.parametrize(("name", "said", "value", "extra", "own"), SET)
def test_a_connection_may_say_otherwise_than_the_configuration(
    name: str,
    said: str,
    value: object,
    extra: object,
    own: object,
    connect: Connect,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connect(sandbox)
    assert found(name) == DEFAULTS[name]
    monkeypatch.setenv(f"AIRFLOW__HYPERORU__{name.upper()}", said)
    assert found(name) == value
    for nothing in ("", None):
        connect(sandbox, **{name: nothing})
        assert found(name) == value
    connect(sandbox, **{name: extra})
    assert found(name) == own
    monkeypatch.setenv(f"AIRFLOW__HYPERORU__{name.upper()}", "")
    connect(sandbox)
    assert found(name) == DEFAULTS[name]


@pytest.mark.parametrize(
    ("name", "said", "problem"),
    [
        ("timeout", "soon", "a number of 0.1 or more"),
        ("max_answer_seconds", "0", "a number of 0.1 or more"),
        ("max_answer_bytes", "999", "a number of 1000 or more"),
        ("max_retries", "-1", "a number of 0 or more"),
        ("requests_per_second", "nan", "a number of 0 or more"),
        ("token_cache", "disk", "one of variable, memory"),
    ],
)
def test_a_wrong_option_is_named(
    name: str, said: str, problem: str, connect: Connect, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(sandbox)
    monkeypatch.setenv(f"AIRFLOW__HYPERORU__{name.upper()}", said)
    with pytest.raises(HyperoruConfigError) as caught:
        HyperoruHook().get_conn()
    assert str(caught.value) == f"Airflow's option [hyperoru] {name} must be {problem}."


def test_each_option_is_a_key_of_the_extra_too_which_has_no_default_of_its_own() -> None:
    assert {*CONFIG_OPTIONS} == {*DEFAULTS} <= {*CONNECTION_FIELDS}
    assert not any("default" in field["schema"] for field in CONNECTION_FIELDS.values())


@pytest.mark.slow
def test_airflow_shows_the_options(tmp_path: Path, sandbox: Sandbox) -> None:
    (tmp_path / "airflow.cfg").write_text("[hyperoru]\nmax_retries = 3\n")
    shown = {"AIRFLOW__HYPERORU__TIMEOUT": "12", "AIRFLOW_CONN_HYPERORU_DEFAULT": connection(sandbox)}

    def run(*arguments: str) -> list[str]:
        answer = subprocess.run(
            [sys.executable, *arguments],
            env=environment(tmp_path, tmp_path, **shown),
            capture_output=True,
            text=True,
            timeout=200,
            check=True,
        )
        return answer.stdout.splitlines()

    names = ("timeout", "max_retries", "token_cache")
    values = {name: run("-m", "airflow", "config", "get-value", "hyperoru", name)[-1] for name in names}
    assert values == {"timeout": "12", "max_retries": "3", "token_cache": "variable"}
    listed = run("-m", "airflow", "config", "list", "--section", "hyperoru")
    section = listed[listed.index("[hyperoru]") :]  # after warnings of Airflow
    names_listed = [line.strip("# ").partition(" =")[0] for line in section if line]
    assert names_listed == ["[hyperoru]", *CONFIG_OPTIONS, "trader_url"]
    code = "from hyperoru_provider.hooks.hyperoru import HyperoruHook as H; o = H().get_client_options()"
    assert run("-c", f"{code}; print(o['timeout'], o['retry_policy'].max_retries)")[-1] == "12.0 3"
