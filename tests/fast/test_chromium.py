"""How the browser is found that makes images and looks at the UI."""

from __future__ import annotations

from pathlib import Path

import pytest
from chromium import find_chromium


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All commands that there are."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return tmp_path


def add(directory: Path, name: str, script: str = "") -> Path:
    command = directory / name
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    return command


def test_one_that_is_there_is_taken(commands: Path) -> None:
    add(commands, "apt-get", "exit 1")
    chrome = add(commands, "google-chrome")
    assert find_chromium() == str(chrome)


def test_root_installs_one(commands: Path) -> None:
    log = commands / "log"
    installed = f'case "$*" in *install*) echo > {commands}/chromium; /bin/chmod 755 {commands}/chromium;; esac'
    add(commands, "apt-get", f'echo "$@" >> {log}\n{installed}')
    assert find_chromium() == str(commands / "chromium")
    assert [line.split(" ")[3] for line in log.read_text().splitlines()] == ["update", "install"]


def test_where_there_is_none_it_says_what_to_install(commands: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = "There is no Chromium .* apt-get install chromium"
    with pytest.raises(RuntimeError, match=words):
        find_chromium()
    add(commands, "apt-get", "exit 1")
    with pytest.raises(RuntimeError, match=words):
        find_chromium()
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    add(commands, "apt-get", f"echo > {commands}/chromium; /bin/chmod 755 {commands}/chromium")
    with pytest.raises(RuntimeError, match=words):
        find_chromium()
