"""Whatever a server repeats of what it was shown, the doctor's output holds no secret."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.http.doctor.served import LOGIN, TOKEN, doctor, finding, served, trade
from tests.json_server import Answer, Asked

GATEWAY = "gw-Hh4Tt8Ww1Yy5"
SECRETS = (LOGIN["password"], TOKEN, GATEWAY)
SHOWN = """
import json, sys
from rich.console import Console
from hyperoru_provider.doctor.examination import examine
from hyperoru_provider.doctor.tables import show
report = examine(json.loads(sys.argv[1]))
show(report, Console(width=100))
print(json.dumps(report.as_dict()))
"""


def echo(asked: Asked) -> str:
    return f"not allowed for {asked.headers.get('authorization')} and {asked.headers.get('x-api-key')}"


ECHOES: dict[str, Answer] = {
    "message": lambda asked: {"success": False, "message": echo(asked)},
    "value": lambda asked: {"items": [trade(1, trade_id=echo(asked), price=echo(asked))] * 2},
    "key of the list": lambda asked: {echo(asked): [trade(1)]},
    "key of a row": lambda asked: [{echo(asked): 1}],
    "id in two rows": lambda asked: [trade(1, trade_id=echo(asked)), trade(2, trade_id=echo(asked))],
}


def parts(secret: str) -> set[str]:
    return {secret[place : place + 5] for place in range(len(secret) - 4)}


@pytest.mark.parametrize("name", ECHOES)
def test_no_part_of_a_secret_is_shown(name: str) -> None:
    with served({"/api/arena/trades": ECHOES[name]}, otherwise=ECHOES[name]) as (url, _):
        options = {"base_url": url, **LOGIN, "headers": {"X-Api-Key": GATEWAY}}
        command = [sys.executable, "-c", SHOWN, json.dumps(options)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    output = done.stdout + done.stderr
    assert "***" in output
    assert [part for secret in SECRETS for part in parts(secret) if part in output] == []


def test_the_command_shows_none_either() -> None:
    with served({}, otherwise=ECHOES["message"]) as (url, _):
        for more in ([], ["--json"]):
            done = subprocess.run(
                [sys.executable, "-m", "hyperoru_provider.doctor", "--base-url", url, "--login", LOGIN["email"], *more],
                env={**os.environ, "HYPERORU_PASSWORD": LOGIN["password"]},
                capture_output=True, text=True, timeout=100, check=False,
            )  # fmt: skip
            output = done.stdout + done.stderr
            assert "***" in output
            assert [part for secret in SECRETS for part in parts(secret) if part in output] == []


def test_an_override_that_repeats_a_secret_is_left_out() -> None:
    rows = [trade(number) for number in range(40)]
    with served({"/api/arena/trades": lambda asked: {TOKEN: rows, "others": [1]}}) as (url, _):
        report = doctor(url)
    assert "trades" not in report.contract
    assert "repeats a secret" in str(finding(report, "trades").impossible)


def test_our_own_words_are_no_secret_where_a_password_is_made_of_them() -> None:
    with served({}) as (url, _):
        given = {"trades": {"paging": "offset", "params": {"start": "start_time"}}}
        report = doctor(url, contract=given, more={"password": "start_time-offset-trades"})
    assert report.contract == given
