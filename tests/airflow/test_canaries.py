"""A canary password, token and e-mail go through everything, failures included, and come out nowhere.

The e-mail is no secret in its connection, but nothing else needs it: it shows nowhere, either, but where a user asks
for it (a profile, and the test of a connection).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import pickle
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path
from traceback import TracebackException
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from airflow.models.trigger import Trigger
from airflow.sdk.bases.operator import BaseOperator
from airflow.sdk.exceptions import AirflowException

from hyperoru_provider.client import AsyncHyperoruClient, HyperoruClient
from hyperoru_provider.client.errors import HyperoruConfigError, HyperoruError
from hyperoru_provider.client.http.library import httpcore, httpx
from hyperoru_provider.hooks.compat import AirflowRescheduleException, TaskDeferred
from hyperoru_provider.hooks.hyperoru import HyperoruHook
from hyperoru_provider.operators.export import HyperoruExportOperator
from hyperoru_provider.operators.klines import HyperoruBackfillKlinesOperator
from hyperoru_provider.operators.market import HyperoruFetchMarketOperator
from hyperoru_provider.operators.sql import HyperoruTradesToSqlOperator
from hyperoru_provider.operators.traders import HyperoruListTradersOperator
from hyperoru_provider.operators.trades import HyperoruExportTradesOperator
from hyperoru_provider.sandbox import Sandbox
from hyperoru_provider.sensors.events import HyperoruEventSensor
from hyperoru_provider.sensors.health import HyperoruHealthSensor
from hyperoru_provider.sensors.klines import HyperoruKlineCoverageSensor
from hyperoru_provider.sensors.price import HyperoruPriceSensor
from hyperoru_provider.sensors.trades import HyperoruTradesSensor
from hyperoru_provider.triggers import shared_stream
from tests.canaries import ECHOES, EMAIL, PASSWORD, TOKEN, echo, seen_in
from tests.databases import in_file
from tests.exports import files_of
from tests.raw_server import Wire, raw_server
from tests.task_states import TaskStates

HOUR = {"start": "2026-01-15T00:00:00Z", "end": "2026-01-15T01:00:00Z"}
HASTY = {"poke_interval": 0.05, "timeout": 0.1}
SENSORS: dict[str, tuple[type[BaseOperator], dict[str, Any]]] = {
    "health": (HyperoruHealthSensor, HASTY),
    "price": (HyperoruPriceSensor, {**HASTY, "symbol": "BTC", "above": 10**9}),
    "coverage": (HyperoruKlineCoverageSensor, {**HASTY, **HOUR, "symbol": "BTC"}),
    "trades_sensor": (HyperoruTradesSensor, {**HASTY, **HOUR, "at_least": 10**6}),
}
OPERATORS: dict[str, tuple[type[BaseOperator], dict[str, Any]]] = {
    "traders": (HyperoruListTradersOperator, {}),
    "market": (HyperoruFetchMarketOperator, {"symbols": ["BTC"]}),
    "klines": (HyperoruFetchMarketOperator, {"symbols": ["BTC"], "data": "klines", **HOUR}),
    "trades": (HyperoruExportTradesOperator, {**HOUR, "destination": "{{ params.destination }}"}),
    "orders": (HyperoruExportOperator, {"resource": "orders", "filters": {"account_id": 1}}),
    "sql": (HyperoruTradesToSqlOperator, {**HOUR, "table": "trades", "sql_conn_id": "db"}),
    "backfill": (HyperoruBackfillKlinesOperator, {**HOUR, "symbol": "BTC", "interval": "1h", "poll_interval": 0.05}),
    "event": (HyperoruEventSensor, {"timeout": 1}),
}
MODES: dict[str, dict[str, Any]] = {"poke": {}, "reschedule": {"mode": "reschedule"}, "deferred": {"deferrable": True}}
RUNS = [(name, mode) for name in SENSORS for mode in MODES] + [(name, "worker") for name in OPERATORS]
RUNS += [("backfill", "deferred")]
#: a login is the same in each; these are all that ask for one: a worker, a triggerer, and a stream
LOGINS = [("traders", "worker"), ("price", "deferred"), ("event", "worker")]


class Watch:
    """Collects all that is said and kept while a canary goes through.

    :ivar texts: what was collected, and where it was.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.states = TaskStates()
        self.variables: dict[str, Any] = {}
        self.texts: list[tuple[str, str]] = []

    def keep(self, place: str, value: object) -> None:
        """Collect what a value shows of itself."""
        self.texts += [(place, str(value)), (place, repr(value))]

    def keep_error(self, error: BaseException) -> None:
        """Collect an error, its traceback with all variables, and what another process gets of it."""
        self.keep("error", error)
        self.keep("error", vars(error))
        self.keep("error", error.args)
        for each in (error, error.__cause__):  # what others show is what Python shows
            if each is not None:
                described = TracebackException.from_exception(each, capture_locals=True)
                self.texts.append(("traceback", "".join(described.format())))
        if isinstance(error, HyperoruError):
            self.texts.append(("pickle", pickle.dumps(error).decode("latin-1")))

    def leaks(self) -> list[str]:
        """Return where a canary shows, and what of it."""
        self.texts += [("state", text) for text in self.states.texts.values()]
        for where in (self.directory, Path(tempfile.gettempdir())):
            for path, content in files_of(where).items():
                self.texts.append((f"file {path}", path + content.decode("latin-1")))
        found = ((place, seen, text) for place, text in self.texts for seen in seen_in(text))
        return sorted({f"{place}: {seen} in {_around(text, seen.partition(': ')[2])}" for place, seen, text in found})[
            :10
        ]


def _around(text: str, part: str) -> str:
    place = text.lower().find(part)
    return text[max(place - 300, 0) : place + 100]


class _Recorder(logging.Handler):
    def __init__(self, watch: Watch) -> None:
        super().__init__(logging.DEBUG)
        self._watch = watch

    def emit(self, record: logging.LogRecord) -> None:
        self._watch.texts.append((f"log of {record.name}", record.getMessage()))
        if record.exc_info and record.exc_info[1]:
            self._watch.keep_error(record.exc_info[1])


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """Listen to every logger at DEBUG, and hold the Variables."""
    watch = Watch(tmp_path)
    root, recorder = logging.getLogger(), _Recorder(watch)
    levels = {logger: logger.level for logger in [root, *map(logging.getLogger, [*root.manager.loggerDict])]}
    for logger in levels:
        logger.setLevel(logging.DEBUG)
    root.addHandler(recorder)
    monkeypatch.setattr("airflow.sdk.Variable.get", lambda key, **_: watch.variables.get(key))
    monkeypatch.setattr("airflow.sdk.Variable.set", lambda key, value, **_: watch.variables.__setitem__(key, value))
    monkeypatch.setattr(shared_stream, "ERROR_DELAY", 0)
    database = in_file(tmp_path / "rows.db")
    database.create()
    monkeypatch.setenv("AIRFLOW_CONN_DB", json.dumps(database.connection))
    yield watch
    root.removeHandler(recorder)
    for logger, level in levels.items():
        logger.setLevel(level)


def run(name: str, mode: str, watch: Watch) -> None:
    """Run a task as its worker and the triggerer do, and collect what it leaves."""
    cls, arguments = {**SENSORS, **OPERATORS}[name]
    task = cls(task_id="t", **arguments, **MODES.get(mode, {}))
    ti = SimpleNamespace(max_tries=0, try_number=1, get_first_reschedule_date=lambda _: None, task_id="t", map_index=-1)
    context: Any = {
        "ti": ti, "task_state_store": watch.states, "ts": "2026-01-15", "run_id": "r", "dag_run": None,
        "params": {"destination": str(watch.directory / "exports")},
    }  # fmt: skip
    try:
        task.render_template_fields(context)
        watch.keep("template", {field: getattr(task, field) for field in task.template_fields})
        try:
            watch.keep("xcom", task.execute(context))
        except TaskDeferred as deferred:
            watch.keep("trigger", deferred.trigger.serialize())
            watch.keep("trigger", vars(Trigger(*deferred.trigger.serialize())))
            watch.keep("next", deferred.kwargs)
            event = asyncio.run(fired(deferred, watch))
            watch.keep(
                "xcom",
                task.resume_execution(deferred.method_name, {**(deferred.kwargs or {}), "event": event}, context),
            )
    except (HyperoruError, AirflowException, AirflowRescheduleException) as error:
        watch.keep_error(error)
    watch.keep("task", vars(task))
    with suppress(TypeError):  # one that holds a client can't be sent anywhere
        watch.texts.append(("pickle", pickle.dumps(task).decode("latin-1")))


async def fired(deferred: TaskDeferred, watch: Watch) -> Any:
    """Return what a trigger fires, or ``None`` if it fails or fires nothing for a while."""
    _, kwargs = deferred.trigger.serialize()
    trigger = type(deferred.trigger)(**({**kwargs, "deadline": time.time() + 0.2} if "deadline" in kwargs else kwargs))
    try:
        async with asyncio.timeout(0.6):
            async for event in trigger.run():
                watch.keep("payload", event.payload)
                return event.payload
    except (HyperoruError, TimeoutError) as error:
        watch.keep_error(error)


def connect_to(url: str, monkeypatch: pytest.MonkeyPatch, **extra: Any) -> None:
    connection = {
        "conn_type": "hyperoru",
        "host": url,
        "login": EMAIL,
        "password": PASSWORD,
        "extra": {"max_retries": 1, **extra},
    }
    monkeypatch.setenv("AIRFLOW_CONN_HYPERORU_DEFAULT", json.dumps(connection))


@pytest.fixture(scope="module")
def generous() -> Iterator[Sandbox]:
    """A sandbox whose login gives the canary token."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hyperoru_provider.sandbox.state.secrets.token_urlsafe", lambda _: TOKEN)
        with Sandbox(email=EMAIL, password=PASSWORD, backfill_seconds=0.05, pace=20) as sandbox:
            yield sandbox


@pytest.mark.parametrize(("name", "mode"), RUNS)
def test_what_goes_well_shows_nothing(
    name: str,
    mode: str,
    watch: Watch,
    generous: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    connect_to(generous.url, monkeypatch)
    run(name, mode, watch)
    assert name == "health" or watch.variables["hyperoru_session_token__hyperoru_default"]["token"] == TOKEN
    watch.texts += [("output", text) for text in capfd.readouterr()]
    assert watch.texts
    assert not watch.leaks()


#: what a server answers that repeats secrets: to a login, or to all else
Answer = Callable[[Wire, str], None]


def says(status: str, body: Callable[[str], Any], **headers: str) -> Answer:
    """Return an answer with a body that repeats secrets."""

    def answer(wire: Wire, told: str) -> None:
        content = body(told)
        wire.answer(content if isinstance(content, bytes) else json.dumps(content).encode(), status, **headers)

    return answer


def hang_up(wire: Wire, told: str) -> None:
    raise ConnectionError


def cut_off(wire: Wire, told: str) -> None:
    wire.head(Content_Length="9999", **COOKIE)
    wire.write(told.encode())
    raise ConnectionError


COOKIE = {"Set_Cookie": f"session={TOKEN}", "X_Echo": PASSWORD.encode().decode("latin-1"), "X_Request_Id": f"r-{EMAIL}"}
ANSWERS: dict[str, Answer] = {
    "refused": says("401 Unauthorized", lambda told: {"error": f"Bearer {told} is no good", "code": told}, **COOKIE),
    "forbidden": says("403 Forbidden", lambda told: {"detail": [{"loc": [told], "msg": told}]}, **COOKIE),
    "not found": says("404 Not Found", lambda told: {"message": f"no {told}", "details": {"headers": told}}, **COOKIE),
    "down": says("500 Oh No", lambda told: f"{'x' * 490} Authorization: Bearer {told}".encode(), **COOKIE),
    "too many": says("429 Too Many Requests", lambda told: {"error": {"message": told, "code": told}}, Retry_After="0"),
    "moved": says("302 Found", lambda told: b"", Location=f"https://elsewhere.example/{quote(PASSWORD)}?t={TOKEN}"),
    "no success": says("200 OK", lambda told: {"success": False, "message": told, "session_token": TOKEN}),
    "no JSON": says("200 OK", lambda told: b'{"session_token":"%b", %b' % (TOKEN.encode(), told.encode())),
    "something else": says("200 OK", lambda told: {told: TOKEN, "session_token": [TOKEN], "items": [{told: told}]}),
    "cut off": cut_off,
    "hung up": hang_up,
}  # fmt: skip


#: whether each answer repeats its secrets in each way, to all who ask; else in one, to every other one
ALL = os.environ.get("HYPERORU_CANARIES") == "all"
WAYS = list(ECHOES)
CASES = [
    (answer, at_login, how)
    for number, (answer, at_login) in enumerate(product(ANSWERS, (True, False)))
    for how in (WAYS if ALL else [WAYS[(3 * number + number // 20) % len(WAYS)]])
]


@pytest.mark.slow
@pytest.mark.parametrize(("answer", "at_login", "how"), CASES)
def test_what_fails_shows_nothing(
    answer: str,
    at_login: bool,
    how: str,
    watch: Watch,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def script(wire: Wire, request: str) -> None:
        if "/login" in request and not at_login:
            return wire.answer({"session_token": TOKEN}, **COOKIE)
        known = (
            ("password", "email", "token")
            if "/login" not in request and "/health" not in request
            else ("password", "email")
        )
        return ANSWERS[answer](wire, echo(how, *known))

    with raw_server(script) as server:
        connect_to(server.url, monkeypatch, max_retries=0)
        for name, mode in LOGINS if at_login else RUNS if ALL else RUNS[WAYS.index(how) % 2 :: 2]:
            run(name, mode, watch)
    watch.texts += [("output", text) for text in capfd.readouterr()]
    assert {"traceback", f"log of {httpcore.__name__}.http11"} <= {place for place, _ in watch.texts}
    assert not watch.leaks()


def test_a_client_and_a_hook_show_nothing_of_themselves(
    watch: Watch, generous: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect_to(generous.url, monkeypatch)
    hook = HyperoruHook()
    with hook.get_conn() as client:
        client.list_traders()
        for each in (hook, client, *vars(client).values(), *vars(hook).values()):
            watch.keep("repr", each)
            with suppress(TypeError, AttributeError, pickle.PicklingError):
                watch.texts.append(("pickle", pickle.dumps(each).decode("latin-1")))
    assert not watch.leaks()


@pytest.mark.parametrize(
    "wrong",
    [{"host": "ftp://x"}, {"extra": {"contract": {"trades": {"path": "x"}}}}, {"extra": {"timeout": "x"}},
     {"extra": {"max_retries": -1, "session_token": TOKEN}}, {"extra": {"session_token": f"{TOKEN} {PASSWORD}"}},
     {"conn_type": "http"}],
)  # fmt: skip
def test_a_wrong_connection_shows_no_secret(
    wrong: dict[str, Any], watch: Watch, generous: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect_to(generous.url, monkeypatch)
    connection = {**json.loads(os.environ["AIRFLOW_CONN_HYPERORU_DEFAULT"]), **wrong}
    monkeypatch.setenv("AIRFLOW_CONN_HYPERORU_DEFAULT", json.dumps(connection))
    del wrong, connection
    hook = HyperoruHook()
    with pytest.raises(HyperoruError) as caught:
        hook.get_conn().list_traders()
    watch.keep_error(caught.value)
    watch.keep("test", hook.test_connection())
    assert not watch.leaks()


@pytest.mark.parametrize("wrong", [{"base_url": "x"}, {"password": f"{PASSWORD}\ud83d"}, {"email": f"{EMAIL}\ud83d"}])
def test_a_client_that_can_t_be_made_shows_no_secret(wrong: dict[str, Any], watch: Watch) -> None:
    options = {"base_url": "http://x.example", "email": EMAIL, "password": PASSWORD, **wrong}
    wrong.clear()
    with pytest.raises(HyperoruConfigError) as caught:
        HyperoruClient(**options)
    options.clear()
    watch.keep_error(caught.value)
    assert not watch.leaks()


def test_a_failed_job_shows_no_secret(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    def script(wire: Wire, request: str) -> None:
        job = {"task_id": 7, "status": "failed", "error": echo("as it is"), "symbol": "BTC", "period": "1h"}
        wire.answer({"session_token": TOKEN} if "/login" in request else b"[]" if "-tasks" in request else job)

    with raw_server(script) as server:
        connect_to(server.url, monkeypatch)
        run("backfill", "worker", watch)
    assert any("ended with the status failed" in text for _, text in watch.texts)
    assert not watch.leaks()


@pytest.mark.parametrize("concurrent", [False, True])
def test_a_client_without_airflow_brings_no_head_of_an_answer_into_a_log(concurrent: bool, watch: Watch) -> None:
    def script(wire: Wire, request: str) -> None:
        wire.answer({"session_token": TOKEN} if "/login" in request else {"id": 1}, f"200 {TOKEN}", **COOKIE)

    async def ask(url: str) -> None:
        async with AsyncHyperoruClient(url, email=EMAIL, password=PASSWORD) as client:
            await client.profile()

    with raw_server(script) as server:
        if concurrent:
            asyncio.run(ask(server.url))
        else:
            with HyperoruClient(server.url, email=EMAIL, password=PASSWORD) as client:
                client.profile()
    assert any(place == f"log of {httpx.__name__}" and "200" in text for place, text in watch.texts)
    assert not watch.leaks()
