"""The doctor on the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hyperoru_provider.doctor.__main__ import hyperoru, main
from hyperoru_provider.sandbox import Sandbox
from tests.http.doctor.served import paged, served, trade, within
from tests.json_server import Answer, Asked, RefusedError

PASSWORD = "pw-Zq7Xk-of-the-doctor"


def run(*arguments: str, password: str = PASSWORD) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HYPERORU_PASSWORD": password, "COLUMNS": "160"}
    command = [sys.executable, "-m", "hyperoru_provider.doctor", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)


def test_a_person_reads_what_to_paste() -> None:
    with Sandbox(paging="offset", password=PASSWORD) as sandbox:
        done = run("--base-url", sandbox.url, "--login", sandbox.email)
    assert done.returncode == 1, done.stderr
    assert "trades" in done.stdout and "differs" in done.stdout
    pasted = done.stdout[done.stdout.index('"contract":\n') + len('"contract":\n') :]
    assert json.loads(pasted) == {"trades": {"paging": "offset"}}
    assert PASSWORD not in done.stdout + done.stderr
    assert done.stderr == ""


def test_a_script_reads_json() -> None:
    with Sandbox(password=PASSWORD) as sandbox:
        done = run("--base-url", sandbox.url, "--login", sandbox.email, "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["contract"]) == (0, {})
    assert {each["resource"]: each["verdict"] for each in told["resources"]}["trades"] == "works"


def test_a_wrong_password_has_a_status_of_its_own() -> None:
    with Sandbox(password=PASSWORD) as sandbox:
        done = run("--base-url", sandbox.url, "--login", sandbox.email, password="another-Zq7")
    assert done.returncode == 2
    assert "could not be examined" in done.stdout
    assert "another-Zq7" not in done.stdout + done.stderr


def test_the_password_is_asked_for(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("HYPERORU_PASSWORD", raising=False)
    asked: list[str] = []

    def answer(prompt: str) -> str:  # a terminal, which tests lack
        asked.append(prompt)
        return PASSWORD

    monkeypatch.setattr("getpass.getpass", answer)
    with Sandbox(password=PASSWORD) as sandbox:
        assert main(["--base-url", sandbox.url, "--login", sandbox.email, "--json"]) == 0
    assert asked == [f"Password of {sandbox.email}: "]
    assert json.loads(capsys.readouterr().out)["questions"] == []


def test_a_document_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HYPERORU_PASSWORD", PASSWORD)
    document = tmp_path / "openapi.json"
    document.write_text(json.dumps({"paths": {"/api/account/list": {"get": {}}}}))
    with Sandbox(password=PASSWORD) as sandbox:
        hyperoru(["doctor", "--base-url", sandbox.url, "--login", sandbox.email, "--json", "--openapi", str(document)])
    verdicts = {each["resource"]: each["verdict"] for each in json.loads(capsys.readouterr().out)["resources"]}
    assert (verdicts["traders"], verdicts["trades"]) == ("works", "works")  # what it passes over may be there


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--login", "me", "--write"], "--write needs --conn-id"),
        ([], "Give --login"),
        (["--base-url", "ftp://x", "--login", "me"], "The base URL must be like"),
        (["--login", "me", "--openapi", "nowhere.json"], "nowhere.json"),
    ],
)
def test_wrong_arguments(
    arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HYPERORU_PASSWORD", PASSWORD)
    assert main(arguments) == 2
    assert told in capsys.readouterr().err


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out.replace("\n", " ").strip()[-400:]


@pytest.fixture
def _as_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERORU_PASSWORD", PASSWORD)
    monkeypatch.setenv("COLUMNS", "400")


def refused(status: int, detail: str) -> Answer:
    def answer(asked: Asked) -> object:
        raise RefusedError(status, {"detail": detail})

    return answer


@pytest.mark.usefixtures("_as_a_user")
def test_the_end_names_what_can_not_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    with served({"/api/arena/trades": refused(500, "broken")}) as (url, _):
        assert main(["--base-url", url, "--login", "me@example.com"]) == 3
    assert last_line(capsys).endswith("fits as it is, but these are refused or can't be read: trades.")


@pytest.mark.usefixtures("_as_a_user")
def test_a_warning_is_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with served({}) as (url, _):
        main(["--base-url", url, "--login", "me@example.com"])
    assert "Warnings:\n- A wrong token lists the traders" in capsys.readouterr().out


@pytest.mark.usefixtures("_as_a_user")
def test_the_end_says_why_nobody_could_look(capsys: pytest.CaptureFixture[str]) -> None:
    with served({"/api/users/login": refused(401, "Wrong password")}) as (url, _):
        assert main(["--base-url", url, "--login", "me@example.com"]) == 2
        assert "could not be examined: The login was refused. The server answered 401: Wrong" in last_line(capsys)
        assert main(["--base-url", url.replace("http:", "https:"), "--login", "me@example.com"]) == 2
        assert last_line(capsys).endswith("its host must begin with http://.")
    with served({"/health": lambda asked: {"status": "healthy"}}) as (url, _):
        assert main(["--base-url", f"{url}/api", "--login", "me@example.com"]) == 2
        assert last_line(capsys).endswith("but all paths already begin with it: leave it out.")


@pytest.mark.usefixtures("_as_a_user")
@pytest.mark.parametrize(
    ("status", "detail", "tries"),
    [
        (400, "Invalid credentials", 1),
        (400, "Invalid username or password", 1),
        (401, "Unauthorized", 1),
        (400, "The field username is missing", 2),
        (422, "username: Field required", 2),
    ],
)
def test_a_login_is_not_tried_until_it_is_locked(status: int, detail: str, tries: int) -> None:
    with served({"/api/users/login": refused(status, detail)}) as (url, asked):
        assert main(["--base-url", url, "--login", "me@example.com"]) == 2
    assert sum("POST /api/users/login" in each for each in asked) == tries


@pytest.mark.usefixtures("_as_a_user")
def test_full_answers_are_counted_as_what_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    def answer(asked: Asked) -> object:
        rows = [trade(each, price=9 if asked.query.get("trading_mode") == "mainnet" else 1) for each in range(700)]
        return paged(within(rows, asked.query), asked.query)

    with served({"/api/arena/trades": answer}) as (url, _):
        assert main(["--base-url", url, "--login", "me@example.com"]) == 1
    told = " ".join(capsys.readouterr().out.split())
    assert "mainnet: at least 500 rows" in told
    assert "but not the same ones" in told
