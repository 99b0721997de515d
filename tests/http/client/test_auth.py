from __future__ import annotations

import asyncio
import hashlib
import logging
import multiprocessing
import pickle
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from hyperoru_provider.client import AsyncHyperoruClient, HyperoruClient, MemoryTokenStore, Token, errors
from hyperoru_provider.client.http.login_lock import LoginLock
from hyperoru_provider.client.http.tokens import Credentials
from hyperoru_provider.sandbox import Sandbox
from tests.conftest import FAST
from tests.raw_server import raw_server

Make = Callable[..., HyperoruClient]


class Shelf:
    """A store that outlives the process's memory, as a Variable does."""

    def __init__(self) -> None:
        self.tokens: dict[str, Token] = {}

    def read(self, binding: str) -> Token | None:
        return self.tokens.get(binding)

    def write(self, token: Token) -> None:
        self.tokens[token.binding] = token


def forget() -> None:
    """What the end of a process does."""
    MemoryTokenStore().clear()


def test_one_login_serves_many_clients(client_of: Make, sandbox: Sandbox) -> None:
    for _ in range(5):
        client_of(sandbox).profile()
    assert sandbox.stats()["logins"] == 1


def test_a_store_outlives_the_process(client_of: Make, sandbox: Sandbox) -> None:
    shelf = Shelf()
    for _ in range(3):
        forget()
        client_of(sandbox, token_stores=(MemoryTokenStore(), shelf)).profile()
    assert sandbox.stats()["logins"] == 1


def test_a_revoked_token_costs_one_login(client_of: Make, sandbox: Sandbox) -> None:
    shelf = Shelf()
    stores = (MemoryTokenStore(), shelf)
    clients = [client_of(sandbox, token_stores=stores) for _ in range(4)]
    for client in clients:
        client.profile()
    sandbox.revoke_tokens()
    for client in clients:
        client.profile()
    stats = sandbox.stats()
    assert stats["logins"] == 2
    assert stats["repeated_refusals"] == 0


def test_after_a_401_the_store_is_read_before_a_login(client_of: Make, sandbox: Sandbox) -> None:
    shelf = Shelf()
    client = client_of(sandbox, token_stores=(shelf,))
    client.profile()
    sandbox.revoke_tokens()
    other = client_of(sandbox, token_stores=(shelf,))  # someone else notices first
    other.profile()
    assert sandbox.stats()["logins"] == 2
    client.profile()
    assert sandbox.stats()["logins"] == 2


def test_a_second_401_is_an_error(client_of: Make, sandbox: Sandbox) -> None:
    sandbox.set_faults(token_lifetime=0)
    with pytest.raises(errors.HyperoruAuthenticationError):
        client_of(sandbox).profile()
    assert sandbox.stats()["by_path"] == {"/api/users/login": 2, "/api/users/profile": 2}


def test_a_token_of_the_connection_means_no_login(client_of: Make, sandbox: Sandbox) -> None:
    shelf = Shelf()
    client_of(sandbox, token_stores=(shelf,)).profile()
    (token,) = shelf.tokens.values()
    client = client_of(sandbox, password=None, session_token=token.value)
    client.login()
    client.profile()
    assert sandbox.stats()["logins"] == 1
    sandbox.revoke_tokens()
    with pytest.raises(errors.HyperoruAuthenticationError, match="session_token"):
        client.profile()
    assert sandbox.stats()["login_attempts"] == 1


def test_nothing_to_log_in_with(client_of: Make, sandbox: Sandbox) -> None:
    with pytest.raises(errors.HyperoruAuthenticationError, match="no credentials to log in with"):
        client_of(sandbox, password=None).profile()
    assert sandbox.stats()["requests"] == 0


def test_a_wrong_password_is_tried_once(client_of: Make, sandbox: Sandbox) -> None:
    with pytest.raises(errors.HyperoruAuthenticationError, match="login was refused") as caught:
        client_of(sandbox, password="wrong").profile()
    assert sandbox.stats()["requests"] == 1
    assert (caught.value.method, caught.value.path, caught.value.status) == ("POST", "/api/users/login", 401)


@pytest.mark.parametrize("identity", ["demo@hyperoru.example", "demo"])
def test_a_user_name_is_sent_as_one(client_of: Make, sandbox: Sandbox, identity: str) -> None:
    client_of(sandbox, email=identity).login()
    assert sandbox.stats()["logins"] == 1


@pytest.mark.parametrize(
    ("login", "advice"),
    [
        ("me@x.example", "sent as an email. If this server expects a user name, set the login to one"),
        ("me", "sent as a user name. If this server expects an email, set the login to one"),
    ],
)
def test_a_422_of_the_login_says_as_what_it_was_sent(
    client_of: Make, sandbox: Sandbox, login: str, advice: str
) -> None:
    sandbox.set_faults(error_rate=1.0, error_status=422)
    with pytest.raises(errors.HyperoruAuthenticationError, match=advice):
        client_of(sandbox, email=login).login()


def test_a_login_is_repeated_when_the_server_fails(client_of: Make, sandbox: Sandbox) -> None:
    sandbox.set_faults(error_rate=0.5)
    client_of(sandbox).login()
    assert sandbox.stats()["logins"] == 1


def test_a_token_that_has_ended_is_not_tried(client_of: Make, sandbox: Sandbox) -> None:
    shelf = Shelf()
    client_of(sandbox, token_stores=(shelf,)).profile()
    with time_machine.travel(datetime.now(UTC) + timedelta(days=181)):
        client_of(sandbox, token_stores=(shelf,)).profile()
    stats = sandbox.stats()
    assert (stats["logins"], stats["by_status"]) == (2, {"200": 4})


@pytest.mark.parametrize("change", [{"password": "other"}, {"login": "other"}, {"base_url": "https://other"}])
def test_a_token_is_bound_to_what_it_was_issued_for(change: dict[str, str]) -> None:
    facts: dict[str, Any] = {"base_url": "https://x", "login": "me", "password": "pw"}
    assert Credentials(**facts).binding == Credentials(**facts).binding
    assert Credentials(**facts).binding != Credentials(**(facts | change)).binding


def test_what_is_stored_beside_a_token_is_slow_to_try_passwords_against(binding_rounds: int) -> None:
    from hyperoru_provider.client.http import tokens

    assert binding_rounds >= 60_000
    digest = hashlib.pbkdf2_hmac("sha256", b"pw", b"https://x\nme", tokens.BINDING_ROUNDS)
    assert Credentials("https://x", "me", "pw").binding == digest.hex()


def test_threads_log_in_once(sandbox: Sandbox, client_of: Make) -> None:
    sandbox.set_faults(latency=0.05)
    clients = [client_of(sandbox) for _ in range(10)]
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda client: client.profile(), clients))
    assert sandbox.stats()["logins"] == 1


def test_tasks_of_a_loop_log_in_once(sandbox: Sandbox) -> None:
    sandbox.set_faults(latency=0.05)

    async def run() -> None:
        clients = [AsyncHyperoruClient(sandbox.url, sandbox.email, sandbox.password) for _ in range(10)]
        await asyncio.gather(*(client.profile() for client in clients))
        sandbox.revoke_tokens()
        await asyncio.gather(*(client.profile() for client in clients))
        for client in clients:
            await client.aclose()

    asyncio.run(run())
    stats = sandbox.stats()
    assert (stats["logins"], stats["by_status"]["401"]) == (2, 10)


def test_a_cancelled_login_leaves_no_lock(sandbox: Sandbox) -> None:
    sandbox.set_faults(latency=0.3)

    async def run() -> None:
        async with AsyncHyperoruClient(sandbox.url, sandbox.email, sandbox.password) as client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.profile(), 0.1)
            sandbox.set_faults(latency=0)
            await asyncio.wait_for(client.profile(), 2)

    asyncio.run(run())


ANYONE = Credentials("https://x", "someone", "pw")


def _hold(temp: str, ready: Any) -> None:
    tempfile.tempdir = temp
    lock = LoginLock(ANYONE)
    assert lock.acquire()
    ready.set()
    time.sleep(60)


def test_the_password_has_no_part_in_the_lock() -> None:
    paths = {LoginLock(Credentials("https://x", "someone", password)).path for password in ("one", "two")}
    assert len(paths) == 1
    assert LoginLock(Credentials("https://y", "someone")).path not in paths


def test_processes_exclude_each_other() -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    other = context.Process(target=_hold, args=(tempfile.gettempdir(), ready))
    other.start()
    try:
        assert ready.wait(60)
        lock = LoginLock(ANYONE)
        assert not lock.acquire()
        other.kill()  # a lock ends with its process, however it ends
        other.join()
        assert lock.acquire()
        lock.release()
    finally:
        other.kill()
        other.join()


@pytest.mark.timeout(30)
def test_a_token_is_seen_by_those_who_still_wait_for_the_lock(client_of: Make, sandbox: Sandbox) -> None:
    """Where the store is slow, a hundred who look into it one after the other would wait for a minute."""

    class Late(Shelf):
        def read(self, binding: str) -> Token | None:
            found = super().read(binding)
            self.write(Token(tokens[0], datetime.now(UTC) + timedelta(days=1), binding))
            return found

    tokens: list[str] = []
    other = client_of(sandbox, on_token=tokens.append)
    other.profile()
    lock = LoginLock(Credentials(sandbox.url, sandbox.email, sandbox.password))
    assert lock.acquire()
    client_of(sandbox, token_stores=(Late(),)).profile()
    assert sandbox.stats()["logins"] == 1
    lock.release()


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[..., str]]:
    """All that was logged, and all that an object shows of itself."""
    caplog.set_level(logging.DEBUG)

    def tell(*things: object) -> str:
        shown = [f"{thing!r} {thing}" for thing in things]
        raised = [thing for thing in things if isinstance(thing, Exception)]
        pickled = [repr(pickle.dumps(error)) for error in raised]
        traced = ["".join(traceback.format_exception(error)) for error in raised]
        return "\n".join([caplog.text, *shown, *pickled, *traced])

    yield tell


def test_no_secret_shows(client_of: Make, sandbox: Sandbox, told: Callable[..., str]) -> None:
    shelf = Shelf()
    seen: list[str] = []
    client = client_of(sandbox, token_stores=(shelf,), on_token=seen.append)
    client.profile()
    (token,) = shelf.tokens.values()
    assert seen == [token.value]
    things: list[object] = [
        client,
        *vars(client).values(),
        token,
        Credentials(sandbox.url, sandbox.email, sandbox.password),
    ]
    sandbox.set_faults(error_rate=1.0)
    wrong = sandbox.password[::-1]
    for attempt in (client.health, client_of(sandbox, password=wrong).profile):
        with pytest.raises(errors.HyperoruApiError) as caught:
            attempt()
        things.append(caught.value)
    text = told(*things)
    for secret in (token.value, sandbox.password, wrong, token.binding):
        assert secret not in text


def test_an_echoed_token_does_not_show(sandbox: Sandbox, client_of: Make) -> None:
    client = client_of(sandbox, session_token="tok-echoed")
    with pytest.raises(errors.HyperoruApiError) as caught:
        list(
            client.iter_trades(
                datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC), account_id="tok-echoed"
            )
        )
    assert "tok-echoed" not in f"{caught.value!r} {caught.value}"


def test_the_fast_policy_is_fast() -> None:
    assert FAST.max_delay < 0.1


def test_an_end_that_has_passed_is_not_believed(client_of: Make, sandbox: Sandbox) -> None:
    """A clock or a zone is wrong somewhere; the server says soon enough when a token has ended."""
    with time_machine.travel(datetime.now(UTC) + timedelta(days=200), tick=True):
        client = client_of(sandbox)
        for _ in range(3):
            client.profile()
    assert sandbox.stats()["logins"] == 1


def test_dead_tokens_in_every_store_cost_one_login(client_of: Make, sandbox: Sandbox) -> None:
    near, far = Shelf(), Shelf()
    client = client_of(sandbox, token_stores=(near, far))
    binding = Credentials(sandbox.url, sandbox.email, sandbox.password).binding
    for name, shelf in (("dead-1", near), ("dead-2", far)):
        shelf.write(Token(name, datetime.now(UTC) + timedelta(days=1), binding))
    client.profile()
    stats = sandbox.stats()
    assert (stats["logins"], stats["by_status"]["401"]) == (1, 2)
    assert near.tokens == far.tokens


@pytest.mark.parametrize("token", ["zq\n", "z\u00f6q", "zq\x00"])
def test_a_token_that_no_header_takes_is_named_without_its_value(token: str) -> None:
    with pytest.raises(errors.HyperoruConfigError) as caught:
        HyperoruClient("https://x", session_token=token)
    assert token.strip() not in str(caught.value)


NO_TOKENS = ["a\r\nX: y", "a\nb", "a\0b", "a b", "t\u00f6k", "\ud800", "x" * 20_000, 5, ["a"], {"a": 1}]


@pytest.mark.parametrize("value", NO_TOKENS)
def test_a_stored_value_that_no_token_can_be_costs_one_login(client_of: Make, sandbox: Sandbox, value: Any) -> None:
    shelf = Shelf()
    binding = Credentials(sandbox.url, sandbox.email, sandbox.password).binding
    shelf.write(Token(value, datetime.now(UTC) + timedelta(days=1), binding))
    client_of(sandbox, token_stores=(MemoryTokenStore(), shelf)).profile()
    assert sandbox.stats()["logins"] == 1
    assert shelf.tokens[binding].value != value


@pytest.mark.parametrize("value", [value for value in NO_TOKENS if value != "\ud800"])
def test_a_login_that_answers_what_no_token_can_be_stores_nothing(value: Any) -> None:
    shelf = Shelf()
    with raw_server(lambda wire, _: wire.answer({"session_token": value})) as server:
        for _ in range(2):
            client = HyperoruClient(server.url, "me", "pw-12345", retry_policy=FAST, token_stores=(shelf,))
            with client, pytest.raises(errors.HyperoruContractError, match="a session_token that is not a valid token"):
                client.profile()
    assert shelf.tokens == {}
