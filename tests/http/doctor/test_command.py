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
